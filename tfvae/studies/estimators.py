"""SGVB A against B, L and the size of a batch: the variance of the gradient, and the time to a given ELBO."""

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tfvae import random
from tfvae.data import DataSet
from tfvae.kinds import Objective
from tfvae.objectives import SGVB_A, SGVB_B
from tfvae.rows import batch_rows
from tfvae.studies import curves
from tfvae.studies.base import Cell, Report, Row, Study
from tfvae.studies.models import DATA_NAMES, base_config, described
from tfvae.studies.tables import field, new_figure, png_of, table

_NUM_TRAIN = {"digits": 1_350, "mnist": 59_000}
_OBJECTIVES: dict[str, Any] = {"A": SGVB_A, "B": SGVB_B}
WHOLE = 0  # stands for the whole training set, in the place of a batch size
_MOST_DRAWS = 300_000  # M L of a step, which are all in memory: more is left out
_DRAWS_AT_ONCE = 50_000  # of a gradient that is only looked at


@dataclasses.dataclass(kw_only=True, slots=True)
class Estimators(Study):
    """Gradients are compared at one model that has learned for some steps; times are those of training from the start.

    Attributes:
      data: `digits` or `mnist`.
      latent_size, hidden: the network.
      num_samples: L.
      batch_sizes: M; 0 stands for the whole training set.
      warm_up_steps: of the model whose gradients are compared, of batches of 100.
      num_gradients: draws of the batch and the noise, for the variance.
      target: validation ELBO, nats, whose time is taken.
      seconds_limit: a run that has not come there by then ends.
      learning_rate: of Adam for M = 100; it grows with the square root of M.
      highest_rate: where that ends.
      seed: of all.
    """

    title: ClassVar[str] = "How many samples, and how large a batch"
    source: ClassVar[str] = "Kingma & Welling 2013, section 2.3 (equations 6 to 8)"
    grid: ClassVar[tuple[str, ...]] = ("num_samples", "batch_sizes")
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"data": "digits", "latent_size": 8, "hidden": 64, "num_samples": (1, 5), "batch_sizes": (10, 100, 0),
                  "warm_up_steps": 300, "num_gradients": 50, "target": -27.0, "seconds_limit": 10.0},
        "full": {},
    }  # fmt: skip

    data: str = "mnist"
    latent_size: int = 20
    hidden: int = 500
    num_samples: tuple[int, ...] = (1, 5, 25)
    batch_sizes: tuple[int, ...] = (1, 10, 100, 1_000, WHOLE)
    warm_up_steps: int = 1_000
    num_gradients: int = 100
    target: float = -120.0
    seconds_limit: float = 30.0
    learning_rate: float = 1e-3
    highest_rate: float = 4e-3
    seed: int = 0

    @property
    def cells(self) -> Sequence[Cell]:
        return [
            Cell(
                f"{estimator.lower()}_l{num_samples}_m{batch_size or 'all'}",
                {"estimator": estimator, "num_samples": num_samples, "batch_size": batch_size, "seed": self.seed,
                 "target": self.target, "seconds_limit": self.seconds_limit},
            )
            for estimator in _OBJECTIVES
            for num_samples in self.num_samples
            for batch_size in self.batch_sizes
            if (batch_size or _NUM_TRAIN[self.data]) * num_samples <= _MOST_DRAWS
        ]  # fmt: skip

    def rate(self, batch_size: int) -> float:
        """Adam's rate for batches of this size."""
        return min(self.learning_rate * math.sqrt(batch_size / 100), self.highest_rate)

    def _fresh(self, cell: Cell, batch_size: int, objective: Objective, dataset: DataSet | None = None) -> curves.Fresh:
        config = base_config(
            self.data, latent_size=self.latent_size, hidden=(self.hidden,), objective=objective,
            training__learning_rate=self.rate(batch_size), training__seed=cell.settings["seed"],
            training__batch_size=batch_size,
        )  # fmt: skip
        return curves.fresh(config, dataset=dataset)

    def run(self, cell: Cell, folder: str, *, verbose: bool) -> Row:
        settings = cell.settings
        objective = _OBJECTIVES[settings["estimator"]](num_samples=settings["num_samples"])
        model = self._fresh(cell, 100, SGVB_B())
        size = model.dataset.train.num_examples
        batch_size = min(settings["batch_size"] or size, size)
        curves.learn(
            model.vae, model.dataset.train, batch_size=100, seed=settings["seed"], steps=[self.warm_up_steps],
            measure=dict,
        )  # fmt: skip
        # A gradient of the whole set and 25 samples takes seconds, and varies little.
        count = max(10, self.num_gradients // max(1, batch_size * settings["num_samples"] // 1_000))
        gradients = gradient_moments(model, objective, batch_size=batch_size, count=count, seed=settings["seed"])
        found = self._time_to_target(cell, objective, batch_size, model.dataset, verbose=verbose)
        return gradients | found | {"learning_rate": self.rate(batch_size), "config": described(model.config)}

    def _time_to_target(
        self, cell: Cell, objective: Objective, batch_size: int, dataset: DataSet, *, verbose: bool
    ) -> Row:
        model = self._fresh(cell, batch_size, objective, dataset)
        x, split = curves.examples_of(model.dataset.validation, 1_000), model.dataset.train
        # Few enough between two looks that a run does not pass far beyond the target.
        chunk = max(100 if model.vae.use_jit("auto") else 1, 5_000 // batch_size)
        chunk = min(chunk, split.steps_per_epoch(batch_size))

        def fit(first: int) -> float:
            return curves.fit(model.vae, split, batch_size=batch_size, seed=self.seed, first=first, last=first + chunk)

        compiled(model.vae, fit)
        # (steps, seconds, ELBO) at each look.
        looks = [(0, 0.0, curves.elbo(model.vae, x))]
        while looks[-1][2] < self.target and looks[-1][1] < self.seconds_limit:
            step, seconds, _ = looks[-1]
            seconds += fit(step)
            looks.append((step + chunk, seconds, curves.elbo(model.vae, x)))
        step, seconds, bound = looks[-1]
        if verbose:
            print(f"  {step:,} steps, {seconds:.1f} s, ELBO {bound:.2f}", file=sys.stderr, flush=True)
        reached = bound >= self.target
        at_step, at_seconds = crossing(looks, self.target) if reached else (None, None)
        return {
            "reached": reached,
            "seconds_to_target": at_seconds,
            "samples_to_target": None if at_step is None else at_step * batch_size,
            "elbo": bound,
            "steps": step,
        }

    def report(self, rows: Sequence[Row], folders: Mapping[str, str]) -> Report:
        by = {(r["settings"]["estimator"], r["settings"]["num_samples"], r["settings"]["batch_size"]): r for r in rows}
        reached = [row for row in rows if row["reached"]]
        fastest = min(reached, key=field("seconds_to_target")) if reached else None
        text = "\n\n".join([
            f"{DATA_NAMES[self.data]}, {self.hidden}-{self.latent_size}, tanh, Adam at {self.learning_rate:g} for "
            f"M = 100; the rate grows with the square root of M, up to {self.highest_rate:g}, and is not searched for. "
            "The noise of a gradient is its "
            "total variance over draws of the batch and of z, divided by the squared norm of its mean, at one model "
            f"after {self.warm_up_steps:,} steps. The time is that of training alone, from fresh weights to a "
            f"validation ELBO of {self.target:g} nats (one draw of z, 1,000 images), at most {self.seconds_limit:.0f} "
            "s and the steps then under way, by a straight line between the two looks around it; compilation "
            f"is not counted. Cells of more than {_MOST_DRAWS:,} draws a step are left out. Seconds are "
            "of a shared machine and a single run.",
            table(rows, [
                ("estimator", field("settings", "estimator"), ""),
                ("L", field("settings", "num_samples"), "d"),
                ("M", lambda row: row["settings"]["batch_size"] or "all", ""),
                ("rate", field("learning_rate"), ".2g"),
                ("noise of the gradient", field("relative_variance"), ".3g"),
                ("noise, times M L", field("relative_variance_per_draw"), ".3g"),
                ("s to the target", field("seconds_to_target"), ".1f"),
                ("examples to the target", field("samples_to_target"), ",.0f"),
                ("ELBO at the end", field("elbo"), ".1f"),
            ]),
            "![Noise of the gradient, and time to the target](estimators.png)",
            self._said(by),
        ])  # fmt: skip
        headline = "No run came to the target."
        if fastest is not None:
            best = fastest["settings"]
            batches = f"batches of {best['batch_size']}" if best["batch_size"] else "the whole set"
            place = (best["num_samples"], best["batch_size"])
            alike = [row for key, row in by.items() if key[1:] == place and row["reached"]]
            times = ", ".join(f"{row['seconds_to_target']:.1f} s ({row['settings']['estimator']})" for row in alike)
            headline = f"The target of {self.target:g} nats is reached first with L = {place[0]}, {batches}: {times}."
        return Report(headline=headline, text=text, figures={"estimators.png": self._figure(by)})

    def _said(self, by: Mapping[tuple[str, int, int], Row]) -> str:
        said = []
        for batch_size in self.batch_sizes:
            pair = by.get(("A", 1, batch_size)), by.get(("B", 1, batch_size))
            if all(pair):
                a, b = (row["relative_variance"] for row in pair)  # type: ignore[index]
                said.append(f"{batch_size or 'all'}: {a / b:.2f}")
        text = f"With L = 1 the variance of A is that of B times, by batch size: {', '.join(said)}. " if said else ""
        most = self.num_samples[-1]
        one, many = by.get(("B", 1, 100)), by.get(("B", most, 100))
        if one and many:
            times = one["relative_variance"] / many["relative_variance"]
            text += (
                f"At batches of 100, L = {most} costs {most} times the decoding and divides the variance of B by "
                f"{times:.2f}; the variance over examples, which more draws of z do not touch, is the rest. "
            )
        return text + f"Batch variational Bayes, each step on the whole set: {self._whole(by)}."

    def _whole(self, by: Mapping[tuple[str, int, int], Row]) -> str:
        row = by.get(("B", 1, WHOLE))
        if row is None:
            return "not run"
        found, few = f"{row['steps']} steps and an ELBO of {row['elbo']:.1f} when it ended", by.get(("B", 1, 100))
        if few is None or not few["reached"]:
            return found
        examples = row["steps"] * _NUM_TRAIN[self.data]
        reached = f"batches of 100 are at {self.target:g} nats after {few['samples_to_target']:,.0f}"
        return f"{found}, after {examples:,} examples; {reached}"

    def _figure(self, by: Mapping[tuple[str, int, int], Row]) -> bytes:
        figure, ((left, right),) = new_figure(columns=2, width=5.0, height=3.8)
        names = [str(size or "all") for size in self.batch_sizes]
        for estimator, style in (("A", "--"), ("B", "-")):
            for shade, num_samples in enumerate(self.num_samples):
                rows = [by.get((estimator, num_samples, size)) for size in self.batch_sizes]
                colour = f"C{shade}"
                for axes, name in ((left, "relative_variance"), (right, "seconds_to_target")):
                    values = [np.nan if row is None or row[name] is None else row[name] for row in rows]
                    axes.plot(names, values, "o" + style, color=colour, label=f"{estimator}, L = {num_samples}")
        left.set(yscale="log", xlabel="batch size M", ylabel="noise of the gradient")
        right.set(xlabel="batch size M", ylabel=f"s to an ELBO of {self.target:g} nats")
        if any(row["seconds_to_target"] for row in by.values()):
            right.set_yscale("log")
        left.legend(frameon=False, fontsize=7)
        return png_of(figure)


def gradient_moments(
    model: curves.Fresh, objective: Objective, *, batch_size: int, count: int, seed: int
) -> dict[str, float]:
    """The noise of the gradient of the mean loss: tr Cov(g) / |E g|^2 over draws of the batch and of z.

    |E g|^2 is estimated without its upward bias, |mean g|^2 - tr Cov(g) / count, and held above 0.

    Args:
      model: whose gradients; its weights are left as they are.
      objective: what is differentiated.
      batch_size: M.
      count: draws of the batch and of z.
      seed: of both.

    Returns:
      `relative_variance`, and `relative_variance_per_draw`, that times M L.
    """
    vae = model.vae
    vae.compile(vae.optimizer, objective=objective)
    # Rows are taken so many at once that their draws fit into memory; the gradient of a mean is the mean of these.
    most = max(1, _DRAWS_AT_ONCE // objective.num_samples)
    rows_at_once = next(size for size in range(min(batch_size, most), 0, -1) if batch_size % size == 0)

    @tf.function(jit_compile=vae.use_jit("auto"), autograph=False)
    def gradient(x: tf.Tensor, step: tf.Tensor, first_row: tf.Tensor) -> tf.Tensor:
        rows = batch_rows(
            tf.constant(x.shape[0], tf.int64), size=x.shape[0], weights=None, seed=seed, stream=random.TRAINING,
            step=step, first_row=first_row,
        )  # fmt: skip
        with tf.GradientTape() as tape:
            loss, _ = vae._loss(x, rows)
        return tf.concat([tf.reshape(g, [-1]) for g in tape.gradient(loss, vae.trainable_variables)], axis=0)

    total: Any = 0.0
    squares, number = 0.0, 0
    for x in model.dataset.train.training_batches(batch_size=batch_size, seed=seed + 1):
        if x.shape[0] < batch_size:
            continue
        starts = range(0, batch_size, rows_at_once)
        parts = [
            gradient(x[start : start + rows_at_once], tf.constant(number, tf.int64), tf.constant(start, tf.int64))
            for start in starts
        ]
        found = np.mean([part.numpy().astype(np.float64) for part in parts], axis=0)
        total, squares, number = total + found, squares + float(found @ found), number + 1
        if number == count:
            break
    mean = total / number
    variance = (squares - number * float(mean @ mean)) / (number - 1)
    norm = max(float(mean @ mean) - variance / number, 1e-12)
    relative = variance / norm
    return {"relative_variance": relative, "relative_variance_per_draw": relative * batch_size * objective.num_samples,
            "num_gradients": number}  # fmt: skip


def compiled(vae: Any, fit: Callable[[int], float]) -> None:
    """Runs `fit` once, so that it is compiled, and brings weights, optimizer and counters back to where they were."""
    vae.optimizer.build(vae.trainable_variables)
    variables = [*vae.variables, *vae.optimizer.variables]
    before = [variable.numpy() for variable in variables]
    fit(0)
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)


def crossing(looks: Sequence[tuple[int, float, float]], target: float) -> tuple[float, float]:
    """Steps and seconds at which the ELBO, straight between the last two looks, passes the target."""
    if len(looks) == 1:
        return looks[0][:2]
    (step0, seconds0, bound0), (step1, seconds1, bound1) = looks[-2:]
    share = (target - bound0) / (bound1 - bound0)
    return step0 + share * (step1 - step0), seconds0 + share * (seconds1 - seconds0)
