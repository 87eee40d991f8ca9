"""What `tfp.layers.KLDivergenceRegularizer` costs, which counts the KL twice."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_probability import distributions as tfd
from tensorflow_probability import layers as tfpl
from tf_keras import layers

from tfvae.config import validate
from tfvae.data import DataSet
from tfvae.evaluation import Importance
from tfvae.evaluation.decomposition import decomposition
from tfvae.evaluation.run import estimate
from tfvae.evaluation.sample_quality import sample_quality
from tfvae.files import npz, write_atomically
from tfvae.inference.generation import samples
from tfvae.inference.model import Model
from tfvae.inference.sheet import grid, png
from tfvae.objectives import SGVB_B
from tfvae.priors import standard_normal
from tfvae.regularizers import plain
from tfvae.studies.base import Cell, Report, Row, Study
from tfvae.studies.models import DATA_NAMES, base_config, described
from tfvae.studies.tables import Column, field, table
from tfvae.studies.variants import averages
from tfvae.training.fitting import load_data
from tfvae.vae import VAE

_SHOWN = 16
TFP, HALF, OURS, BETA_2 = "TFP's regularizer", "TFP's, weight 0.5", "tfvae", "tfvae, kl_weight = 2"
VARIANTS = {"tfp": TFP, "tfp_half": HALF, "tfvae": OURS, "tfvae_beta_2": BETA_2}


@dataclasses.dataclass(kw_only=True, slots=True)
class DoubleKl(Study):
    """One model, four ways to weigh its KL, the same data, optimizer, first weights and number of steps.

    Attributes:
      data: `digits` or `mnist`.
      latent_size, hidden: the network.
      num_epochs, batch_size, learning_rate: of training, by Adam.
      num_samples: K of the estimate of log p(x).
      seeds: of runs; with one seed all four begin with the same weights.
    """

    title: ClassVar[str] = "What counting the KL twice costs"
    source: ClassVar[str] = (
        "TensorFlow Probability 0.25, tfp.layers.KLDivergenceRegularizer as in its tutorial on variational autoencoders"
    )
    grid: ClassVar[tuple[str, ...]] = ("seeds",)
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {
            "data": "digits",
            "latent_size": 8,
            "hidden": 128,
            "num_epochs": 40,
            "num_samples": 100,
            "seeds": (0,),
        },
        "full": {},
    }

    data: str = "mnist"
    latent_size: int = 20
    hidden: int = 500
    num_epochs: int = 20
    batch_size: int = 100
    learning_rate: float = 1e-3
    num_samples: int = 200
    seeds: tuple[int, ...] = (0, 1)

    @property
    def cells(self) -> Sequence[Cell]:
        return [
            Cell(f"{variant}_{seed}", {"variant": name, "seed": seed, "num_epochs": self.num_epochs,
                                       "num_samples": self.num_samples})
            for seed in self.seeds
            for variant, name in VARIANTS.items()
        ]  # fmt: skip

    def run(self, cell: Cell, folder: str, *, verbose: bool) -> Row:
        config = base_config(self.data, latent_size=self.latent_size, hidden=(self.hidden,))
        validate(config)
        dataset, name, seed = load_data(config), cell.settings["variant"], cell.settings["seed"]
        weight = {TFP: 1.0, HALF: 0.5}.get(name)
        encoder, decoder = self._networks(dataset, weight, seed)
        train = dataset.train
        steps = train.steps_per_epoch(self.batch_size)
        optimizer = tf_keras.optimizers.Adam(self.learning_rate)
        batches = train.training_batches(batch_size=self.batch_size, seed=seed)
        counted: dict[str, float] = {}
        if weight is None:
            vae = VAE(encoder, decoder, seed=seed)
            vae.compile(optimizer, objective=SGVB_B(kl_weight=2.0 if name == BETA_2 else 1.0),
                        steps_per_execution=100, batch_size=self.batch_size)  # fmt: skip
            vae.fit(batches, epochs=self.num_epochs, steps_per_epoch=steps, verbose=2 if verbose else 0)
        else:
            # As in the tutorial: the encoder's regularizer and the likelihood of what the decoder gives.
            counted = self._counted(encoder, dataset)
            model = tf_keras.Model(encoder.inputs, decoder(encoder.outputs[0]))
            model.compile(optimizer, loss=lambda x, likelihood: -likelihood.log_prob(x))
            model.fit(batches.map(lambda x: (x, x)), epochs=self.num_epochs, steps_per_epoch=steps,
                      verbose=2 if verbose else 0)  # fmt: skip
            # From here on it is a model like ours: only the loss was another.
            _posterior_layer(encoder).activity_regularizer = None
            vae = VAE(encoder, decoder, seed=seed)
        found = self._judged(vae, dataset, folder, seed)
        return {"variant": name, **counted, **found, "config": described(config)}

    def _networks(self, dataset: DataSet, weight: float | None, seed: int) -> tuple[tf_keras.Model, tf_keras.Model]:
        """Encoder and decoder of stock TFP layers, the encoder with TFP's regularizer where `weight` is given."""
        tf_keras.utils.set_random_seed(seed)
        shape, size = dataset.item_shape, self.latent_size
        prior = tfd.Independent(tfd.Normal(tf.zeros(size), 1.0), reinterpreted_batch_ndims=1)
        regularizer = None if weight is None else tfpl.KLDivergenceRegularizer(prior, weight=weight)
        encoder = tf_keras.Sequential([
            layers.Input(shape),
            layers.Flatten(),
            layers.Dense(self.hidden, "tanh"),
            layers.Dense(tfpl.IndependentNormal.params_size(size)),
            tfpl.IndependentNormal(size, activity_regularizer=regularizer),
        ])  # fmt: skip
        decoder = tf_keras.Sequential([
            layers.Input([size]),
            layers.Dense(self.hidden, "tanh"),
            layers.Dense(tfpl.IndependentBernoulli.params_size(shape)),
            tfpl.IndependentBernoulli(shape, tfd.Bernoulli.mean),
        ])  # fmt: skip
        return encoder, decoder

    def _counted(self, encoder: tf_keras.Model, dataset: DataSet) -> dict[str, float]:
        """What the regularizer adds to the loss, over the KL as TFP estimates it: from the draw that is decoded."""
        posterior = encoder(next(iter(dataset.train.evaluation_batches(batch_size=self.batch_size))))
        # log q(z|x) - log p(z)
        z = tf.convert_to_tensor(posterior)
        kl = tf.reduce_mean(plain(posterior).log_prob(z) - standard_normal(self.latent_size).log_prob(z))
        return {"num_losses": len(encoder.losses), "regularizer_over_kl": float(tf.add_n(encoder.losses) / kl)}

    def _judged(self, vae: VAE, dataset: DataSet, folder: str, seed: int) -> Row:
        test, model = dataset.test, Model.of(vae)
        found = estimate(vae, test, Importance(num_samples=self.num_samples)).summary
        parts = decomposition(vae, dataset, test)
        quality = sample_quality(vae, dataset, test, seed=seed)
        x = test.examples(_SHOWN)
        pictures = {
            "x": x,
            "reconstructed": model.rows("reconstruct", item=x)["reconstruction"],
            "samples": samples(model, 2 * _SHOWN, seed=seed).items,
        }
        write_atomically(os.path.join(folder, "pictures.npz"), npz(pictures))
        return {
            "seed": seed,
            **{name: found[name] for name in ("log_likelihood", "elbo", "rate", "distortion")},
            "active_units": parts["active_units"],
            "frechet_distance": quality["frechet_distance"],
        }

    def report(self, rows: Sequence[Row], folders: Mapping[str, str]) -> Report:
        means = averages(rows)
        columns: list[Column] = [
            ("KL by", field("variant"), ""),
            ("counted, times the KL", field("regularizer_over_kl"), ".4f"),
            ("log p(x)", field("log_likelihood"), ".2f"),
            ("+-", field("log_likelihood_spread"), ".2f"),
            ("ELBO", field("elbo"), ".2f"),
            ("+-", field("elbo_spread"), ".2f"),
            ("rate", field("rate"), ".2f"),
            ("distortion", field("distortion"), ".2f"),
            ("active latents", field("active_units"), ".1f"),
            ("Frechet distance of samples", field("frechet_distance"), ".1f"),
        ]
        findings: dict[str, Any] = {"means": means}
        headline = "TFP's regularizer counts the KL twice."
        if {TFP, HALF} <= means.keys():
            # Nothing but the count differs between these two.
            lost = {name: means[HALF][name] - means[TFP][name] for name in ("elbo", "log_likelihood")}
            findings |= {f"{name}_lost": value for name, value in lost.items()}
            headline = (
                f"TFP's regularizer adds {means[TFP]['regularizer_over_kl']:.2f} times the KL. Against half its weight "
                f"that costs {lost['elbo']:.2f} nats of ELBO and {lost['log_likelihood']:.2f} of log p(x); "
                f"samples have a Frechet distance of {means[TFP]['frechet_distance']:.1f} in place of "
                f"{means[HALF]['frechet_distance']:.1f}."
            )
        text = "\n\n".join([
            f"{DATA_NAMES[self.data]}, {self.hidden}-{self.latent_size}, tanh, stock `tfp.layers` heads, Adam "
            f"{self.learning_rate:g}, batches of {self.batch_size}, {self.num_epochs} epochs, {len(self.seeds)} seeds; "
            "of one seed all four have the same first weights and the same batches. `tfp.layers` gives Keras a pair, "
            "the distribution and a tensor of it, and Keras regularizes both; TFP's regularizer finds the distribution "
            "behind the tensor, and so adds the KL a second time. What it adds over the KL is measured on a "
            "batch before training. TFP estimates the KL from the draw that is decoded, tfvae takes the closed form.",
            table(list(means.values()), columns),
            "Nats per test image; +- is half the range of the seeds. " + _compared(means),
            "![Reconstructions and samples](pictures.png)",
            "Rows: test images; their reconstructions by each model, in the order of the table; two rows of samples of "
            "each, means at z ~ N(0, I).",
        ])  # fmt: skip
        return Report(
            headline=headline, text=text, figures={"pictures.png": self._picture(rows, folders)}, findings=findings
        )

    def _picture(self, rows: Sequence[Row], folders: Mapping[str, str]) -> bytes:
        found = []
        for name in dict.fromkeys(row["variant"] for row in rows):
            row = next(row for row in rows if row["variant"] == name)
            with np.load(os.path.join(folders[row["cell"]], "pictures.npz")) as archive:
                found.append({key: archive[key] for key in archive.files})
        parts = [found[0]["x"], *(part["reconstructed"] for part in found), *(part["samples"] for part in found)]
        return png(grid(np.concatenate(parts), _SHOWN))


