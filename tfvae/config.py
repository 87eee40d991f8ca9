"""The typed schema of a run: one dataclass a component, its JSON form, and its validation.

`get_config()` in a config file returns a `Config`. The parts of the model are
components that the config file chooses; every field can be set on the command line
as `--config.model.latent_size=32`.

This file imports no TensorFlow. It must not say `from __future__ import annotations`:
ml_collections reads the real types of the fields.
"""

import dataclasses
import json
import math
import os
import runpy
import types
import typing
from typing import Any

from tfvae.component import Component, FieldError, bounded, choice
from tfvae.errors import InputError
from tfvae.kinds import Likelihood, Network, Objective, Posterior, Prior
from tfvae.schedules import Constant, Schedule


@dataclasses.dataclass(kw_only=True, slots=True)
class DataConfig:
    """Where examples come from and how they are prepared: see `tfvae.data`.

    Attributes:
      source: `digits`, `tfds:<name>`, `npz:<file>`, `images:<folder>` or `tfrecord:<glob>`.
      data_dir: folder of prepared TFDS sets; empty: `TFDS_DATA_DIR` or TFDS's default.
      download: whether TFDS may download a set that is not prepared.
      train_split, validation_split, test_split: TFDS split expressions or TFRecord globs;
        empty: the source's own split, or the rule documented in `tfvae.data.splits`.
      validation_fraction, test_fraction: what the rule holds out, as a share of the whole.
      split_order: `random` permutes (seeded) before it cuts, `sequential` keeps the order of
        the source, for frames of a video where neighbours would leak.
      split_seed: seed of that permutation.
      item_shape: shape of one example; empty: as found in the data.
      resize: (height, width) that images of a folder, TFDS or TFRecords get; empty: as they are.
      grayscale: whether they become one channel.
      binarization: how grey becomes 0/1: see `tfvae.data.pipeline`.
      threshold: a pixel above it is 1, for `binarization = "threshold"`.
      dequantize: adds uniform noise of one grey level, for continuous likelihoods on
        quantized data; makes bits per dimension comparable (Theis et al. 2016, section 3.1).
      shuffle_buffer: examples in the shuffle buffer of streamed sources.
      memory_limit_mb: sources larger than this are streamed.
    """

    source: str = "digits"
    data_dir: str = ""
    download: bool = True
    train_split: str = ""
    validation_split: str = ""
    test_split: str = ""
    validation_fraction: float = bounded(0.1, low=0.0, high=0.9, open_low=True)
    test_fraction: float = bounded(0.1, low=0.0, high=0.9, open_low=True)
    split_order: str = choice("random", "sequential")
    split_seed: int = bounded(0, low=0, high=2**32 - 1)
    item_shape: tuple[int, ...] = bounded((), low=1)
    resize: tuple[int, ...] = bounded((), low=1)
    grayscale: bool = False
    binarization: str = choice("none", "static", "dynamic", "threshold")
    threshold: float = bounded(0.5, low=0.0, high=1.0)
    dequantize: bool = False
    shuffle_buffer: int = bounded(10_000, low=1)
    memory_limit_mb: int = bounded(2_048, low=0)

    def validate(self) -> None:
        if self.resize and len(self.resize) != 2:
            raise FieldError("resize", self.resize, "(height, width) or ()")
        if self.dequantize and self.binarization != "none":
            raise FieldError("dequantize", True, f"False with binarization {self.binarization!r}")


@dataclasses.dataclass(kw_only=True, slots=True)
class ModelConfig:
    """The parts of a VAE: q(z|x), p(z), p(x|z) and the networks between them.

    Attributes:
      output_bias_from_data: starts the decoder's output at the mean of the training data.
    """

    latent_size: int = bounded(2, low=1)
    posterior: Posterior
    prior: Prior
    likelihood: Likelihood
    network: Network
    output_bias_from_data: bool = True


@dataclasses.dataclass(kw_only=True, slots=True)
class TrainingConfig:
    """How the parameters are learned.

    Attributes:
      learning_rate: multiplied by `learning_rate_schedule` at each step.
      gradient_clip_norm: largest global norm of a gradient; 0: no clipping.
      seed: of the initialisation, the order of the data and all noise.
      steps_per_execution: optimizer steps in one compiled call; 0: chosen by `jit_compile`.
      jit_compile: XLA; `auto` is on for dense networks and on GPUs, off for
        convolutions on a CPU, where it is over ten times slower.
      strategy: `auto` takes all GPUs there are, or the one device.
      precision: of the networks; distributions and losses are always float32.
      early_stopping_patience: epochs without a better validation ELBO before the run
        ends; 0: never.
      pictures_every: epochs between pictures in TensorBoard; 0: none.
      checkpoints_to_keep: the newest ones; the best is kept besides.
    """

    num_epochs: int = bounded(50, low=1)
    batch_size: int = bounded(100, low=1)
    optimizer: str = choice("adam", "adamw", "adagrad", "rmsprop", "sgd")
    learning_rate: float = bounded(1e-3, low=0.0, open_low=True)
    learning_rate_schedule: Schedule = dataclasses.field(default_factory=Constant)
    gradient_clip_norm: float = bounded(0.0, low=0.0)
    seed: int = bounded(0, low=0, high=2**32 - 1)
    steps_per_execution: int = bounded(0, low=0)
    jit_compile: str = choice("auto", "on", "off")
    strategy: str = choice("auto", "one_device", "mirrored")
    precision: str = choice("float32", "mixed_bfloat16", "mixed_float16")
    early_stopping_patience: int = bounded(0, low=0)
    pictures_every: int = bounded(5, low=0)
    checkpoints_to_keep: int = bounded(3, low=1)


