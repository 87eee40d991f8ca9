"""Inputs that are corrupted already: numbers as they are, which no preparation of data may round or refuse."""

import os
import zipfile

import numpy as np

from tfvae.config import DataConfig
from tfvae.data import load_whole
from tfvae.errors import InputError
from tfvae.inference.model import Model

_KEYS = ("observed", "images", "data")


def read_observed(
    model: Model, path: str | None, shape: tuple[int, ...], count: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """The first examples of a file or folder as they are; bytes become numbers in [0, 1] where items are such.

    Args:
      model: that will complete them.
      path: an NPZ file with the key `observed`, `images` or `data`, and perhaps `labels`; or images.
      shape: of one, as expected.
      count: examples, if there are so many.

    Returns:
      float32 `[n, *shape]`, NaN where the file has it, and labels int64 `[n]` or None.

    Raises:
      InputError: for what is missing, damaged, or of another shape.
    """
    if path is None or not os.path.exists(path):
        received = "none" if path is None else repr(path)
        raise InputError(f"--input: received {received}, expected a file or folder of corrupted examples")
    values, labels = _of_npz(path) if path.lower().endswith(".npz") else (_of_images(model, path, count), None)
    if values.dtype == np.uint8 and (model.low, model.high) == (0.0, 1.0):
        values = values / 255.0
    if values.shape[1:] + (1,) == tuple(shape):
        values = values[..., None]
    if values.shape[1:] != tuple(shape):
        raise InputError(
            f"--input: received examples of shape {list(values.shape[1:])} in {path}, expected {list(shape)}"
        )
    if not len(values) or np.isinf(values).any():
        received = "infinite numbers" if len(values) else "no examples"
        raise InputError(f"--input: received {received} in {path}, expected finite numbers")
    return values[:count].astype(np.float32), None if labels is None else labels[:count]


def _of_npz(path: str) -> tuple[np.ndarray, np.ndarray | None]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            keys = [key for key in _KEYS if key in arrays.files]
            if not keys:
                raise InputError(
                    f"--input: received {path!r} with the keys {arrays.files}, expected {', '.join(_KEYS)}"
                )
            values, labels = arrays[keys[0]], arrays["labels"] if "labels" in arrays.files else None
    except InputError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"--input: received {path!r}, which cannot be read, expected an NPZ file of numbers"
        ) from error
    if values.dtype.kind not in "biuf" or values.ndim < 2:
        raise InputError(f"--input: received {path!r} of type {values.dtype} and {values.ndim} axes, expected numbers, "
                         "examples first")  # fmt: skip
    if labels is not None and (labels.dtype.kind not in "iu" or labels.shape != values.shape[:1]):
        raise InputError(
            f"--input: received labels of shape {list(labels.shape)} in {path}, expected one for each example"
        )
    return values, None if labels is None else labels.astype(np.int64)


def _of_images(model: Model, path: str, count: int) -> np.ndarray:
    config = DataConfig(
        source=f"images:{path}", scale="unit", binarization="none", grayscale=model.item_shape[-1:] == (1,)
    )
    try:
        return load_whole(config).examples.examples(count)
    except InputError as error:
        raise InputError(f"--input: {error}") from error
