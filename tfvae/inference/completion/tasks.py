"""The tasks of `tools/complete.py`: what is asked for -> what was observed, its completion, a sheet and figures.

To add a task, write a function of a `Request` below the others and decorate it.
"""

import dataclasses
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from tfvae.errors import InputError
from tfvae.inference.completion import masks
from tfvae.inference.completion.base import METHODS, Problem
from tfvae.inference.completion.complete import VALUES, Completion, complete
from tfvae.inference.completion.discrete import Kind
from tfvae.inference.completion.downsampling import Downsampled, factors
from tfvae.inference.completion.noise import BernoulliNoise, GaussianNoise, SaltAndPepper
from tfvae.inference.completion.observations import Masked, Observation, in_range
from tfvae.inference.completion.observed_input import read_observed
from tfvae.inference.inputs import Examples, open_input
from tfvae.inference.model import Model
from tfvae.inference.sheet import SUFFIXES, Sheet

NOISES = ("gaussian", "salt_and_pepper", "bernoulli")
_SMALL = 16  # pixels of a side, below which super-resolution is about 2x, and else about 4x
DEFAULT_METHOD = "hmc"  # the best of docs/results/completion for every task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for; the fields are flags of `tools/complete.py`.

    Attributes:
      model: the model.
      corrupted: whether the input is y, and not a clean x that is to be made one.
      others: as the flags say.
    """

    model: Model
    task: str = "inpaint"
    method: str = DEFAULT_METHOD
    mask: str = "lower_half"
    noise: str = "gaussian"
    sigma: float = 0.5
    share: float = 0.2
    factor: int | None = None
    corrupted: bool = False
    input: str | None = None
    split: str = "test"
    count: int = 8
    num_samples: int = 200
    num_draws: int = 5
    values: str = "sample"
    label: int | None = None
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Given:
    """What was observed.

    Attributes:
      observation: p(y|x).
      y: float32 `[n, *shape of y]`.
      truth: x, `[n, *item_shape]`, where it is known.
      labels: int64 `[n]`, of a conditional model.
    """

    observation: Observation
    y: np.ndarray
    truth: np.ndarray | None
    labels: np.ndarray | None


TASKS: dict[str, Callable[[Request], Given]] = {}


def _task(function: Callable[[Request], Given]) -> Callable[[Request], Given]:
    TASKS[function.__name__.lstrip("_")] = function
    return function


@_task
def _inpaint(request: Request) -> Given:
    """Numbers behind a mask."""
    if request.mask == masks.NAN:
        y, labels, examples = read_observed(request.model, request.input, request.model.item_shape, request.count)
        masks.check(~np.isnan(y), masks.NAN)
        return _given(request, Masked(), in_range(request.model, y), None, labels, examples)
    x, labels, examples = _clean(request)
    observation = Masked(masks.mask(request.mask, request.model.item_shape, len(x), seed=request.seed))
    return _given(request, observation, observation.observe(x), None if request.corrupted else x, labels, examples)


@_task
def _denoise(request: Request) -> Given:
    """Noise on every number."""
    noises: dict[str, Callable[[], Observation]] = {
        "gaussian": lambda: GaussianNoise(sigma=request.sigma),
        "salt_and_pepper": lambda: SaltAndPepper.of(request.model, request.share),
        "bernoulli": lambda: BernoulliNoise.of(request.model, request.share),
    }
    return _corrupted(request, noises[request.noise](), request.model.item_shape)


@_task
def _super_resolution(request: Request) -> Given:
    """Means of blocks of pixels."""
    shape = request.model.item_shape
    usual = 4 if len(shape) < 2 or min(shape[:2]) >= _SMALL else 2
    known = factors(shape) if len(shape) >= 2 else []
    observation = Downsampled(request.factor or min(known, key=lambda factor: abs(factor - usual), default=usual))
    observation.check(shape)
    return _corrupted(request, observation, observation.observed_shape(shape))


def _corrupted(request: Request, observation: Observation, observed_shape: tuple[int, ...]) -> Given:
    """An input that is y, or a clean one that becomes it."""
    if request.corrupted:
        y, labels, examples = read_observed(request.model, request.input, observed_shape, request.count)
        if np.isnan(y).any():
            raise InputError("--input: received NaN, expected numbers, or --task=inpaint --mask=nan")
        return _given(request, observation, y, None, labels, examples)
    x, labels, examples = _clean(request)
    return _given(request, observation, observation.observe(x, seed=request.seed), x, labels, examples)


def _clean(request: Request) -> tuple[np.ndarray, np.ndarray | None, Examples]:
    examples = open_input(request.model, request.input, split=request.split)
    x, labels = examples.first(request.count)
    if not len(x):
        raise InputError("--input: received no examples, expected some")
    return x, labels, examples


def _given(
    request: Request,
    observation: Observation,
    y: np.ndarray,
    truth: np.ndarray | None,
    labels: np.ndarray | None,
    examples: Examples,
) -> Given:
    """With the labels that a conditional model takes."""
    labels = examples.given_labels(request.model, labels, request.label, count=len(y))
    return Given(observation, y.astype(np.float32), truth, labels)


def run(request: Request) -> tuple[Given, Completion]:
    """Completes what is asked for.

    Raises:
      InputError: for an unknown name, a number out of range, or what the model or the input does not fit.
    """
    known: dict[str, Collection[str]] = {"task": TASKS, "method": METHODS, "noise": NOISES, "values": VALUES}
    for field, names in known.items():
        if getattr(request, field) not in names:
            raise InputError(f"--{field}: received {getattr(request, field)!r}, expected one of: {', '.join(names)}")
    method = METHODS[request.method](num_samples=request.num_samples)
    if method.needs_mask and request.task != "inpaint":
        others = ", ".join(name for name, cls in METHODS.items() if not cls.needs_mask)
        raise InputError(f"--method: received {request.method}, which is for inpaint, expected one of: {others}")
    given = TASKS[request.task](request)
    problem = Problem(request.model, given.observation, given.y, given.labels, seed=request.seed)
    found = complete(problem, method, num_draws=request.num_draws, values=request.values, truth=given.truth)
    return given, found


def sheet(request: Request, given: Given, found: Completion, *, suffix: str = ".png") -> Sheet:
    """What a file shows: rows of truth (if known), observed, mean, draws and uncertainty; of a film the draws alone.

    A file of the data's own kind, such as a table, has each example once, completed: see `completed`.
    """
    model = request.model
    if suffix not in SUFFIXES:
        return Sheet(completed(request, found), 1)
    shape = model.item_shape
    shown = given.observation.shown(given.y, shape)
    missing = given.observation.missing(given.y, shape)
    spread = 2 * found.stddev  # of a binary number at most 1
    if model.low is not None and model.high is not None:
        spread = model.low + np.minimum(spread, model.high - model.low)
        # Of a code the probability that it is another one.
        unordered = Kind.of(model).unordered(shape)
        spread = np.where(unordered, model.low + found.stddev**2 * (model.high - model.low), spread)
    columns = [shown, found.mean, *found.draws, spread]
    if given.truth is not None:
        columns.insert(0, given.truth)
    if suffix == ".gif":
        columns = list(found.draws)
    arrays = {
        "observed": given.y, "mask": ~missing, "mean": found.mean, "stddev": found.stddev, "draws": found.draws,
        "z": found.z, **found.diagnostics,
    }  # fmt: skip
    arrays |= {} if given.truth is None else {"truth": given.truth}
    arrays |= {} if given.labels is None else {"labels": given.labels}
    arrays |= {} if found.log_likelihood is None else {"log_likelihood": found.log_likelihood}
    items = np.stack(columns, axis=1).reshape(-1, *shape)
    return Sheet(items.astype(np.float32), len(columns), arrays)


def completed(request: Request, found: Completion) -> np.ndarray:
    """Each example once, `[n, *item_shape]`: its mean, or the first draw of items all of codes, such as lines of text.

    The most probable characters by themselves make no word.
    """
    text = Kind.of(request.model).unordered(request.model.item_shape).all()
    return found.draws[0] if text and len(found.draws) else found.mean


def figures(request: Request, given: Given, found: Completion) -> dict[str, Any]:
    """What is said of a completion: of a known truth, the squared error of each missing number and log p(x|y).

    Of codes without an order it is the share of wrong ones, `error_rate`; `values` says what the draws are.
    """
    missing = given.observation.missing(given.y, request.model.item_shape)
    unordered = Kind.of(request.model).unordered(request.model.item_shape)
    said: dict[str, Any] = {
        "task": request.task, "method": request.method, "num_examples": len(given.y),
        "num_samples": len(found.z), "missing_numbers": float(missing.sum() / len(missing)),
        "uncertainty": float(found.stddev[missing].mean()), "values": found.values,
    }  # fmt: skip
    if given.truth is not None and found.log_likelihood is not None:
        known = missing & ~np.isnan(given.truth)
        numbers, codes = known & ~unordered, known & unordered
        if numbers.any():
            said["mean_squared_error"] = float(((found.mean - given.truth)[numbers] ** 2).mean())
        if codes.any():
            said["error_rate"] = float((found.mean != given.truth)[codes].mean())
        said["log_likelihood"] = float(found.log_likelihood.mean())
    return said | {name: float(np.mean(values)) for name, values in found.diagnostics.items()}
