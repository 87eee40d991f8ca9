"""Figure 3 of the paper: estimated log p(x) over training, AEVB against wake-sleep and Monte Carlo EM."""

import dataclasses
import functools
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tfvae.baselines import MonteCarloEM, WakeSleep
from tfvae.evaluation import AIS, Estimator, HMCDensity, Importance, estimate
from tfvae.objectives import SGVB_B
from tfvae.studies import curves
from tfvae.studies.aevb_lower_bound import COLOURS, paper_config
from tfvae.studies.base import Cell, Report, Row, Study, slug
from tfvae.studies.models import DATA_NAMES, described
from tfvae.studies.tables import field, new_figure, png_of, table

MCEM = "Monte Carlo EM"
ALGORITHMS = ("AEVB", "wake-sleep", MCEM)
_UPDATES = 5  # of the weights for one visit of Monte Carlo EM, each on the same batch
_CHOSEN_AFTER = 0.1  # share of a run that chooses the step size
_ESTIMATORS = {"hmc_density": HMCDensity(), "importance": Importance(num_samples=5_000), "ais": AIS()}


@dataclasses.dataclass(kw_only=True, slots=True)
class AevbMarginalLikelihood(Study):
    """log p(x) by three estimators, of three algorithms, for a small and a large training set.

    Attributes:
      data: `digits` or `mnist`.
      latent_size, hidden: the network.
      train_sizes: N.
      num_samples: training samples that a run evaluates; each weight update of Monte Carlo EM counts its batch.
      mcem_num_samples: the same for Monte Carlo EM, which is slower.
      num_points: of a curve.
      num_examples: of each split, for the curves, by importance sampling.
      num_final: of the test split, for all estimators at the end.
      step_sizes: of Adagrad, the best chosen early on by log p(x) of training examples.
      seed: of the runs.
    """

    title: ClassVar[str] = "The marginal likelihood over training (figure 3)"
    source: ClassVar[str] = "Kingma & Welling 2013, figure 3 and appendices D and E"
    grid: ClassVar[tuple[str, ...]] = ("train_sizes",)
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"data": "digits", "train_sizes": (200, 1_000), "num_samples": 150_000, "mcem_num_samples": 50_000,
                  "num_points": 8, "num_examples": 100, "num_final": 50, "step_sizes": (0.02,)},
        "full": {},
    }  # fmt: skip

    data: str = "mnist"
    latent_size: int = 3
    hidden: int = 100
    train_sizes: tuple[int, ...] = (1_000, 50_000)
    num_samples: int = 2 * 10**6
    mcem_num_samples: int = 10**6
    num_points: int = 10
    num_examples: int = 500
    num_final: int = 100
    step_sizes: tuple[float, ...] = (0.01, 0.02, 0.1)
    seed: int = 0

    @property
    def cells(self) -> Sequence[Cell]:
        return [
            Cell(
                f"n{size}_{slug(algorithm)}",
                {"train_size": size, "algorithm": algorithm, "seed": self.seed, "num_final": self.num_final,
                 "num_samples": self.mcem_num_samples if algorithm == MCEM else self.num_samples},
            )
            for size in self.train_sizes
            for algorithm in ALGORITHMS
        ]  # fmt: skip

    def run(self, cell: Cell, folder: str, *, verbose: bool) -> Row:
        tried = {}
        for step_size in self.step_sizes:
            first = curves.kept(
                os.path.join(folder, f"first_{step_size:g}.json"),
                functools.partial(self._learned, cell, step_size, share=_CHOSEN_AFTER, verbose=False),
            )
            end = first["curve"][-1]["train_log_likelihood"]
            tried[step_size] = -math.inf if end is None else end  # None: it diverged
        best = max(tried, key=lambda step_size: tried[step_size])
        found = self._learned(cell, best, share=1.0, verbose=verbose)
        points = found["curve"]
        return {
            "step_size": best,
            "tried": {f"{step_size:g}": end for step_size, end in tried.items()},
            "curve": points,
            "final": found["final"],
            "train_log_likelihood": points[-1]["train_log_likelihood"],
            "test_log_likelihood": points[-1]["test_log_likelihood"],
            "samples": points[-1]["samples"],
            "examples": points[-1]["examples"],
            "config": described(self._config(cell, best)),
        }

    def _config(self, cell: Cell, step_size: float) -> Any:
        return paper_config(
            self.data, latent_size=self.latent_size, hidden=self.hidden, step_size=step_size,
            seed=cell.settings["seed"],
            objective=WakeSleep() if cell.settings["algorithm"] == "wake-sleep" else SGVB_B(),
        )  # fmt: skip

    def _learned(self, cell: Cell, step_size: float, *, share: float, verbose: bool) -> dict[str, Any]:
        """`curve`, and of a whole run what each estimator says of the model at its end, `final`."""
        settings = cell.settings
        config, algorithm = self._config(cell, step_size), settings["algorithm"]
        model = curves.fresh(config, num_train=settings["train_size"])
        train = model.dataset.train
        updates = 1
        if algorithm == MCEM:
            updates, vae = _UPDATES, model.vae
            model.vae = MonteCarloEM(
                vae.encoder, vae.decoder, num_examples=train.num_examples, num_updates=_UPDATES, support=vae.support,
                seed=settings["seed"],
            )  # fmt: skip
            model.vae.compile(vae.optimizer, objective=SGVB_B())
        parts = {"train": train, "test": model.dataset.test}
        seen = {name: curves.first(split, self.num_examples) for name, split in parts.items()}
        batch_size = min(config.training.batch_size, train.num_examples)
        total = max(1, int(share * settings["num_samples"]) // (batch_size * updates))
        steps = [total] if share < 1.0 else curves.spread_steps(total, self.num_points, first=max(1, total // 300))

        def measure() -> dict[str, Any]:
            return {
                f"{name}_log_likelihood": estimate(model.vae, part, _curve_estimator()).summary["log_likelihood"]
                for name, part in seen.items()
            }

        points = curves.learn(
            model.vae, train, batch_size=batch_size, seed=settings["seed"], measure=measure, places=algorithm == MCEM,
            steps=steps,
            progress=lambda text: print(text, file=sys.stderr, flush=True) if verbose else None,
        )  # fmt: skip
        # Each update of the weights counts its batch, and each example is looked at `updates` times.
        points = [point | {"examples": point["samples"], "samples": point["samples"] * updates} for point in points]
        test, final = curves.first(model.dataset.test, self.num_final), {}
        for name, estimator in _ESTIMATORS.items() if share == 1.0 else ():
            found = estimate(model.vae, test, estimator).summary
            final[name] = {key: found[key] for key in ("log_likelihood", "log_likelihood_standard_error",
                                                       "log_likelihood_monte_carlo_error", "warnings")}  # fmt: skip
        return {"curve": points, "final": final}

    def report(self, rows: Sequence[Row], folders: Mapping[str, str]) -> Report:
        def final(name: str, key: str = "log_likelihood") -> Any:
            return lambda row: row["final"][name][key]

        text = "\n\n".join([
            f"{DATA_NAMES[self.data]}, one layer of {self.hidden} tanh units, {self.latent_size} latents, weights from "
            "N(0, 0.01), maximum likelihood for all three, Adagrad with the step size that stood highest on "
            f"training data after {100 * _CHOSEN_AFTER:g} % of the run. log p(x), nats per example. The "
            f"curves are importance estimates (K = 1,000) on {self.num_examples:,} examples of each split; the table "
            f"has three estimators on the same {self.num_final} test examples, with their Monte Carlo errors: the "
            "paper's (appendix D), importance sampling with K = 5,000, and annealed importance sampling. Monte Carlo "
            "EM (appendix E): 10 leapfrog steps at an acceptance of 0.9, then 5 weight updates; its samples count "
            "each update. Here each training example keeps its chain between visits, and an encoder learns beside "
            "from the chains for the importance estimates; nothing of it reaches the model.",
            "![log p(x) over training samples](marginal_likelihood.png)",
            table(rows, [
                ("N", lambda row: row["settings"]["train_size"], ",d"),
                ("algorithm", lambda row: row["settings"]["algorithm"], ""),
                ("step size", lambda row: row["step_size"], "g"),
                ("samples", field("samples"), ",d"),
                ("examples visited", field("examples"), ",d"),
                ("curve's end, train", lambda row: row["train_log_likelihood"], ".2f"),
                ("curve's end, test", lambda row: row["test_log_likelihood"], ".2f"),
                ("curve's best, test", _best_test, ".2f"),
                ("appendix D", final("hmc_density"), ".2f"),
                ("+-", final("hmc_density", "log_likelihood_monte_carlo_error"), ".2f"),
                ("importance", final("importance"), ".2f"),
                ("+-", final("importance", "log_likelihood_monte_carlo_error"), ".2f"),
                ("AIS", final("ais"), ".2f"),
                ("+-", final("ais", "log_likelihood_monte_carlo_error"), ".2f"),
                ("minutes", lambda row: row["seconds"] / 60, ".1f"),
            ]),
            "Importance sampling and AIS are lower bounds of log p(x) in the mean, so the higher of the two is the "
            "nearer one: the headline's. +- is the spread of an estimate over its own draws, and says nothing of what "
            "all of them miss; the standard error over the images is "
            f"{_error(rows)}. Where AIS is higher by nats, q(z|x) fits the training examples and not these, and the "
            "curves, which draw from q, are too low by as much: there they do not rank the algorithms.",
            _warned(rows),
            "The paper prints curves and no numbers: AEVB and Monte Carlo EM come to much the same log p(x) on 1,000 "
            "images, wake-sleep stays below, and Monte Carlo EM is too slow for the full set. Here it "
            "visits few examples in its time. Where its curve ends below its best it has grown worse: the "
            "weights move on while chains of few visits have not come to their posterior.",
        ])  # fmt: skip
        ends = {(row["settings"]["train_size"], row["settings"]["algorithm"]): row for row in rows}
        parts = [
            f"N = {size:,}: "
            + ", ".join(
                f"{name} {_nearest(ends[size, name]):.2f} ({ends[size, name]['examples']:,} examples visited)"
                for name in ALGORITHMS
                if (size, name) in ends
            )
            for size in self.train_sizes
        ]
        headline = f"Test log p(x), nats, on {self.num_final} examples. {'; '.join(parts)}."
        return Report(headline=headline, text=text, figures={"marginal_likelihood.png": self._figure(rows)})

    def _figure(self, rows: Sequence[Row]) -> bytes:
        figure, (line,) = new_figure(columns=len(self.train_sizes), width=4.8, height=3.6)
        for axes, size in zip(line, self.train_sizes, strict=True):
            for row in (row for row in rows if row["settings"]["train_size"] == size):
                samples = [point["samples"] for point in row["curve"]]
                name = row["settings"]["algorithm"]
                for split, style in (("train", "--"), ("test", "-")):
                    values = [point[f"{split}_log_likelihood"] for point in row["curve"]]
                    axes.plot(samples, values, style, color=COLOURS[name], label=f"{name}, {split}", linewidth=1.2)
            axes.set(
                xscale="log",
                xlabel="training samples",
                ylabel="importance bound of log p(x), nats",
                title=f"N = {size:,}",
            )
            axes.legend(frameon=False, fontsize=7)
        return png_of(figure)


def _nearest(row: Row) -> float:
    """The highest of the lower bounds of log p(x), nats."""
    return max(row["final"][name]["log_likelihood"] for name in ("importance", "ais"))


def _best_test(row: Row) -> float:
    """The highest point of the curve of test examples."""
    return float(max(point["test_log_likelihood"] for point in row["curve"]))


def _error(rows: Sequence[Row]) -> str:
    """The standard errors over images of the headline's estimates."""
    errors = [max(row["final"].values(), key=field("log_likelihood"))["log_likelihood_standard_error"] for row in rows]
    return f"{min(errors):.1f} to {max(errors):.1f} nats"


def _warned(rows: Sequence[Row]) -> str:
    """What the estimators said of themselves."""
    said = [
        f"- {row['settings']['train_size']:,}, {row['settings']['algorithm']}: {re.split(' [(]|[:;]', warning)[0]}"
        for row in rows
        for name in row["final"]
        for warning in row["final"][name]["warnings"]
    ]
    return "\n".join(["What the estimators said of themselves:", "", *said]) if said else "No estimator warned."


def _curve_estimator() -> Estimator:
    return Importance(num_samples=1_000)
