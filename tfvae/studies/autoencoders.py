"""The autoencoder beside the VAE: one reconstructs, the other generates."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from tfvae import schedules
from tfvae.baselines import Autoencoder
from tfvae.evaluation import Importance
from tfvae.evaluation.representation import representation
from tfvae.evaluation.sample_quality import sample_quality
from tfvae.files import npz, write_atomically
from tfvae.inference.generation import AggregatePosterior, decoded, prior_latents
from tfvae.inference.model import Model
from tfvae.inference.sheet import grid, png
from tfvae.objectives import SGVB_B
from tfvae.studies.base import Cell, Report, Row, Study
from tfvae.studies.models import DATA_NAMES, Trained, base_config, described, estimated, trained
from tfvae.studies.tables import Column, field, table

_SHOWN = 16
_NAMES = {"autoencoder": "autoencoder", "denoising": "denoising autoencoder", "vae": "VAE"}


@dataclasses.dataclass(kw_only=True, slots=True)
class Autoencoders(Study):
    """Reconstruction, codes and samples of an autoencoder, a denoising autoencoder and a VAE with the same networks.

    Attributes:
      data: `digits` or `mnist`.
      latent_size, hidden, num_epochs: of all three.
      masked: share of the numbers that the denoising autoencoder does not see.
      num_samples: K of the estimate of log p(x).
      num_codes: training examples whose codes the fitted density learns from.
      seed: of all.
    """

    title: ClassVar[str] = "Autoencoders beside the VAE"
    source: ClassVar[str] = (
        "Kingma & Welling 2013, section 4; Vincent et al. 2008, Extracting and composing robust features with "
        "denoising autoencoders; Ghosh et al. 2020 (a density fitted to the codes)"
    )
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"data": "digits", "latent_size": 8, "hidden": (128,), "num_epochs": 100, "num_samples": 100},
        "full": {},
    }

    data: str = "mnist"
    latent_size: int = 20
    hidden: tuple[int, ...] = (500,)
    num_epochs: int = 40
    masked: float = 0.25
    num_samples: int = 500
    num_codes: int = 10_000
    seed: int = 0

    @property
    def cells(self) -> Sequence[Cell]:
        return [Cell(name, {"model": name, "num_epochs": self.num_epochs, "seed": self.seed}) for name in _NAMES]

    def run(self, cell: Cell, folder: str, *, verbose: bool) -> Row:
        objective = {
            "autoencoder": Autoencoder(),
            "denoising": Autoencoder(corruption="masking", level=self.masked),
            "vae": SGVB_B(),
        }[cell.settings["model"]]
        config = base_config(
            self.data, latent_size=self.latent_size, hidden=self.hidden, objective=objective,
            training__num_epochs=self.num_epochs, training__learning_rate=2e-3, training__seed=self.seed,
            training__learning_rate_schedule=schedules.Cosine(),
        )  # fmt: skip
        model = trained(config, folder, verbose=verbose)
        return self._judged(model, folder, deterministic=cell.settings["model"] != "vae")

    def _judged(self, model: Trained, folder: str, *, deterministic: bool) -> Row:
        test, used = model.dataset.test, Model.of(model.vae)
        x = test.examples(test.num_examples)
        kept = np.random.default_rng(self.seed).random(x.shape) >= self.masked
        seen = x * kept
        made, repaired = (used.rows("reconstruct", item=given)["reconstruction"] for given in (x, seen))
        codes = used.rows("encode", item=x)["mean"]
        train = model.dataset.train
        fitted = AggregatePosterior.fit(
            used, train.examples(min(self.num_codes, train.num_examples)), seed=self.seed, draws=not deterministic
        )

        def at(latents: Any) -> Any:
            return lambda count: decoded(used, latents(count), values="sample", seed=self.seed)

        def quality(latents: Any) -> dict[str, float]:
            found = sample_quality(model.vae, model.dataset, test, seed=self.seed, drawn=at(latents))
            return {name: found[name] for name in ("frechet_distance", "precision", "recall",
                                                   "reference_frechet_distance")}  # fmt: skip

        def from_prior(count: int) -> np.ndarray:
            return prior_latents(used, count, seed=self.seed)

        def from_codes(count: int) -> np.ndarray:
            return fitted.latents(count, seed=self.seed)

        found = estimated(model, test, Importance(num_samples=self.num_samples)).summary
        learned = representation(model.vae, model.dataset, test, seed=self.seed)
        pictures = {
            "x": x[:_SHOWN],
            "seen": seen[:_SHOWN],
            "reconstructed": made[:_SHOWN],
            "repaired": repaired[:_SHOWN],
            "from_prior": used.decode(from_prior(_SHOWN)),
            "from_codes": used.decode(from_codes(_SHOWN)),
        }
        write_atomically(os.path.join(folder, "pictures.npz"), npz(pictures))
        return {
            "squared_error": float(np.mean((made - x) ** 2)),
            "cross_entropy": _cross_entropy(x, made),
            "squared_error_masked": float(np.mean((repaired - x) ** 2)),
            "code_stddev": float(np.mean(codes.std(axis=0))),
            "code_largest_stddev": float(np.max(codes.std(axis=0))),
            "linear_probe": learned["linear_probe"]["posterior_mean"],
            "nearest_neighbours": learned["nearest_neighbours"]["posterior_mean"],
            "from_prior": quality(from_prior),
            "from_codes": quality(from_codes),
            "log_likelihood": found["log_likelihood"],
            "elbo": found["elbo"],
            "config": described(model.config),
        }

    def report(self, rows: Sequence[Row], folders: Mapping[str, str]) -> Report:
        columns: list[Column] = [
            ("model", lambda row: _NAMES[row["cell"]], ""),
            ("squared error", field("squared_error"), ".4f"),
            ("cross-entropy", field("cross_entropy"), ".1f"),
            (f"squared error, {self.masked:.0%} masked", field("squared_error_masked"), ".4f"),
            ("stddev of codes, mean (largest)",
             lambda row: f"{row['code_stddev']:.2f} ({row['code_largest_stddev']:.2f})", ""),
            ("linear probe", field("linear_probe"), ".1%"),
            ("5 neighbours", field("nearest_neighbours"), ".1%"),
            ("Frechet, z ~ N(0, I)", field("from_prior", "frechet_distance"), ".1f"),
            ("Frechet, z from codes", field("from_codes", "frechet_distance"), ".1f"),
            ("precision, z ~ N(0, I)", field("from_prior", "precision"), ".2f"),
            ("log p(x), at least", field("log_likelihood"), ",.1f"),
        ]  # fmt: skip
        by_name = {row["cell"]: row for row in rows}
        reference = rows[0]["from_prior"]["reference_frechet_distance"]
        text = "\n\n".join([
            f"{DATA_NAMES[self.data]}; {'-'.join(map(str, self.hidden))}-{self.latent_size}, tanh, the same networks, "
            f"data and {self.num_epochs} epochs; the autoencoders decode the center of q(z|x) and pay no rate.",
            table(rows, columns),
            "Squared error is a pixel's, cross-entropy nats per image, both at the center of q(z|x), on test images; "
            "the accuracies are of labels, learned from codes. The Frechet distance is one of the features of a small "
            f"classifier, not an FID; training images in the place of samples have {reference:.1f}. 'From codes' "
            "draws z from a mixture of normals fitted to the codes of training images. log p(x) is an importance "
            f"estimate with K = {self.num_samples}: for an autoencoder, whose q has no width that was learned, a loose "
            "bound.",
            "An autoencoder's codes need not look like N(0, I), and z from the prior need not decode to digits. The "
            "VAE has a density of its codes by its objective; an autoencoder needs a second model of "
            "them, and with that its samples are of the same kind. What the VAE pays is in the reconstruction.",
            "![Reconstructions](reconstructions.png)",
            "Rows: test images; reconstructions of each model in the order of the table; the same images with masked "
            "pixels; what each model makes of them.",
            "![Samples](samples.png)",
            "Rows, of each model in the order of the table: means at z ~ N(0, I), and at z from the density fitted to "
            "its codes.",
        ])  # fmt: skip
        headline = "The autoencoder and the VAE are not both run yet"
        if {"autoencoder", "vae"} <= by_name.keys():
            ae, vae = by_name["autoencoder"], by_name["vae"]
            headline = (
                f"Squared error of a reconstructed pixel {ae['squared_error']:.4f} (autoencoder) against "
                f"{vae['squared_error']:.4f} (VAE); Frechet distance of samples from N(0, I) "
                f"{ae['from_prior']['frechet_distance']:.1f} against {vae['from_prior']['frechet_distance']:.1f}, from "
                f"a density fitted to the codes {ae['from_codes']['frechet_distance']:.1f} against "
                f"{vae['from_codes']['frechet_distance']:.1f}"
            )
        return Report(headline=headline + ".", text=text, figures=self._pictures(rows, folders))

    def _pictures(self, rows: Sequence[Row], folders: Mapping[str, str]) -> dict[str, bytes]:
        found = []
        for row in rows:
            with np.load(os.path.join(folders[row["cell"]], "pictures.npz")) as archive:
                found.append({name: archive[name] for name in archive.files})
        samples = [part[name] for part in found for name in ("from_prior", "from_codes")]
        again = [found[0]["x"], *(part["reconstructed"] for part in found), found[0]["seen"]]
        again += [part["repaired"] for part in found]
        return {
            "samples.png": png(grid(np.concatenate(samples), _SHOWN)),
            "reconstructions.png": png(grid(np.concatenate(again), _SHOWN)),
        }


def _cross_entropy(x: np.ndarray, mean: np.ndarray) -> float:
    """-sum_d x_d log m_d + (1 - x_d) log(1 - m_d), nats per example."""
    mean = np.clip(mean, 1e-6, 1 - 1e-6)
    return float(-np.mean(np.sum((x * np.log(mean) + (1 - x) * np.log1p(-mean)).reshape(len(x), -1), axis=1)))