@dataclasses.dataclass(kw_only=True, slots=True)
class EvaluationConfig:
    """The evaluation that ends a training run.

    Attributes:
      num_samples: K, posterior samples for each example in the importance-weighted bound.
      seed: of the posterior samples.
    """

    num_samples: int = bounded(100, low=1)
    seed: int = bounded(0, low=0, high=2**32 - 1)


@dataclasses.dataclass(kw_only=True, slots=True)
class Config:
    """A whole run. `name` is that of the default work and export directories."""

    name: str
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig
    objective: Objective
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = dataclasses.field(default_factory=EvaluationConfig)

    def validate(self) -> None:
        if not self.name or self.name != self.name.strip(".") or set(self.name) & set("/\\"):
            raise FieldError("name", self.name, "a plain folder name")


def from_file(path: str, *, beside: str = "") -> Config:
    """What `get_config()` of a Python file returns.

    A variant of a config starts from the other: `from_file("mnist.py", beside=__file__)`.

    Args:
      path: of the file.
      beside: a file in whose folder `path` begins; empty: the working directory.
    """
    return runpy.run_path(os.path.join(os.path.dirname(beside), path))["get_config"]()


def validate(config: Any, path: str = "") -> None:
    """Checks types, bounds and choices of every field, depth first.

    Args:
      config: a `Config`, or a part of one.
      path: what stands before the names of its fields in messages.

    Raises:
      InputError: with the full path of the field, what was received and what is expected.
    """
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), f"{path}{field.name}"
        if not _has_type(value, hints[field.name]):
            raise InputError(f"{name}: received {value!r}, expected {_describe_type(hints[field.name])}")
        expected = _violation(value, field.metadata)
        if expected:
            raise InputError(f"{name}: received {value!r}, expected {expected}")
        if dataclasses.is_dataclass(value):
            validate(value, f"{name}.")
    if hasattr(config, "validate"):
        try:
            config.validate()
        except FieldError as error:
            raise InputError(f"{path}{error}") from error


def _has_type(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        return isinstance(value, tuple) and all(_has_type(v, inner) for v in value)
    if origin in (typing.Union, types.UnionType):
        return any(_has_type(value, h) for h in typing.get_args(hint))
    if hint is Any:
        return True
    if hint in (int, float):
        kinds = (int, float) if hint is float else (int,)
        return isinstance(value, kinds) and not isinstance(value, bool)
    return isinstance(value, hint)


def _describe_type(hint: Any) -> str:
    if isinstance(hint, type) and issubclass(hint, Component):
        known = ", ".join(sorted(hint.registry)) or "none imported"
        return f"a {hint.kind} chosen in the config file (one of: {known})"
    return getattr(hint, "__name__", str(hint)) if typing.get_origin(hint) is None else str(hint)


def _violation(value: Any, rule: Any) -> str:
    """What `rule` (see `component.bounded`, `component.choice`) expected; empty where it holds."""
    if "choices" in rule and value not in rule["choices"]:
        return "one of: " + ", ".join(rule["choices"])
    low, high = rule.get("low"), rule.get("high")
    above = "above" if rule.get("open_low") else "at least"
    for number in value if isinstance(value, tuple) else (value,):
        too_low = low is not None and (number <= low if rule["open_low"] else number < low)
        too_high = high is not None and number > high
        # A NaN fails every comparison, so it would pass as neither too low nor too high.
        finite = not isinstance(number, float) or math.isfinite(number)
        if too_low or too_high or not finite:
            limits = [f"{above} {low:g}" if low is not None else "", f"at most {high:g}" if high is not None else ""]
            kind = "a finite number" if number in (math.inf, -math.inf) else "a number"
            return " ".join([kind, " and ".join(limit for limit in limits if limit)]).strip()
    return ""


def to_dict(config: Any) -> dict[str, Any]:
    """The JSON form: nested dictionaries; a component carries its tag under `type`."""
    result: dict[str, Any] = {"type": config.tag} if isinstance(config, Component) else {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        result[field.name] = to_dict(value) if dataclasses.is_dataclass(value) else value
    # Through JSON and back, so that what is compared is what is written (tuples are lists).
    return json.loads(json.dumps(result))


def from_dict(values: Any, cls: type = Config, path: str = "") -> Any:
    """Builds what `to_dict` wrote; the modules of its components must be imported.

    Raises:
      InputError: for an unknown component or field, a missing field, or a bad value.
    """
    if not isinstance(values, dict):
        raise InputError(f"{path or 'config'}: received {values!r}, expected an object")
    values = dict(values)
    if issubclass(cls, Component):
        cls = cls.from_tag(values.pop("type", None), path=path)
    hints, arguments = {name: typing.get_type_hints(cls)[name] for name in field_names(cls)}, {}
    prefix = f"{path}." if path else ""
    for name, value in values.items():
        if name not in hints:
            raise InputError(f"{prefix}{name}: unknown field, expected one of: {', '.join(field_names(cls))}")
        hint = hints[name]
        if isinstance(hint, type) and (dataclasses.is_dataclass(hint) or issubclass(hint, Component)):
            value = from_dict(value, hint, f"{prefix}{name}")
        arguments[name] = tuple(value) if isinstance(value, list) else value
    try:
        config = cls(**arguments)
    except TypeError as error:
        raise InputError(f"{path or 'config'}: {error}") from error
    if not path:
        validate(config)
    return config


def field_names(cls: type) -> list[str]:
    """The names of the fields of a dataclass, in order."""
    return [field.name for field in dataclasses.fields(cls)]


def differences(ours: Any, theirs: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """The fields in which two JSON forms differ: full path -> (ours, theirs)."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for name in sorted(ours.keys() | theirs.keys()):
            found |= differences(ours.get(name), theirs.get(name), f"{path}.{name}" if path else name)
        return found
    return {} if ours == theirs else {path: (ours, theirs)}
