"""Studies that change one part of a VAE and leave the rest: what they share."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from tfvae import schedules
from tfvae.config import Config
from tfvae.evaluation import Importance
from tfvae.evaluation.decomposition import decomposition
from tfvae.studies.base import Cell, Report, Row, Study, slug
from tfvae.studies.models import DATA_NAMES, base_config, described, estimated, trained
from tfvae.studies.tables import Column, field, new_figure, png_of, table


@dataclasses.dataclass(kw_only=True, slots=True)
class _Variants(Study):
    """Each variant is trained with each seed and judged by log p(x), rate, distortion and its active latents.

    A subclass names its variants and says what they found.

    Attributes:
      data: `digits` or `mnist`.
      latent_size, hidden: the network, mirrored in the decoder.
      num_epochs: of each run.
      num_samples: K of the estimate of log p(x).
      seeds: of the runs of each variant.
    """

    heading: ClassVar[str] = "variant"
    grid: ClassVar[tuple[str, ...]] = ("seeds", "sizes")

    data: str = "mnist"
    latent_size: int = 20
    hidden: tuple[int, ...] = (500,)
    num_epochs: int = 40
    num_samples: int = 500
    seeds: tuple[int, ...] = (0,)

    def config(self, variant: str) -> Config:
        """The config of a variant, but for its seed."""
        raise NotImplementedError

    def finding(self, means: Mapping[str, Row]) -> str:
        """One sentence on the means over seeds, by variant: all of them."""
        raise NotImplementedError

    def paragraph(self, means: Mapping[str, Row]) -> str:
        """What the table shows, in a paragraph, of all variants."""
        raise NotImplementedError

    def numbers(self, means: Mapping[str, Row]) -> dict[str, Any]:
        """Numbers that `finding` says, and no row holds."""
        return {}

    @property
    def variants(self) -> Sequence[str]:
        """Their names."""
        raise NotImplementedError

    def base(self, **changes: Any) -> Config:
        """The config that variants change: Adam with a cosine rate, batches of 100."""
        settings = {
            "training__num_epochs": self.num_epochs,
            "training__learning_rate": 2e-3,
            "training__learning_rate_schedule": schedules.Cosine(),
        }
        return base_config(self.data, latent_size=self.latent_size, hidden=self.hidden, **settings | changes)

    @property
    def cells(self) -> Sequence[Cell]:
        common = {"num_epochs": self.num_epochs, "num_samples": self.num_samples}
        return [
            Cell(f"{slug(variant)}_{seed}", {"variant": variant, "seed": seed, **common})
            for seed in self.seeds
            for variant in self.variants
        ]

    def run(self, cell: Cell, folder: str, *, verbose: bool) -> Row:
        config = self.config(cell.settings["variant"])
        config = dataclasses.replace(config, training=dataclasses.replace(config.training, seed=cell.settings["seed"]))
        model = trained(config, folder, verbose=verbose)
        test = model.dataset.test
        found = estimated(model, test, Importance(num_samples=self.num_samples)).summary
        parts = decomposition(model.vae, model.dataset, test)
        return {
            "variant": cell.settings["variant"],
            "seed": cell.settings["seed"],
            **{name: found[name] for name in ("log_likelihood", "log_likelihood_standard_error", "elbo", "rate",
                                              "distortion", "num_examples")},
            **{name: parts[name] for name in ("active_units", "mutual_information", "mutual_information_limit",
                                              "marginal_kl")},
            "config": described(config),
        }  # fmt: skip

    def report(self, rows: Sequence[Row], folders: Mapping[str, str]) -> Report:
        means = averages(rows)
        whole = all(name in means for name in self.variants)
        limit = max(row["mutual_information_limit"] for row in means.values())
        columns: list[Column] = [
            (self.heading, field("variant"), ""),
            ("log p(x)", field("log_likelihood"), ".2f"),
            ("spread of seeds", field("log_likelihood_spread"), ".2f"),
            ("ELBO", field("elbo"), ".2f"),
            ("gap to log p(x)", lambda row: row["log_likelihood"] - row["elbo"], ".2f"),
            ("rate", field("rate"), ".2f"),
            ("distortion", field("distortion"), ".2f"),
            ("mutual information", field("mutual_information"), ".2f"),
            ("active latents", field("active_units"), ".1f"),
            ("minutes", lambda row: row["seconds"] / 60, ".1f"),
        ]
        text = "\n\n".join([
            f"{DATA_NAMES[self.data]}; {self.setting}; {self.num_epochs} epochs, means over {len(self.seeds)} "
            f"seed{'s' if len(self.seeds) > 1 else ''}. Nats per test image, log p(x) by importance sampling with "
            f"K = {self.num_samples:,}. The mutual information is that of z and the place of an image among the first "
            f"{round(math.exp(limit)):,} test images, so that it cannot be above {limit:.2f} nats; of a "
            "higher rate it says nothing more."
            + ("" if len(self.seeds) > 1 else " A difference of one seed may be the seed's."),
            table(list(means.values()), columns),
            self.paragraph(means) if whole else "Some variants are not run yet.",
            "![log p(x), and rate and distortion, of each variant](variants.png)",
        ])  # fmt: skip
        best = max(means, key=lambda name: means[name]["log_likelihood"])
        part = f"Not all variants are run; the highest log p(x) so far is that of {best}."
        return Report(
            headline=self.finding(means) if whole else part, text=text,
            figures={"variants.png": _figure(means, self.heading)},
            findings={"means": means} | (self.numbers(means) if whole else {}),
        )  # fmt: skip

    @property
    def setting(self) -> str:
        """The network in words."""
        return f"{'-'.join(map(str, self.hidden))}-{self.latent_size}, tanh"


def averages(rows: Sequence[Row]) -> dict[str, Row]:
    """By variant the means over seeds of its numbers, and `<name>_spread`, half of the range, of log p(x) and ELBO."""
    found: dict[str, Row] = {}
    for variant in dict.fromkeys(row["variant"] for row in rows):
        own = [row for row in rows if row["variant"] == variant]
        numbers = [name for name, value in own[0].items() if isinstance(value, int | float) and name != "seed"]
        found[variant] = {"variant": variant} | {name: float(np.mean([row[name] for row in own])) for name in numbers}
        for name in ("log_likelihood", "elbo"):
            values = [row[name] for row in own]
            found[variant][f"{name}_spread"] = (max(values) - min(values)) / 2 if len(own) > 1 else None
    return found


def _figure(means: Mapping[str, Row], heading: str) -> bytes:
    figure, ((left, right),) = new_figure(columns=2, width=5.2, height=4.0)
    names = list(means)
    # Points, not bars: those of log-densities would begin at 0, and be longest where the model is worst.
    left.plot([means[name]["log_likelihood"] for name in names], names, "o", color="#0b62b0")
    left.grid(axis="y", linewidth=0.5)
    left.invert_yaxis()
    values = [row["log_likelihood"] for row in means.values()]
    room = 0.15 * (max(values) - min(values)) or 1.0
    left.set(xlabel="log p(x), nats", ylabel=heading, xlim=(min(values) - 2 * room, max(values) + room))
    for name, row in means.items():
        # Names beside the points would lie over each other where two models are alike.
        right.plot(row["rate"], row["distortion"], "o", label=name)
    right.set(xlabel="rate, nats", ylabel="distortion, nats")
    right.margins(0.2)
    right.legend(frameon=False, fontsize=8)
    return png_of(figure)
