"""The modes of `tools/generate.py`: what is asked for -> a sheet, and figures where there are some.

To add one, write a function of a `Request` below the others and decorate it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from tfvae.errors import InputError
from tfvae.inference import attributes, pictures
from tfvae.inference.generation import VALUES, AggregatePosterior, samples
from tfvae.inference.inputs import Examples, check_label, open_input
from tfvae.inference.interpolation import interpolation as between
from tfvae.inference.model import Model
from tfvae.inference.sheet import Sheet

LATENTS = ("prior", "aggregate")

_Made = tuple[Sheet, dict[str, Any] | None]
MODES: dict[str, Callable[["Request"], _Made]] = {}

_LEARNED = 10_000  # training examples that codes, directions and classifiers come from
_LOOKED_AT = 500  # examples that tell which latents are active, and how far they reach
_JUDGED = 200  # examples that an attribute is judged by
_HELD_OUT = 4  # one in so many of --positive and --negative is not learned from


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for; the fields are flags of `tools/generate.py`, None where the mode chooses.

    Attributes:
      model: the model.
      others: as the flags say.
    """

    model: Model
    input: str | None = None
    split: str = "test"
    seed: int = 0
    count: int | None = None
    columns: int | None = None
    label: int | None = None
    latents: str = "prior"
    values: str = "mean"
    temperature: float = 1.0
    dimensions: tuple[int, ...] | None = None
    path: str = "linear"
    attribute: str | None = None
    direction: str = "means"
    positive: str | None = None
    negative: str | None = None
    strength: float = 1.5

    def examples(self, count: int) -> tuple[np.ndarray, np.ndarray | None]:
        """The first examples of the input, and for a conditional model their labels."""
        opened = open_input(self.model, self.input, split=self.split)
        x, labels = opened.first(count)
        return x, self.labels(opened, labels, len(x))

    def labels(self, opened: Examples, labels: np.ndarray | None, count: int) -> np.ndarray | None:
        """What a conditional model is given beside `count` examples with these labels."""
        return opened.given_labels(self.model, labels, self.label, count=count)

    def training(self) -> Examples:
        """The training examples of the model's own source."""
        return open_input(self.model, split="train")


def make(mode: str, request: Request) -> _Made:
    """The sheet of a mode, and figures or None; raises `InputError` for what cannot be had."""
    if request.label is not None:
        check_label(request.model, request.label)
    return MODES[mode](request)


def _mode(function: Callable[[Request], _Made]) -> Callable[[Request], _Made]:
    MODES[function.__name__] = function
    return function


@_mode
def prior(request: Request) -> _Made:
    """New data."""
    for flag, value, known in (("latents", request.latents, LATENTS), ("values", request.values, VALUES)):
        if value not in known:
            raise InputError(f"--{flag}: received {value!r}, expected one of: {', '.join(known)}")
    aggregate = None
    if request.latents == "aggregate":
        training = request.training()
        x, labels = training.first(_LEARNED)
        given = training.given_labels(request.model, labels, None)
        aggregate = AggregatePosterior.fit(request.model, x, given, seed=request.seed)
    sheet = samples(
        request.model, request.count or 100, seed=request.seed, label=request.label, values=request.values,
        temperature=request.temperature, aggregate=aggregate, columns=request.columns or 10,
    )  # fmt: skip
    return sheet, None


@_mode
def manifold(request: Request) -> _Made:
    """A grid over two latents."""
    x, labels = None, None
    if request.model.latent_size > 2 and request.dimensions is None:
        x, labels = request.examples(_LOOKED_AT)
    latents = None
    if request.dimensions is not None:
        if len(request.dimensions) != 2:
            raise InputError(f"--dimensions: received {list(request.dimensions)}, expected two latents for manifold")
        latents = (request.dimensions[0], request.dimensions[1])
    made = pictures.manifold(
        request.model, x, labels, latents=latents, label=request.label or 0, seed=request.seed,
        columns=request.columns or 20,
    )  # fmt: skip
    return made, None


@_mode
def interpolation(request: Request) -> _Made:
    """From one example to another."""
    pairs = request.count or 8
    x, labels = request.examples(2 * pairs)
    if len(x) < 2:
        raise InputError(f"--input: received {len(x)} example, expected at least two to go between")
    pairs = len(x) // 2
    ends = x[:pairs], x[pairs : 2 * pairs]
    given = (None, None) if labels is None else (labels[:pairs], labels[pairs : 2 * pairs])
    return between(request.model, *ends, *given, path=request.path, columns=request.columns or 11), None


@_mode
def traversal(request: Request) -> _Made:
    """One latent at a time, the most active first."""
    x, labels = request.examples(_LOOKED_AT)
    made = pictures.traversal(
        request.model, x, labels, seed=request.seed, latents=request.dimensions, rows=request.count or 10,
        columns=request.columns or 11,
    )  # fmt: skip
    return made, None


