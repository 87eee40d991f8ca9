"""Figures 4 and 5 of the paper: the manifold that two latents span, and samples by the number of latents."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tfvae import schedules
from tfvae.evaluation import Importance
from tfvae.files import write_atomically
from tfvae.inference.generation import samples
from tfvae.inference.model import Model
from tfvae.inference.pictures import manifold
from tfvae.inference.sheet import Sheet, png
from tfvae.studies.base import Cell, Report, Row, Study
from tfvae.studies.models import DATA_NAMES, base_config, described, estimated, trained
from tfvae.studies.tables import field, table


class _Pictures(Study):
    """Trains models of some data and sizes, and keeps one picture of each."""

    __slots__ = ()

    # Fields of the studies below.
    latent_sizes: dict[str, tuple[int, ...]]
    hidden: dict[str, int]
    num_epochs: dict[str, int]
    num_samples: int
    seed: int

    about: ClassVar[str] = ""
    grid: ClassVar[tuple[str, ...]] = ("latent_sizes", "num_epochs")

    def sheet(self, model: Model) -> Sheet:
        """The picture of a model."""
        raise NotImplementedError

    @property
    def cells(self) -> Sequence[Cell]:
        return [
            Cell(f"{data}_{size}", {"data": data, "latent_size": size, "num_epochs": self.num_epochs[data],
                                    "num_samples": self.num_samples, "seed": self.seed})
            for data, sizes in self.latent_sizes.items()
            for size in sizes
        ]  # fmt: skip

    def run(self, cell: Cell, folder: str, *, verbose: bool) -> Row:
        data = cell.settings["data"]
        config = base_config(
            data, latent_size=cell.settings["latent_size"], hidden=(self.hidden[data],),
            training__num_epochs=self.num_epochs[data], training__seed=self.seed,
            training__learning_rate=1e-3 if data == "frey" else 2e-3,
            training__learning_rate_schedule=schedules.Cosine(),
        )  # fmt: skip
        # Few frames of a film are soon learned by heart.
        model = trained(config, folder, checkpoint="best", verbose=verbose)
        used = Model.of(model.vae)
        write_atomically(os.path.join(folder, "picture.png"), png(self.sheet(used).pixels(used)))
        found = estimated(model, model.dataset.test, Importance(num_samples=self.num_samples)).summary
        numbers = {name: found[name] for name in ("log_likelihood", "elbo", "rate", "num_examples")}
        return numbers | {"config": described(model.config)}

    def report(self, rows: Sequence[Row], folders: Mapping[str, str]) -> Report:
        figures = {}
        for row in rows:
            with open(os.path.join(folders[row["cell"]], "picture.png"), "rb") as file:
                figures[f"{row['cell']}.png"] = file.read()
        shown = [
            f"![{DATA_NAMES[row['settings']['data']]}, {row['settings']['latent_size']} latents]({row['cell']}.png)\n\n"
            f"{DATA_NAMES[row['settings']['data']]}, {row['settings']['latent_size']} latents."
            for row in rows
        ]
        columns = [
            ("data", lambda row: DATA_NAMES[row["settings"]["data"]], ""),
            ("latents", field("settings", "latent_size"), "d"),
            ("epochs", field("settings", "num_epochs"), ",d"),
            ("log p(x), test", field("log_likelihood"), ",.2f"),
            ("ELBO, test", field("elbo"), ",.2f"),
            ("rate", field("rate"), ".2f"),
            ("minutes", lambda row: row["seconds"] / 60, ".1f"),
        ]
        said = ", ".join(
            f"{row['log_likelihood']:,.1f} ({DATA_NAMES[row['settings']['data']]}, {row['settings']['latent_size']} "
            "latents)"
            for row in rows
        )
        about = f"{self.about} Weights of the epoch with the best ELBO on validation data."
        text = "\n\n".join([about, *shown, table(rows, columns)])
        return Report(headline=f"Test log p(x), nats: {said}.", text=text, figures=figures)


@dataclasses.dataclass(kw_only=True, slots=True)
class Manifolds(_Pictures):
    """Figure 4: means of p(x|z) over two latents, through the inverse CDF of the prior."""

    title: ClassVar[str] = "Manifolds of two latents (figure 4)"
    source: ClassVar[str] = "Kingma & Welling 2013, figure 4"
    about: ClassVar[str] = (
        "Means of p(x|z) for z on a grid through the inverse distribution function of the prior: the first latent "
        "grows to the right, the second upwards. One hidden tanh layer, Adam with a cosine rate."
    )
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"latent_sizes": {"digits": (2,)}, "hidden": {"digits": 128}, "num_epochs": {"digits": 100}},
        "full": {},
    }

    latent_sizes: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=lambda: {"mnist": (2,), "frey": (2,)})
    hidden: dict[str, int] = dataclasses.field(default_factory=lambda: {"mnist": 500, "frey": 200})
    num_epochs: dict[str, int] = dataclasses.field(default_factory=lambda: {"mnist": 100, "frey": 1_000})
    num_samples: int = 500
    seed: int = 0

    def sheet(self, model: Model) -> Sheet:
        return manifold(model)


@dataclasses.dataclass(kw_only=True, slots=True)
class SamplesByLatentSize(_Pictures):
    """Figure 5: samples of models with more and more latents."""

    title: ClassVar[str] = "Samples by the number of latents (figure 5)"
    source: ClassVar[str] = "Kingma & Welling 2013, figure 5"
    about: ClassVar[str] = (
        "Means of p(x|z) at z drawn from the prior, 100 of each model. One hidden tanh layer, Adam with a cosine rate."
    )
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"latent_sizes": {"digits": (2, 8)}, "hidden": {"digits": 128}, "num_epochs": {"digits": 100}},
        "full": {},
    }

    latent_sizes: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=lambda: {"mnist": (2, 5, 10, 20)})
    hidden: dict[str, int] = dataclasses.field(default_factory=lambda: {"mnist": 500})
    num_epochs: dict[str, int] = dataclasses.field(default_factory=lambda: {"mnist": 20})
    num_samples: int = 200
    seed: int = 0

    def sheet(self, model: Model) -> Sheet:
        return samples(model, 100, seed=self.seed)
