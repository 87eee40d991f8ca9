"""Values of records, and why a record has none."""

import io
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from tfvae.config import DataConfig
from tfvae.data import folder, pipeline
from tfvae.data.paths import first_line
from tfvae.data.storage import Stream
from tfvae.export.serialized import rows_apart
from tfvae.inference.bulk import reading
from tfvae.inference.bulk.failures import OF_ONE_FILE, reason
from tfvae.inference.bulk.forms import ENCODED, FILES, NUMBERS, Form, features_of, read_file
from tfvae.inference.bulk.reading import Fault, Record
from tfvae.inference.inputs import Examples
from tfvae.inference.model import Model

_THREADS = 8  # that read and decode images: they mostly wait


class Decoded(NamedTuple):
    """Values of some records.

    Attributes:
      values: `[n, *item_shape]`, as they are stored; 0 of those that could not be had.
      labels: int64 `[n]`, None where the input has none; -1 of a record that has none and needs none.
      faults: of each record, None of a good one.
    """

    values: np.ndarray
    labels: np.ndarray | None
    faults: list[Fault | None]


class Files:
    """Decodes PNG and JPEG files, as the source `images:` does."""

    dtype: np.dtype = np.dtype(np.uint8)

    def __init__(self, model: Model, form: Form, examples: Examples) -> None:
        data = model.config.get("data", {})
        # As `open_input` prepares images for a model.
        self._config = DataConfig(resize=tuple(data.get("resize", ())), grayscale=model.item_shape[-1] == 1)
        self._shape, self._labelled = model.item_shape, form.labelled

    def __call__(self, records: Sequence[Record]) -> Decoded:
        """The values of records; raises `InputError` where a disk or a network fails."""
        values, faults = np.zeros((len(records), *self._shape), np.uint8), []
        with ThreadPoolExecutor(_THREADS) as pool:
            for number, found in enumerate(pool.map(self._one, records)):
                faults.append(found if isinstance(found, Fault) else None)
                if not isinstance(found, Fault):
                    values[number] = found
        labels = np.array([record.label for record in records], np.int64) if self._labelled else None
        return Decoded(values, labels, faults)

    def _one(self, record: Record) -> np.ndarray | Fault:
        try:
            data = read_file(record.file)
        except OF_ONE_FILE as error:
            return Fault(reading.UNREADABLE, reason(error))
        try:
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
                return self._pixels(image)
        # Pillow's decoders raise SyntaxError, struct.error and others besides OSError.
        except Exception as error:
            return Fault(reading.UNDECODABLE, re.sub(r" <.*?>", "", first_line(error)))  # no address in memory

    def _pixels(self, image: Image.Image) -> np.ndarray | Fault:
        shape = folder.image_shape(image)
        fitted = (*(self._config.resize or shape[:2]), 1 if self._config.grayscale else shape[2])
        if fitted != self._shape:
            return Fault(reading.OTHER_SHAPE, f"{list(shape)}, expected {list(self._shape)}")
        if image.width * image.height > (Image.MAX_IMAGE_PIXELS or np.inf):  # of these Pillow only warns
            raise ValueError(f"{image.width} x {image.height} pixels, which may be an attack")
        pixels = folder.image_pixels(image)
        if pixels.shape == self._shape:
            return pixels
        return pipeline.fit_images(tf.constant(pixels), self._config).numpy()


