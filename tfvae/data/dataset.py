"""`DataSet`: a source with its three splits."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.config import DataConfig
from tfvae.data.paths import first_line
from tfvae.data.split import SPLIT_NAMES, Split
from tfvae.errors import InputError


@contextlib.contextmanager
def readable(source: str) -> Iterator[None]:
    """Says in one line that an example of a source cannot be read, which a stream shows when its turn comes."""
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        raise InputError(
            f"data.source: received {source!r} with an example that cannot be read ({first_line(error)}), "
            "expected images of one kind and size"
        ) from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSet:
    """A source with its three splits.

    Attributes:
      name: the source as the config names it.
      item_shape: of one example.
      num_levels: grey levels of the stored values (256 for bytes, 17 for the digits); None for floats.
      label_names: names of the labels 0, 1, ...; empty where none are known.
      factor_names, factor_sizes: of known factors, and the number of values of each; empty where none are known. A
        label is then the place of an example in their grid: `np.ravel_multi_index`.
      encoding: how text became numbers: see `DataConfig`.
    """

    name: str
    item_shape: tuple[int, ...]
    num_levels: int | None
    label_names: tuple[str, ...]
    factor_names: tuple[str, ...] = ()
    factor_sizes: tuple[int, ...] = ()
    encoding: tuple[str, ...] = ()
    train: Split
    validation: Split
    test: Split

    @functools.cached_property
    def num_labels(self) -> int:
        """Number of labels: of their names or of the factors' grid, else 1 + the largest of all splits; 0 for none.

        A stream without names is read once for it.

        Raises:
          InputError: where a label is negative; of a stream with names, its first examples are looked at.
        """
        if not self.train.has_labels:
            return 0
        if self.factor_sizes:
            return int(np.prod(self.factor_sizes))
        splits = [self.split(name) for name in SPLIT_NAMES]
        with readable(self.name):
            if not self.label_names:
                return 1 + max(split.largest_label() for split in splits)
            for split in splits:
                split._require_labels()
            return len(self.label_names)

    def labels_for(self, config: DataConfig) -> int:
        """The number of labels of a conditional model: `data.num_labels` where it is set, else as found.

        Raises:
          InputError: where it is set below what is found; for places in a grid of factors; and as `num_labels`.
        """
        if self.factor_names:  # most classes would have one example
            labels = f"{self.num_labels} labels are places in a grid of {', '.join(self.factor_names)}"
            raise InputError(
                f"model.conditional: received True for {self.name}, whose {labels}, expected labels that are classes"
            )
        if 0 < config.num_labels < self.num_labels:
            raise InputError(
                f"data.num_labels: received {config.num_labels}, expected at least {self.num_labels}, the number of "
                f"labels of {self.name}, or 0 to take it"
            )
        return max(config.num_labels, self.num_labels)

    def factors(self, labels: np.ndarray) -> np.ndarray:
        """The factors, int64 `[n, num_factors]`, of examples with these labels `[n]`; `factor_names` says which."""
        return np.stack(np.unravel_index(labels, self.factor_sizes), axis=-1).astype(np.int64)

    def split(self, name: Any) -> Split:
        """The split called `name`; raises `InputError` for any other than the three."""
        if name not in SPLIT_NAMES:
            raise InputError(f"--split: received {name!r}, expected one of: {', '.join(SPLIT_NAMES)}")
        return getattr(self, name)
