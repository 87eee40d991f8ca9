"""Density models without latents, and a VAE whose decoder is one: log p(x) side by side."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tf_keras

from tfvae import likelihoods, schedules
from tfvae.baselines import PixelCNN, PixelRNN
from tfvae.data import DataSet
from tfvae.evaluation import Importance
from tfvae.files import npz, read_json, write_atomically, write_json
from tfvae.inference.sheet import grid, png
from tfvae.rows import plain_rows
from tfvae.studies.base import Cell, Report, Row, Study
from tfvae.studies.models import DATA_NAMES, base_config, described, estimated, trained
from tfvae.studies.tables import field, table
from tfvae.training.fitting import load_data

_NAMES = {"vae": "VAE", "pixel_vae": "PixelVAE", "pixel_rnn": "PixelRNN (Row LSTM)", "pixel_cnn": "PixelCNN (TFP)"}
_SHOWN = 16


@dataclasses.dataclass(kw_only=True, slots=True)
class DensityModels(Study):
    """log p(x) of test images: of density models exactly, of VAEs by importance sampling.

    Attributes:
      latent_size, hidden: of the VAEs, by data set.
      num_epochs: by data set and model.
      filters: channels of the density models.
      num_samples: K of the VAEs' estimate.
      num_test: test images at most, for all models.
      seed: of all.
    """

    title: ClassVar[str] = "Density models without latents"
    source: ClassVar[str] = (
        "van den Oord et al. 2016, Pixel recurrent neural networks; Salimans et al. 2017, PixelCNN++; Gulrajani et "
        "al. 2017, PixelVAE"
    )
    grid: ClassVar[tuple[str, ...]] = ("num_epochs",)
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"num_epochs": {"digits": {"vae": 100, "pixel_vae": 30, "pixel_rnn": 15, "pixel_cnn": 5}},
                  "num_samples": 100},
        "full": {},
    }  # fmt: skip

    latent_size: dict[str, int] = dataclasses.field(default_factory=lambda: {"digits": 8, "mnist": 20})
    hidden: dict[str, int] = dataclasses.field(default_factory=lambda: {"digits": 256, "mnist": 500})
    num_epochs: dict[str, dict[str, int]] = dataclasses.field(
        default_factory=lambda: {
            "digits": {"vae": 200, "pixel_vae": 100, "pixel_rnn": 60, "pixel_cnn": 60},
            "mnist": {"vae": 20, "pixel_vae": 2, "pixel_rnn": 1, "pixel_cnn": 1},
        }
    )
    filters: int = 32
    num_samples: int = 100
    num_test: int = 1_000
    seed: int = 0

    @property
    def cells(self) -> Sequence[Cell]:
        return [
            Cell(f"{data}_{name}", {"data": data, "model": name, "num_epochs": epochs, "seed": self.seed})
            for data, models in self.num_epochs.items()
            for name, epochs in models.items()
        ]

    def run(self, cell: Cell, folder: str, *, verbose: bool) -> Row:
        data, name = cell.settings["data"], cell.settings["model"]
        config = base_config(
            data, latent_size=self.latent_size[data], hidden=(self.hidden[data],),
            training__num_epochs=cell.settings["num_epochs"], training__learning_rate=2e-3,
            training__learning_rate_schedule=schedules.Cosine(), training__seed=self.seed,
        )  # fmt: skip
        if data == "mnist":
            config = dataclasses.replace(
                config, data=dataclasses.replace(config.data, test_split=f"test[:{self.num_test}]")
            )
        if name not in ("vae", "pixel_vae"):
            found = self._density(name, load_data(config), cell.settings["num_epochs"], folder, verbose=verbose)
            return found | {"config": {part: described(config)[part] for part in ("data", "training")}}
        if name == "pixel_vae":
            strong = likelihoods.AutoregressiveBernoulli(filters=self.filters, num_layers=3)
            config = dataclasses.replace(config, model=dataclasses.replace(config.model, likelihood=strong))
        model = trained(config, folder, verbose=verbose)
        found = estimated(model, model.dataset.test, Importance(num_samples=self.num_samples)).summary
        z = np.random.default_rng(self.seed).standard_normal((_SHOWN, model.vae.latent_size)).astype(np.float32)
        with plain_rows(_SHOWN).current():
            samples = model.vae.decode(z).sample(seed=(0, self.seed)).numpy()
        _keep(folder, samples)
        return {
            "log_likelihood": found["log_likelihood"],
            "log_likelihood_standard_error": found["log_likelihood_standard_error"],
            "rate": found["rate"],
            "exact": False,
            "num_parameters": int(sum(np.prod(v.shape) for v in model.vae.trainable_variables)),
            "num_test": found["num_examples"],
            "config": described(model.config),
        }

    def _density(self, name: str, dataset: DataSet, num_epochs: int, folder: str, *, verbose: bool) -> Row:
        """Fits a model without latents, an epoch at a time: an interrupted call goes on with the next one."""
        tf_keras.utils.set_random_seed(self.seed)
        shape = dataset.item_shape
        model = (
            PixelRNN(shape, filters=self.filters) if name == "pixel_rnn" else PixelCNN(shape, num_filters=self.filters)
        )
        batch_size = 100
        steps = dataset.train.steps_per_epoch(batch_size)
        rate = tf_keras.optimizers.schedules.CosineDecay(2e-3, num_epochs * steps)
        model.compile(tf_keras.optimizers.Adam(rate))
        model.optimizer.build(model.trainable_variables)
        clock, place = os.path.join(folder, "epochs.json"), os.path.join(folder, "weights", "model")
        done = read_json(clock)["epochs"] if os.path.exists(clock) else 0
        saved = _Saved(model)
        if done:
            saved.restore(f"{place}-{done}")
        for epoch in range(done, num_epochs):
            model.fit(
                dataset.train.training_batches(batch_size=batch_size, seed=self.seed, first_step=epoch * steps),
                initial_epoch=epoch, epochs=epoch + 1, steps_per_epoch=steps, verbose=2 if verbose else 0,
            )  # fmt: skip
            # In this order: whenever it is killed, the clock names weights that are there.
            saved.write(f"{place}-{epoch + 1}")
            write_json(clock, {"epochs": epoch + 1})
            saved.forget_before()
        columns = [model.log_prob(x).numpy() for x in dataset.test.evaluation_batches(batch_size=500)]
        each = np.concatenate(columns).astype(np.float64)
        _keep(folder, model.sample(_SHOWN, seed=self.seed).numpy())
        return {
            "log_likelihood": float(each.mean()),
            "log_likelihood_standard_error": float(each.std(ddof=1) / np.sqrt(len(each))),
            "rate": None,
            "exact": True,
            "num_parameters": int(sum(np.prod(v.shape) for v in model.trainable_variables)),
            "num_test": len(each),
        }

    def report(self, rows: Sequence[Row], folders: Mapping[str, str]) -> Report:
        text = "\n\n".join([
            f"Binarized images; batches of 100, Adam with a cosine rate from 2e-3. log p(x), nats per test image: "
            f"exact for models without latents, a lower bound by importance sampling with K = {self.num_samples} for "
            "VAEs. The epochs are what the budget allows: density models are slow to train here.",
            table(rows, [
                ("data", lambda row: DATA_NAMES[row["settings"]["data"]], ""),
                ("model", lambda row: _NAMES[row["settings"]["model"]], ""),
                ("log p(x)", field("log_likelihood"), ".2f"),
                ("", lambda row: "exact" if row["exact"] else "at least", ""),
                ("test images", field("num_test"), ",d"),
                ("standard error over images", field("log_likelihood_standard_error"), ".2f"),
                ("rate", field("rate"), ".2f"),
                ("parameters", field("num_parameters"), ",d"),
                ("epochs", field("settings", "num_epochs"), "d"),
                ("minutes", lambda row: row["seconds"] / 60, ".1f"),
            ]),
            *(f"![Samples, {DATA_NAMES[data]}](samples_{data}.png)\n\nSamples of the models, in the order of the "
              f"table: {DATA_NAMES[data]}." for data in self._data(rows)),
        ])  # fmt: skip
        said = []
        for data in self._data(rows):
            own = [row for row in rows if row["settings"]["data"] == data]
            said.append(
                f"{DATA_NAMES[data]}: "
                + ", ".join(
                    f"{_NAMES[row['settings']['model']]} {row['log_likelihood']:.2f} ({row['settings']['num_epochs']})"
                    for row in own
                )
            )
        return Report(
            headline=f"log p(x), nats (epochs). {'; '.join(said)}.", text=text,
            figures={f"samples_{data}.png": _picture(rows, folders, data) for data in self._data(rows)},
        )  # fmt: skip

    def _data(self, rows: Sequence[Row]) -> list[str]:
        return list(dict.fromkeys(row["settings"]["data"] for row in rows))


class _Saved:
    """The weights and the optimizer of a model in checkpoints, of which the last one is kept."""

    def __init__(self, model: tf_keras.Model) -> None:
        import tensorflow as tf

        # A network that TFP made is no attribute of its distribution: its variables are kept by their place.
        self._checkpoint = tf.train.Checkpoint(variables=list(model.variables), optimizer=model.optimizer)
        self._last = self._before = ""

    def write(self, path: str) -> None:
        """Writes a checkpoint."""
        self._last, self._before = self._checkpoint.write(path), self._last

    def forget_before(self) -> None:
        """Removes the checkpoint before the last one."""
        for suffix in (".index", ".data-00000-of-00001"):
            if self._before and os.path.exists(self._before + suffix):
                os.unlink(self._before + suffix)

    def restore(self, path: str) -> None:
        """Reads one."""
        self._checkpoint.read(path).assert_consumed()
        self._last = path


def _keep(folder: str, samples: np.ndarray) -> None:
    write_atomically(os.path.join(folder, "samples.npz"), npz({"samples": samples.astype(np.float32)}))


def _picture(rows: Sequence[Row], folders: Mapping[str, str], data: str) -> bytes:
    found = []
    for row in rows:
        if row["settings"]["data"] == data:
            with np.load(os.path.join(folders[row["cell"]], "samples.npz")) as archive:
                found.append(archive["samples"])
    return png(grid(np.concatenate(found), _SHOWN))