class _Serialized:
    """Decodes tf.Examples: many at once in a graph, which tells of those that fail only that they do."""

    def __init__(self, model: Model, form: Form, kinds: dict[str, str], dtype: tf.DType) -> None:
        """Args: kinds: the lists that an item's features are of, `bytes_list`, `float_list` or `int64_list`."""
        self._kinds = kinds | ({"label": "int64_list"} if form.labelled and form.needs_label else {})
        self._shape, self.dtype, self._labelled = model.item_shape, np.dtype(dtype.as_numpy_dtype), form.labelled
        none = tf.constant(-1, tf.int64)
        missing = [tf.zeros(model.item_shape, dtype), none, tf.constant(False)]

        def run(data: tf.Tensor) -> list[tf.Tensor]:
            values, labels, good = rows_apart(lambda one: [*self.parse(one), tf.constant(True)], data, missing)
            if form.labelled and not form.needs_label:
                (labels,) = rows_apart(lambda one: [_label(one)], data, [none])
            return [values, labels, good]

        self._run = tf.function(run, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)

    def parse(self, data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Values `[*item_shape]` and label int64 of one record; raises where it does not fit."""
        raise NotImplementedError

    def reason(self, data: bytes, features: Any) -> Fault:
        """What is wrong with a record whose features are there and of their kinds."""
        try:
            self.parse(tf.constant(data))
        except (tf.errors.OpError, ValueError) as error:
            return Fault(reading.UNDECODABLE, first_line(error))
        return Fault(reading.UNDECODABLE, "for a reason that is not known")

    def __call__(self, records: Sequence[Record]) -> Decoded:
        """The values of records that have data."""
        data = [record.data for record in records]
        values, labels, good = (value.numpy() for value in self._run(tf.constant(data, tf.string)))
        faults = [None if fine else self._fault(one) for fine, one in zip(good, data, strict=True)]
        return Decoded(values, labels if self._labelled else None, faults)

    def _fault(self, data: bytes | None) -> Fault:
        assert data is not None
        try:
            features = tf.train.Example.FromString(data).features.feature
        except Exception as error:  # see `features_of`
            return Fault(reading.NO_EXAMPLE, first_line(error))
        if not features:
            return Fault(reading.NO_EXAMPLE, "a message without features")
        for name, kind in self._kinds.items():
            found = features[name].WhichOneof("kind") if name in features else None
            if found is None:
                return Fault(reading.MISSING, f"{name!r} among {sorted(features)}")
            if found != kind:
                return Fault(reading.WRONG_TYPE, f"{name!r} is a {found}, expected a {kind}")
            count, expected = len(getattr(features[name], kind).value), self._count(name)
            if count != expected:
                return Fault(reading.WRONG_SIZE, f"{name!r} has {count} values, expected {expected}")
        return self.reason(data, features)

    def _count(self, name: str) -> int:
        return 1


def _label(data: tf.Tensor) -> tf.Tensor:
    """The label of a serialized tf.Example, int64; raises where there is none, or another number than one."""
    return tf.io.parse_single_example(data, {"label": tf.io.FixedLenFeature([], tf.int64)})["label"]


class Encoded(_Serialized):
    """tf.Examples as the source `tfrecord:` reads them: an `image`, encoded or raw, and perhaps a `label`."""

    def __init__(self, model: Model, form: Form, examples: Examples) -> None:
        storage = examples.split.storage
        assert isinstance(storage, Stream)
        self._decode = storage.decode
        self._raw = set(features_of(form.data)) >= {"height", "width", "channels"}
        kinds = {"image": "bytes_list"}
        if self._raw:
            kinds |= dict.fromkeys(("height", "width", "channels"), "int64_list")
        super().__init__(model, form, kinds, tf.uint8)

    def parse(self, data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._decode(data)

    def reason(self, data: bytes, features: Any) -> Fault:
        image = features["image"].bytes_list.value[0]
        if self._raw:
            shape = [features[name].int64_list.value[0] for name in ("height", "width", "channels")]
            if min(shape) < 0 or int(np.prod(shape, dtype=object)) != len(image):
                return Fault(reading.WRONG_SIZE, f"'image' has {len(image)} bytes, expected {shape} as it says")
        else:
            try:
                shape = tf.io.decode_image(image, expand_animations=False).shape.as_list()
            except tf.errors.OpError as error:
                return Fault(reading.UNDECODABLE, first_line(error))
        return Fault(reading.OTHER_SHAPE, f"{shape}, expected images as the first ones, for items {list(self._shape)}")


class Numbers(_Serialized):
    """tf.Examples with the numbers of an item, prepared as those of an NPZ file are."""

    def __init__(self, model: Model, form: Form, examples: Examples) -> None:
        self._name, self._size = model.item_name, model.dimensions
        super().__init__(model, form, {self._name: "float_list"}, tf.float32)

    def parse(self, data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = {self._name: tf.io.FixedLenFeature([self._size], tf.float32)}
        if "label" in self._kinds:
            features["label"] = tf.io.FixedLenFeature([], tf.int64)
        found = tf.io.parse_single_example(data, features)
        return tf.reshape(found[self._name], self._shape), found.get("label", tf.constant(0, tf.int64))

    def _count(self, name: str) -> int:
        return self._size if name == self._name else 1


DECODERS: dict[str, Any] = {FILES: Files, ENCODED: Encoded, NUMBERS: Numbers}
