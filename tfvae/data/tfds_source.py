"""The source `tfds:<name>`: sets of TensorFlow Datasets with a feature `image` and perhaps `label`."""

import contextlib
import difflib
import itertools
import math
import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from tfvae.config import DataConfig
from tfvae.data import network, pipeline, splits
from tfvae.data.paths import first_line
from tfvae.data.split import SPLIT_NAMES
from tfvae.data.storage import Arrays, Found, Stream
from tfvae.errors import InputError


def read_tfds(name: str, config: DataConfig) -> Found:
    """Opens a set, and prepares it first where that is allowed and possible.

    Splits: see `tfvae.data.splits`. A set of up to `memory_limit_mb`, decoded, is read
    into memory; a larger one is streamed.
    """
    with _quiet():
        import tensorflow_datasets as tfds  # slow to import, and of use to this source only

        builder = _builder(tfds, name, config)
        if not builder.is_prepared():
            _prepare(tfds, builder, name, config)
        expressions = splits.expressions(config, {key: part.num_examples for key, part in builder.info.splits.items()})
        parts = {key: _part(builder.info, f"data.{key}_split", expressions[key]) for key in SPLIT_NAMES}
        _refuse_overlap(parts, expressions)
        features = _features(tfds, builder.info)
        image, label = _image_feature(tfds, features, config), _label_feature(features)
        decode = _decoder(image, label, config)
        streams = []
        for key in SPLIT_NAMES:
            elements = _elements(tfds, builder, expressions[key], has_label=label is not None)
            streams.append(
                Stream(
                    elements=elements,
                    decode=decode,
                    num_examples=parts[key].num_examples,
                    item_shape=tuple(elements.map(decode).element_spec[0].shape),
                    has_labels=label is not None,
                    shuffle_buffer=config.shuffle_buffer,
                )
            )
    size = sum(stream.num_examples for stream in streams) * math.prod(streams[0].item_shape)
    fits = size <= config.memory_limit_mb * 2**20
    return Found(
        splits=lambda: [Arrays.read(stream.blocks(), like=stream) for stream in streams] if fits else streams,
        num_levels=256,
        label_names=_names(label),
    )


def read_label_names(name: str, config: DataConfig) -> tuple[str, ...]:
    """The names of the labels of a set, from its description alone; empty where it has none."""
    with _quiet():
        import tensorflow_datasets as tfds

        return _names(_label_feature(_features(tfds, _builder(tfds, name, config).info)))


def _names(label: Any) -> tuple[str, ...]:
    # A `ClassLabel` of no known number of classes fails when asked for its names.
    return tuple(label.names) if getattr(label, "num_classes", None) else ()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hushes TFDS, which warns through absl of what it then does in another way."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _builder(tfds: Any, name: str, config: DataConfig) -> Any:
    folder = os.path.expanduser(config.data_dir or os.environ.get("TFDS_DATA_DIR", "")) or None
    base = re.split("[/:]", name)[0]
    known = tfds.list_builders(with_community_datasets=False)  # community sets are listed on the network
    # A set of the user's own is known by its prepared files alone.
    if base not in known and not (folder and base and os.path.isdir(os.path.join(folder, base))):
        close = difflib.get_close_matches(base, known, n=3) or ["a name of tensorflow.org/datasets/catalog"]
        raise InputError(f"data.source: received {f'tfds:{name}'!r}, an unknown set, expected: {' or '.join(close)}")
    try:
        return tfds.builder(name, data_dir=folder, try_gcs=False)
    # TFDS raises ValueError, AssertionError and others for what is wrong with a name.
    except Exception as error:
        raise InputError(
            f"data.source: received {f'tfds:{name}'!r}, expected <set>[/<config>][:<version>]: {first_line(error)}"
        ) from error


