"""The source `tfrecord:<glob>`: files of `tf.train.Example`, read again each epoch.

An example has `image`: the bytes of a PNG or JPEG, or raw bytes of
`height` x `width` x `channels`, where it has these three integers; and perhaps an
integer `label`. All have what the first one has.

Splits: `train_split`, `validation_split` and `test_split` are globs among the names (or
paths) of the files of the source, all three or none. With none, records are cut as
`tfvae.data.splits` says, by their number over the sorted files; a split is then found by
reading all files and leaving the others out.
"""

import fnmatch
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfvae.config import DataConfig
from tfvae.data import paths, pipeline, splits
from tfvae.data.paths import first_line
from tfvae.data.split import SPLIT_NAMES
from tfvae.data.storage import Found, Stream
from tfvae.errors import InputError

_RAW_SHAPE = ("height", "width", "channels")

_Decoder = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def read_tfrecords(pattern: str, config: DataConfig) -> Found:
    """Counts the records, looks at the first of each file, and leaves the rest to the streams."""
    found = paths.find(pattern, source=config.source, expected="TFRecord files")
    files = [file for file in found if os.path.isfile(file)]
    if not files:
        raise InputError(f"data.source: received {config.source!r}, which is a folder, expected a glob of its files")
    counts = {file: _count(file) for file in files}
    files = [file for file in files if counts[file]]
    if not files:
        raise InputError(f"data.source: received {config.source!r}, whose files hold no records, expected some")
    decode, item_shape, has_labels = _decoder(files, config)

    def stream(records: tf.data.Dataset, count: int) -> Stream:
        return Stream(
            elements=records,
            decode=decode,
            num_examples=count,
            item_shape=item_shape,
            has_labels=has_labels,
            shuffle_buffer=config.shuffle_buffer,
        )

    return Found(
        splits=lambda: [stream(*part) for part in _split(files, counts, config)],
        whole=stream(tf.data.TFRecordDataset(files), sum(counts[file] for file in files)),
        num_levels=256,
    )


def _count(file: str) -> int:
    """Records of a file; reads all of it, and so checks its checksums."""
    try:
        return int(tf.data.TFRecordDataset(file).reduce(np.int64(0), lambda count, _: count + 1))
    except tf.errors.OpError as error:
        raise InputError(
            f"data.source: {file}: received a damaged record ({first_line(error)}), expected a TFRecord file"
        ) from error


def _split(files: list[str], counts: dict[str, int], config: DataConfig) -> list[tuple[tf.data.Dataset, int]]:
    """The serialized examples of each split, and their number."""
    globs = splits.given(config)
    if globs:
        return [(tf.data.TFRecordDataset(part), sum(counts[f] for f in part)) for part in _chosen(files, globs)]
    size = sum(counts.values())
    parts = splits.cut(size, config)
    # One byte for each record: which split it is of.
    split_of = np.empty(size, np.uint8)
    for number, part in enumerate(parts):
        split_of[part] = number
    with tf.device("/cpu:0"):
        held = tf.constant(split_of)

    def only(number: int) -> tf.data.Dataset:
        numbered = tf.data.TFRecordDataset(files).enumerate()
        return numbered.filter(lambda i, _: held[i] == number).map(lambda _, record: record)

    return [(only(number), len(part)) for number, part in enumerate(parts)]


def _chosen(files: list[str], globs: dict[str, str]) -> list[list[str]]:
    """The files of each split."""
    taken: dict[str, str] = {}
    for name in SPLIT_NAMES:
        field, pattern = f"data.{name}_split", globs.get(name, "")
        if not pattern:
            raise InputError(f"{field}: received '', expected a glob, as data.{next(iter(globs))}_split is one")
        part = [f for f in files if fnmatch.fnmatch(f, pattern) or fnmatch.fnmatch(os.path.basename(f), pattern)]
        if not part:
            raise InputError(
                f"{field}: received {pattern!r}, expected a glob for some of the {len(files)} files of data.source "
                f"that hold records, such as {files[0]}"
            )
        for file in part:
            if file in taken:
                raise InputError(
                    f"{field}: received {pattern!r}, which takes {file}, expected other files than those of "
                    f"data.{taken[file]}_split"
                )
            taken[file] = name
    return [[file for file in files if taken.get(file) == name] for name in SPLIT_NAMES]


def _decoder(files: list[str], config: DataConfig) -> tuple[_Decoder, tuple[int, ...], bool]:
    """How to decode a record, the shape of all images, and whether they are labelled; tries the first of each file."""
    firsts = {file: next(iter(tf.data.TFRecordDataset(file))) for file in files}
    keys = _keys(firsts[files[0]], files[0])
    raw, has_labels = keys.issuperset(_RAW_SHAPE), "label" in keys
    numbers = (_RAW_SHAPE if raw else ()) + (("label",) if has_labels else ())
    spec = {"image": tf.io.FixedLenFeature([], tf.string)}
    spec |= {name: tf.io.FixedLenFeature([], tf.int64) for name in numbers}

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        example = tf.io.parse_single_example(record, spec)
        if raw:
            pixels = tf.io.decode_raw(example["image"], tf.uint8)
            image = tf.reshape(pixels, tf.stack([example[name] for name in _RAW_SHAPE]))
        else:
            image = tf.io.decode_image(example["image"], expand_animations=False)
        return image, example.get("label", tf.constant(0, tf.int64))

    height, width, channels = _tried(parse, firsts[files[0]], files[0])[0].shape
    expected = (None, None, channels) if config.resize else (height, width, channels)

    def decode(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, label = parse(record)
        return pipeline.fit_images(tf.ensure_shape(image, expected, name="image_of_data_source"), config), label

    for file, record in firsts.items():
        item_shape = tuple(_tried(decode, record, file)[0].shape)
    return decode, item_shape, has_labels


def _keys(record: tf.Tensor, file: str) -> set[str]:
    """The features of a serialized example."""
    try:
        keys = set(tf.train.Example.FromString(record.numpy()).features.feature)
    # The exception of protobuf has another name in each of its implementations.
    except Exception as error:
        raise InputError(
            f"data.source: {file}: received a first record of another kind, expected tf.train.Example"
        ) from error
    if "image" not in keys:
        raise InputError(f"data.source: {file}: received examples with the features {sorted(keys)}, expected 'image'")
    return keys


def _tried(decode: _Decoder, record: tf.Tensor, file: str) -> tuple[tf.Tensor, tf.Tensor]:
    try:
        return decode(record)
    except tf.errors.OpError as error:
        raise InputError(
            f"data.source: {file}: received a first record that does not fit ({first_line(error)}), expected an "
            "'image' (PNG, JPEG or raw bytes) of one size in all files, or a size set by --config.data.resize"
        ) from error
