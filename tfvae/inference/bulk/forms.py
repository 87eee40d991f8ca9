"""What the records of an input look like, which the first that can be read shows."""

import contextlib
import dataclasses
import itertools
import os
import tempfile
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.io.gfile import GFile

from tfvae.errors import InputError
from tfvae.files import npz, write_atomically
from tfvae.inference.bulk.failures import FAILURES, OF_ONE_FILE, READABLE, in_one_line, reason
from tfvae.inference.bulk.reading import Record
from tfvae.inference.inputs import Examples, open_input
from tfvae.inference.model import Model

ENCODED, NUMBERS, FILES = "encoded", "numbers", "files"

_TRIED = 100  # records among which there must be one that can be read
_PAUSE = 0.1  # seconds before a file that could not be read is read again


@dataclasses.dataclass(frozen=True)
class Form:
    """What records look like.

    Attributes:
      kind: `ENCODED`: tf.Examples of the source `tfrecord:`; `NUMBERS`: tf.Examples with a list of floats under the
        name of the model's items, as the signature `regress` takes them; `FILES`: PNG and JPEG files.
      data: of the record that shows it.
      file: which holds that, for messages.
      labelled: whether that has a label.
      needs_label: whether the model is given those of the records; else -1 is written where a record has none.
      num_levels: integers are below it; None: floats.
      by_first: whether it is 2 because the first records hold no other bytes than 0 and 1, and nobody said so.
    """

    kind: str
    data: bytes
    file: str
    labelled: bool
    needs_label: bool = False
    num_levels: int | None = None
    by_first: bool = False

    def opened(self, model: Model) -> Examples:
        """The one record as an input of its own, so that all are prepared as such an input is.

        Raises:
          InputError: where it cannot be read, or is unlike the model's items.
        """
        with tempfile.TemporaryDirectory() as place:
            path = self._save(place, model)
            try:
                opened = open_input(model, path, check=False)
            except InputError as error:
                raise InputError(str(error).replace(path, self.file)) from error
        split = dataclasses.replace(opened.split, source=opened.split.source.replace(path, self.file))
        return dataclasses.replace(opened, split=split)

    def _save(self, place: str, model: Model) -> str:
        """Writes a file of the one record into a folder; returns its path."""
        path = os.path.join(place, "first")
        if self.kind == FILES:
            path += os.path.splitext(self.file)[1].lower()
            write_atomically(path, self.data)
        elif self.kind == ENCODED:
            path += ".tfrecord"
            with tf.io.TFRecordWriter(path) as writer:
                # What reads it asks each record for what this one has.
                writer.write(self.data if self.needs_label else _without_label(self.data))
        else:
            path += ".npz"
            values = np.array(features_of(self.data)[model.item_name].float_list.value, np.float32)
            if values.size != model.dimensions:
                raise InputError(
                    f"--input: {self.file}: received {values.size} numbers in {model.item_name!r}, expected "
                    f"{model.dimensions}, as in the items of {model.origin}"
                )
            key = "images" if len(model.item_shape) == 3 else "data"
            write_atomically(path, npz({key: values.reshape(1, *model.item_shape)}))
        return path


def find(model: Model, records: Iterable[Record], *, needs_label: bool) -> Form:
    """The form of an input: that of the first of its sound records that the model can take.

    Args:
      model: the model.
      records: those of the input.
      needs_label: see `Form`.

    Raises:
      InputError: where none of the first ones can be taken; it says what is wrong with the very first.
    """
    refused: InputError | None = None
    for record in itertools.islice(records, _TRIED):
        try:
            form = dataclasses.replace(_form(model, record), needs_label=needs_label)
            return dataclasses.replace(form, num_levels=form.opened(model).split.preparation.num_levels)
        except InputError as error:
            refused = refused or error
    raise refused or InputError("--input: received no record that is sound, expected some")


def _form(model: Model, record: Record) -> Form:
    if record.data is None:
        with in_one_line("--input", record.file):
            return Form(FILES, read_file(record.file), record.file, record.label is not None)
    features = features_of(record.data)
    kinds = {name: feature.WhichOneof("kind") for name, feature in features.items()}
    if kinds.get("image") == "bytes_list":
        return Form(ENCODED, record.data, record.file, "label" in kinds)
    if kinds.get(model.item_name) == "float_list":
        return Form(NUMBERS, record.data, record.file, "label" in kinds)
    raise InputError(
        f"--input: {record.file}: received a record with the features {sorted(kinds)}, expected a tf.train.Example "
        f"with 'image' (bytes) or {model.item_name!r} (floats)"
    )


def features_of(data: bytes) -> dict[str, Any]:
    """The features of a tf.Example; of other bytes none."""
    try:
        return dict(tf.train.Example.FromString(data).features.feature)
    # The exception of protobuf has another name in each of its implementations.
    except Exception:
        return {}


def _without_label(data: bytes) -> bytes:
    example = tf.train.Example.FromString(data)
    example.features.feature.pop("label", None)
    return example.SerializeToString()


def read_file(path: str) -> bytes:
    """All bytes of a file, which is read twice before it is given up.

    Raises:
      OF_ONE_FILE: where this file cannot be read, whatever may be of others.
      InputError: where a disk or a network fails: no record is bad because of that.
    """
    with contextlib.suppress(*FAILURES):
        return _content(path)
    time.sleep(_PAUSE)
    try:
        return _content(path)
    except OF_ONE_FILE:
        raise
    except FAILURES as error:
        raise InputError(f"--input: {path}: received {reason(error)}, expected {READABLE}") from error


def _content(path: str) -> bytes:
    path.encode()  # see `records.frames`
    with GFile(path, "rb") as file:
        return file.read()