def _compared(means: Mapping[str, Row]) -> str:
    """What the second count costs, and what the estimate from a draw, each with all else equal."""
    if not set(VARIANTS.values()) <= means.keys():
        return ""
    elbo, likelihood, distance = (
        {name: row[key] for name, row in means.items()} for key in ("elbo", "log_likelihood", "frechet_distance")
    )
    return (
        f"The second count alone, TFP's regularizer against itself at weight 0.5, costs {elbo[HALF] - elbo[TFP]:.2f} "
        f"nats of ELBO and {likelihood[HALF] - likelihood[TFP]:.2f} of log p(x); the same doubling on purpose, tfvae's "
        f"`kl_weight` of 2 against 1, {elbo[OURS] - elbo[BETA_2]:.2f} and {likelihood[OURS] - likelihood[BETA_2]:.2f}. "
        "That the KL is estimated from a draw in place of the closed form costs another "
        f"{elbo[OURS] - elbo[HALF]:.2f} and {likelihood[OURS] - likelihood[HALF]:.2f} where it is counted once, and "
        f"{elbo[BETA_2] - elbo[TFP]:.2f} and {likelihood[BETA_2] - likelihood[TFP]:.2f} where twice. Samples come out "
        f"the other way: their Frechet distance is {distance[TFP]:.1f} and {distance[BETA_2]:.1f} with two counts, "
        f"{distance[HALF]:.1f} and {distance[OURS]:.1f} with one, as may be expected of codes nearer to N(0, I). "
        "Reconstructions lose what the distortion says."
    )


def _posterior_layer(encoder: tf_keras.Model) -> Any:
    return encoder.layers[-1]
