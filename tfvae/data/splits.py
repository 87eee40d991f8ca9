"""The rules that cut a source into training, validation and test examples.

* A source with splits of its own (the digits, a TFDS set) keeps them.
* A source without (`npz:`, `images:`, `tfrecord:`) is cut by `cut`: `split_order =
  "random"` permutes its N examples by `numpy.random.default_rng(split_seed)`,
  `"sequential"` leaves them in order; the first are for training, then come
  `validation_fraction` N for validation, and `test_fraction` N at the end for testing,
  both rounded and at least one.
* A TFDS set without `test` or `validation` gives up the end of its `train`: the same
  fractions of it, in the same order. TFDS shuffles when it prepares a set, so that this is
  a random cut already, and `split_order` and `split_seed` do not apply.
"""

from collections.abc import Mapping

import numpy as np

from tfvae.config import DataConfig
from tfvae.data.split import SPLIT_NAMES
from tfvae.errors import InputError


def held_out(size: int, config: DataConfig, *, validation: bool = True, test: bool = True) -> tuple[int, int]:
    """How many of `size` examples are for validation and for testing, 0 where not asked for.

    Raises:
      InputError: where nothing is left to train on.
    """
    num_validation = max(1, round(config.validation_fraction * size)) if validation else 0
    num_test = max(1, round(config.test_fraction * size)) if test else 0
    if size < 1 + validation + test:
        raise InputError(
            f"data.source: received {size} examples in {config.source!r}, expected at least {1 + validation + test}"
        )
    if num_validation + num_test >= size:
        raise InputError(
            f"data.validation_fraction: received {config.validation_fraction:g}, with data.test_fraction = "
            f"{config.test_fraction:g} nothing of {size} examples is left to train on, expected a sum below 1"
        )
    return num_validation, num_test


def cut(size: int, config: DataConfig) -> list[np.ndarray]:
    """The indices of the training, validation and test examples among `size`, int64, disjoint."""
    num_validation, num_test = held_out(size, config)
    order = np.arange(size)
    if config.split_order == "random":
        order = np.random.default_rng(config.split_seed).permutation(size)
    return np.split(order, [size - num_validation - num_test, size - num_test])


def given(config: DataConfig) -> dict[str, str]:
    """The splits that the config spells out: name -> expression."""
    expressions = {name: getattr(config, f"{name}_split") for name in SPLIT_NAMES}
    return {name: expression for name, expression in expressions.items() if expression}


def expressions(config: DataConfig, sizes: Mapping[str, int]) -> dict[str, str]:
    """The TFDS split expressions: those of the config, else by the rule above.

    Args:
      config: of the data.
      sizes: examples of each split of the set.

    Raises:
      InputError: where a split is needed that the set does not have.
    """
    result = given(config)
    for name in ("validation", "test"):
        if name in sizes:
            result.setdefault(name, name)
    missing = [name for name in SPLIT_NAMES if name not in result]
    if not missing:
        return result
    if "train" not in sizes:
        raise InputError(
            f"data.{missing[0]}_split: received '', expected a TFDS expression, as {config.source} has no split "
            f"'train' but: {', '.join(sizes)}"
        )
    size = sizes["train"]
    num_validation, num_test = held_out(size, config, validation="validation" in missing, test="test" in missing)
    end, start = size - num_test, size - num_test - num_validation
    result.setdefault("test", f"train[{end}:]")
    result.setdefault("validation", f"train[{start}:{end}]")
    result.setdefault("train", f"train[:{start}]" if start < size else "train")
    return result


def refuse(config: DataConfig, *fields: str) -> None:
    """Raises `InputError` for those of `fields` that are set: this source has no use for them."""
    for field in fields:
        value = getattr(config, field)
        if value:
            scheme = config.source.partition(":")[0]
            raise InputError(
                f"data.{field}: received {value!r}, expected {type(value)()!r}: a {scheme!r} source takes none"
            )


def require_stored(config: DataConfig, why: str) -> None:
    """Raises `InputError` where values are to be brought into [0, 1], and says why they cannot."""
    if config.scale != "none":
        raise InputError(f"data.scale: received {config.scale!r}, expected 'none': {why}")


SPLIT_FIELDS = tuple(f"{name}_split" for name in SPLIT_NAMES)
