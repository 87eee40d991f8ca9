"""Rows of named numbers written as they come: NPZ, TFRecords or CSV, in a file that appears when it is whole.

To add a format, write a context manager of the file's name that gives a function of rows, and its line in `FORMATS`.
"""

import contextlib
import csv
import math
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

import numpy as np
import tensorflow as tf

from tfvae.errors import InputError
from tfvae.files import appearing, check_file

# Arrays with as many rows each, by name.
Columns = dict[str, np.ndarray]
_Add = Callable[[Columns], None]


def check_output(path: str) -> None:
    """Checks that rows can be written to a file; raises `InputError` that begins with --output."""
    suffix = os.path.splitext(path)[1]
    if suffix not in FORMATS:
        raise InputError(f"--output: received {path!r}, expected a file that ends in one of: {', '.join(FORMATS)}")
    check_file(path, flag="--output", suffix=suffix)


@contextlib.contextmanager
def writing(path: str) -> Iterator[_Add]:
    """Gives a function that adds rows, the same columns each time, to a file that appears at the end.

    * `.npz`: an array `[N, ...]` for each column.
    * `.tfrecord`: a `tf.train.Example` for each row; a feature for each column, whose numbers lie in C order.
    * `.csv`: a header and a line for each row; the numbers of a column that holds several are `<name>_0`, `<name>_1`
      or `<name>_0_0`, and floats have as many digits as give the same float32 again.

    Memory holds the rows of one call, and names.

    Args:
      path: of the file; see `check_output`.
    """
    with appearing(path) as temporary, FORMATS[os.path.splitext(path)[1]](temporary) as add:
        yield add


@contextlib.contextmanager
def _npz(path: str) -> Iterator[_Add]:
    # The archive holds one array after the other, and rows come with a part of each: they wait in files of their own.
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=os.path.dirname(path) or ".", prefix=".tmp-"))
        parts: dict[str, BinaryIO] = {}
        heads: dict[str, dict[str, Any]] = {}
        texts: dict[str, list[str]] = {}

        def add(rows: Columns) -> None:
            for name, values in rows.items():
                if values.dtype.kind == "U":
                    texts.setdefault(name, []).extend(values.tolist())
                    continue
                if name not in parts:
                    parts[name] = stack.enter_context(open(os.path.join(folder, name), "wb+"))
                    heads[name] = {"descr": np.lib.format.dtype_to_descr(values.dtype), "fortran_order": False}
                    heads[name]["shape"] = (0, *values.shape[1:])
                count, *shape = heads[name]["shape"]
                heads[name]["shape"] = (count + len(values), *shape)
                parts[name].write(np.ascontiguousarray(values).tobytes())

        yield add
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, part in parts.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array_header_1_0(member, heads[name])
                    part.seek(0)
                    shutil.copyfileobj(part, member)
            for name, words in texts.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.array(words), allow_pickle=False)


@contextlib.contextmanager
def _tfrecord(path: str) -> Iterator[_Add]:
    with tf.io.TFRecordWriter(path) as writer:

        def add(rows: Columns) -> None:
            for index in range(len(next(iter(rows.values())))):
                features = {name: _feature(values[index]) for name, values in rows.items()}
                example = tf.train.Example(features=tf.train.Features(feature=features))
                # Equal examples have equal bytes, whatever order a map has in memory.
                writer.write(example.SerializeToString(deterministic=True))

        yield add


def _feature(value: Any) -> tf.train.Feature:
    values = np.ravel(value)
    if values.dtype.kind == "U":
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[str(text).encode() for text in values]))
    if values.dtype.kind == "f":
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values.astype(np.int64)))


@contextlib.contextmanager
def _csv(path: str) -> Iterator[_Add]:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        begun = False

        def add(rows: Columns) -> None:
            nonlocal begun
            if not begun:
                writer.writerow([head for name, values in rows.items() for head in _heads(name, values.shape[1:])])
                begun = True
            flat = [values.reshape(len(values), math.prod(values.shape[1:])) for values in rows.values()]
            # `str` of a NumPy number is the shortest text that reads as the same number; truth is 0 or 1.
            flat = [values.astype(np.int8) if values.dtype.kind == "b" else values for values in flat]
            for parts in zip(*flat, strict=True):
                writer.writerow([str(value) for part in parts for value in part])

        yield add


def _heads(name: str, shape: tuple[int, ...]) -> list[str]:
    return [name + "".join(f"_{place}" for place in places) for places in np.ndindex(*shape)]


FORMATS: dict[str, Callable[[str], AbstractContextManager[_Add]]] = {
    ".npz": _npz,
    ".tfrecord": _tfrecord,
    ".csv": _csv,
}