@_mode
def attribute(request: Request) -> _Made:
    """What a label, or a folder of examples, stands for, added to examples without it."""
    if (request.positive is None) != (request.negative is None):
        missing = "--positive" if request.positive is None else "--negative"
        raise InputError(f"{missing}: received none, expected a file or folder, as the other one is given")
    kinds = _by_labels(request) if request.positive is None else _by_folders(request)
    model, steps = request.model, (request.columns or 7) - 1
    found = attributes.find_attribute(
        *(attributes.codes(model, kinds.x[which], None if kinds.labels is None else kinds.labels[which])
          for which in (kinds.has, ~kinds.has)), name=kinds.name, method=request.direction,
    )  # fmt: skip
    strengths = np.linspace(0.0, request.strength, steps)
    x, labels = kinds.without
    judged = attributes.steer(
        model, x[:_JUDGED], found, None if labels is None else labels[:_JUDGED], strengths=(0.0, request.strength)
    )
    figures = attributes.judge(model, judged, (kinds.x, kinds.known), *kinds.wanted, unseen=kinds.unseen)
    count = request.count or 8
    shown = attributes.steer(model, x[:count], found, None if labels is None else labels[:count], strengths=strengths)
    return shown, figures | {"direction": request.direction}


@dataclasses.dataclass(frozen=True)
class _Kinds:
    """Examples that an attribute is learned from.

    Attributes:
      name: of the attribute.
      x, labels: training examples, and their labels for a conditional model.
      has: bool `[n]`: which of them have it.
      known: every attribute's values, integers `[n]`, by name.
      wanted: the name of the attribute among them, and its value.
      without: examples that are to be steered, and their labels for a conditional model.
      unseen: examples that nothing is learned from, and every attribute's values, where some are held out.
    """

    name: str
    x: np.ndarray
    labels: np.ndarray | None
    has: np.ndarray
    known: dict[str, np.ndarray]
    wanted: tuple[str, int]
    without: tuple[np.ndarray, np.ndarray | None]
    unseen: tuple[np.ndarray, dict[str, np.ndarray]] | None = None


def _by_labels(request: Request) -> _Kinds:
    if request.model.num_labels:
        raise InputError(
            f"--attribute: received {request.attribute or 'none'}, expected --positive and --negative: "
            f"{request.model.origin} is a conditional model, which keeps the label that it is given; to change the "
            "label use --mode=prior --label=... or --mode=interpolation"
        )
    training = request.training()
    x, labels = training.first(_LEARNED)
    if labels is None:
        raise InputError(
            "--attribute: the training data have no labels, expected --positive and --negative: files or folders of "
            "examples with the attribute and without"
        )
    known = training.attributes(labels)
    name, value = _wanted(request.attribute, known, training.label_names)
    opened = open_input(request.model, request.input, split=request.split)
    items, theirs = opened.first()
    given = request.labels(opened, theirs, len(items))
    if theirs is not None:
        lacking = opened.attributes(opened.model_labels(theirs)).get(name, np.full(len(items), -1)) != value
        items, given = items[lacking], None if given is None else given[lacking]
    if not len(items):
        raise InputError(f"--input: received examples that all have {name} = {value}, expected some without it")
    return _Kinds(
        f"{name} = {value}", x, training.given_labels(request.model, labels, None), known[name] == value, known,
        (name, value), (items, given),
    )  # fmt: skip


def _by_folders(request: Request) -> _Kinds:
    """Every fourth example of either side is held out, so that the judge and the direction have not seen it."""
    sides = []
    for flag, path in (("--positive", request.positive), ("--negative", request.negative)):
        opened = open_input(request.model, path, flag=flag)
        x, labels = opened.first(_LEARNED)
        if len(x) < 2:
            raise InputError(
                f"{flag}: received {len(x)} example, expected at least two: one to learn from, one held out"
            )
        sides.append((x, request.labels(opened, labels, len(x))))
    x = np.concatenate([side[0] for side in sides])
    labels = None if sides[0][1] is None or sides[1][1] is None else np.concatenate([sides[0][1], sides[1][1]])
    has = np.arange(len(x)) < len(sides[0][0])
    held = np.concatenate([np.arange(len(side[0])) % _HELD_OUT == 0 for side in sides])

    def chosen(which: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        return x[which], None if labels is None else labels[which]

    steered = chosen(held & ~has) if request.input is None else request.examples(max(_JUDGED, request.count or 8))
    return _Kinds(
        "--positive", *chosen(~held), has[~held], {"positive": has[~held].astype(int)}, ("positive", 1), steered,
        unseen=(x[held], {"positive": has[held].astype(int)}),
    )  # fmt: skip


def _wanted(given: str | None, known: dict[str, np.ndarray], label_names: tuple[str, ...]) -> tuple[str, int]:
    """The attribute and the value that `--attribute` names: a label by number or name, or <factor>=<value>."""
    name, _, value = (given or "").rpartition("=")
    name = name or next(iter(known))
    values = known.get(name)
    if values is None:
        raise InputError(f"--attribute: received {given!r}, expected one of: {', '.join(f'{n}=...' for n in known)}")
    if given is None:
        return name, int(values.min())
    chosen = label_names.index(value) if value in label_names else int(value) if value.isdecimal() else -1
    if chosen not in values:
        names = [label_names[v] if label_names and name == "label" else str(v) for v in np.unique(values)]
        listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        raise InputError(f"--attribute: received {given!r}, an unknown value, expected one of: {listed}")
    return name, chosen
