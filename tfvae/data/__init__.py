"""Data: `load` finds the source that a config names and gives its three splits.

A new source is a function (what follows `<scheme>:`, config) -> `Found`, and its line in `_SOURCES`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from absl import logging

from tfvae.config import DataConfig
from tfvae.data.arrays import read_digits, read_digits_table, read_npz
from tfvae.data.audio import read_tones, read_wav
from tfvae.data.dataset import DataSet, readable
from tfvae.data.folder import read_folder
from tfvae.data.parts import WHOLE, Part
from tfvae.data.pipeline import Preparation
from tfvae.data.shapes import read_shapes
from tfvae.data.split import SPLIT_NAMES, Split
from tfvae.data.storage import Found, Storage
from tfvae.data.tables import read_csv, read_table
from tfvae.data.text import read_lines, read_sentences, read_topics, read_words
from tfvae.data.tfds_source import read_tfds
from tfvae.data.tfrecord import read_tfrecords
from tfvae.errors import InputError

__all__ = [
    "CHECKED_OF_STREAM",
    "ENCODED",
    "WHOLE",
    "DataSet",
    "Part",
    "Split",
    "Whole",
    "load",
    "load_whole",
    "readable",
]

_SOURCES: dict[str, Callable[[str, DataConfig], Found]] = {
    "digits": read_digits,
    "digits_table": read_digits_table,
    "shapes": read_shapes,
    "tfds:<name>": read_tfds,
    "npz:<file>": read_npz,
    "images:<folder>": read_folder,
    "tfrecord:<glob>": read_tfrecords,
    "tones": read_tones,
    "wav:<folder>": read_wav,
    "sentences": read_sentences,
    "text:<file>": read_lines,
    "topics": read_topics,
    "words:<file>": read_words,
    "table:<name>": read_table,
    "csv:<file>": read_csv,
}

# The schemes that `data.encoding` is of.
ENCODED = ("sentences", "text", "topics", "words", "table", "csv")

# Examples of a streamed source that are checked.
CHECKED_OF_STREAM = 1_000


def load(config: DataConfig, *, check: Callable[..., Any] | None = None) -> DataSet:
    """Opens the data that `config` describes; reads it into memory where it fits.

    Args:
      config: the source and its preparation.
      check: called as `check(values, field=...)` with prepared examples of each split, float32
        `[n, *item_shape]`, in chunks: with all of them, or the first 1,000 of a
        stream. It raises `InputError` where the likelihood cannot take them.

    Raises:
      InputError: for a source that is unknown, missing, damaged or unfit for the config.
    """
    # An example beyond those that the source has tried may be met when a sample of a stream is read.
    with readable(config.source):
        return _open(config, check)


def _open(config: DataConfig, check: Callable[..., Any] | None) -> DataSet:
    found = _read(config)
    num_levels, (train, validation, test) = _prepared(
        config, found, list(zip(SPLIT_NAMES, found.splits(), strict=True))
    )
    if config.item_shape and config.item_shape != train.item_shape:
        logging.info(
            "data.item_shape: examples of %s are %s, not %s: the data's shape is taken",
            config.source,
            train.item_shape,
            config.item_shape,
        )
    if check is not None:
        for split in (train, validation, test):
            field = "data.source" if split is train else f"data.source, {split.name} split"
            for values in split.sample(CHECKED_OF_STREAM):
                check(values, field=field)
    return DataSet(
        name=config.source,
        item_shape=train.item_shape,
        num_levels=num_levels,
        label_names=found.label_names,
        factor_names=found.factor_names,
        factor_sizes=found.factor_sizes,
        encoding=found.encoding,
        train=train,
        validation=validation,
        test=test,
    )


def _prepared(config: DataConfig, found: Found, named: list[tuple[str, Storage]]) -> tuple[int | None, list[Split]]:
    """The number of levels, and the splits of these names."""
    num_levels = found.num_levels
    if config.scale == "unit" and num_levels == 256 and max(storage.largest() for _, storage in named) <= 1:
        # Binary sets are often stored as bytes; 1 as 1/255 would be a black picture, and never meant.
        logging.info("data.source: %s holds only 0 and 1 and is taken as binary", config.source)
        num_levels = 2
    preparation = Preparation.from_config(config, num_levels)
    return num_levels, [
        Split(name=name, source=config.source, storage=storage, preparation=preparation, split_seed=config.split_seed)
        for name, storage in named
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Whole:
    """All examples of a source, not cut.

    Attributes:
      examples: in the source's own order.
      names: of the examples, such as those of files; empty where they have none.
      label_names: names of the labels 0, 1, ...; empty where none are known.
    """

    examples: Split
    names: tuple[str, ...]
    label_names: tuple[str, ...]


def load_whole(config: DataConfig) -> Whole:
    """Opens data that are not for training, and so need not be cut: all examples that `config` describes.

    Raises:
      InputError: as `load`, and for a source that has splits of its own.
    """
    with readable(config.source):
        found = _read(config)
        if found.whole is None:
            raise InputError(f"data.source: received {config.source!r}, which has splits, expected the name of one")
        _, [examples] = _prepared(config, found, [(SPLIT_NAMES[-1], found.whole)])
    return Whole(examples=examples, names=found.names, label_names=found.label_names)


def _read(config: DataConfig) -> Found:
    scheme, _, rest = config.source.partition(":")
    for form, read in _SOURCES.items():
        # `digits:x` and `npz:` are as wrong as `foo:x`.
        if form.partition(":")[0] == scheme and (":" in form) == bool(rest):
            if config.encoding and scheme not in ENCODED:
                raise InputError(
                    f"data.encoding: received {len(config.encoding)} entries, expected none: a {scheme!r} source is no "
                    "text and no table"
                )
            return read(rest, config)
    raise InputError(f"data.source: received {config.source!r}, expected one of: {', '.join(_SOURCES)}")