def _prepare(tfds: Any, builder: Any, name: str, config: DataConfig) -> None:
    """Downloads and prepares a set; raises `InputError` that says how to get it where that fails."""

    def failure(why: str) -> InputError:
        return InputError(
            f"data.source: received {f'tfds:{name}'!r}, which is not prepared in {builder.data_dir}, and {why}: "
            f"run `tfds build {name}` on a machine with network, and set TFDS_DATA_DIR or --config.data.data_dir "
            "to the folder it fills"
        )

    if not config.download:
        raise failure("data.download is False")
    # TFDS would try again for minutes.
    unreachable = network.unreachable_host(builder.url_infos or ("https://storage.googleapis.com/tfds-data",))
    if unreachable:
        raise failure(f"{unreachable} cannot be reached")
    logging.set_verbosity(logging.INFO)
    logging.info("data.source: downloading and preparing %s", name)
    try:
        # Google's copy of prepared sets is one more host that may hang.
        settings = tfds.download.DownloadConfig(try_download_gcs=False)
        builder.download_and_prepare(download_config=settings)
    # From the network, the disk, archives, missing packages and missing manual downloads.
    except Exception as error:
        raise failure(f"preparing it failed ({first_line(error)})") from error


def _part(info: Any, field: str, expression: str) -> Any:
    """TFDS's description of the split that `expression` stands for."""
    try:
        part = info.splits[expression]
    # TFDS raises ValueError, KeyError and AssertionError for what is wrong with an expression.
    except Exception as error:
        raise InputError(
            f"{field}: received {expression!r}, expected a TFDS expression such as 'train[:90%]' over: "
            f"{', '.join(info.splits)} ({first_line(error)})"
        ) from error
    if not part.num_examples:
        raise InputError(f"{field}: received {expression!r}, which holds no examples, expected at least 1")
    return part


def _refuse_overlap(parts: dict[str, Any], expressions: dict[str, str]) -> None:
    """Raises `InputError` where an example is in two splits, or twice in one."""
    taken = sorted(
        (piece.filename, piece.skip, piece.skip + piece.take, key)
        for key, part in parts.items()
        for piece in part.file_instructions
    )
    for (file, _, end, one), (next_file, start, _, other) in itertools.pairwise(taken):
        if file == next_file and start < end:
            one, other = sorted((one, other), key=SPLIT_NAMES.index)
            raise InputError(
                f"data.{other}_split: received {expressions[other]!r}, which shares examples with data.{one}_split "
                f"({expressions[one]!r}), expected splits that share none"
            )


def _features(tfds: Any, info: Any) -> dict[str, Any]:
    return dict(info.features.items()) if isinstance(info.features, tfds.features.FeaturesDict) else {}


def _image_feature(tfds: Any, features: dict[str, Any], config: DataConfig) -> Any:
    image = features.get("image")
    if not isinstance(image, tfds.features.Image):
        raise InputError(
            f"data.source: received {config.source!r} with the features {list(features)}, expected an image 'image'"
        )
    dtype = np.dtype(image.np_dtype)
    if dtype != np.uint8 or image.shape[-1] is None:
        raise InputError(
            f"data.source: received {config.source!r} with images of {dtype} {image.shape}, expected uint8 "
            "with a known number of channels"
        )
    if None in image.shape and not config.resize:
        raise InputError(
            f"data.resize: received (), expected (height, width): images of {config.source} are of several sizes, "
            f"{image.shape}: set --config.data.resize"
        )
    return image


def _label_feature(features: dict[str, Any]) -> Any:
    """The feature `label` where it is one integer, else None."""
    label = features.get("label")
    return label if label is not None and label.shape == () and label.tf_dtype.is_integer else None


def _elements(tfds: Any, builder: Any, expression: str, *, has_label: bool) -> tf.data.Dataset:
    """Encoded images, and labels, in a fixed order."""
    wanted = {"image": True} | ({"label": True} if has_label else {})
    return builder.as_dataset(
        split=expression,
        shuffle_files=False,
        decoders=tfds.decode.PartialDecoding(wanted, decoders={"image": tfds.decode.SkipDecoding()}),
        read_config=tfds.ReadConfig(try_autocache=False),
    )


def _decoder(image: Any, label: Any, config: DataConfig) -> Any:
    def decode(element: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        number = tf.constant(0, tf.int64) if label is None else tf.cast(element["label"], tf.int64)
        return pipeline.fit_images(image.decode_example(element["image"]), config), number

    return decode
