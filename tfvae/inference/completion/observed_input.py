"""Inputs that are corrupted already: numbers as they are, which no preparation of data may round or refuse."""

import dataclasses
import os
from typing import Any, cast

import numpy as np

from tfvae.data.arrays import open_npz
from tfvae.errors import InputError
from tfvae.inference.inputs import Examples, open_input
from tfvae.inference.model import Model

_KEYS = ("observed", "images", "data")


def read_observed(
    model: Model, path: str | None, shape: tuple[int, ...], count: int
) -> tuple[np.ndarray, np.ndarray | None, Examples]:
    """The first examples of a file or folder as they are; bytes become numbers in [0, 1] where items are such.

    Args:
      model: that will complete them.
      path: an NPZ file with the key `observed`, `images` or `data`, and perhaps `labels`; or whatever else
        `tfvae.inference.inputs.open_input` takes, such as images, or a CSV file whose empty cells are missing.
      shape: of one, as expected.
      count: examples, if there are so many.

    Returns:
      float32 `[n, *shape]`, NaN where the file has it; labels int64 `[n]` or None; and what `given_labels` is asked of.

    Raises:
      InputError: for what is missing, damaged, or of another shape.
    """
    if path is None or not os.path.exists(path):
        received = "none" if path is None else repr(path)
        raise InputError(f"--input: received {received}, expected a file or folder of corrupted examples")
    if not path.lower().endswith(".npz"):
        examples = open_input(_of_any_numbers(model, shape), path, check=False)
        values, labels = examples.first(count)
    else:
        examples = Examples(split=cast(Any, None))  # no stream of a file that holds NaN
        values, labels = _of_npz(path)
        # Bytes of 0 and 1 are what they say, as in `tfvae.data`.
        if values.dtype == np.uint8 and (model.low, model.high) == (0.0, 1.0) and values.max(initial=0) > 1:
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
    return values[:count].astype(np.float32), None if labels is None else labels[:count], examples


def _of_npz(path: str) -> tuple[np.ndarray, np.ndarray | None]:
    try:
        with open_npz(path) as arrays:
            keys = [key for key in _KEYS if key in arrays.files]
            if not keys:
                raise InputError(f"received {path!r} with the keys {arrays.files}, expected {', '.join(_KEYS)}")
            values, labels = arrays[keys[0]], arrays["labels"] if "labels" in arrays.files else None
    except InputError as error:
        raise InputError(f"--input: {str(error).removeprefix('data.source: ')}") from error
    if values.dtype.kind not in "biuf" or values.ndim < 2:
        raise InputError(f"--input: received {path!r} of type {values.dtype} and {values.ndim} axes, expected numbers, "
                         "examples first")  # fmt: skip
    if labels is not None and (labels.dtype.kind not in "iu" or labels.shape != values.shape[:1]):
        raise InputError(
            f"--input: received labels of shape {list(labels.shape)} in {path}, expected one for each example"
        )
    return values, None if labels is None else labels.astype(np.int64)


def _of_any_numbers(model: Model, shape: tuple[int, ...]) -> Model:
    """The model as one of items of this shape whose data are neither rounded nor resized; for `open_input`."""
    config = model.config
    if config:
        config = config | {"data": config["data"] | {"binarization": "none", "dequantize": False, "resize": []}}
    return dataclasses.replace(model, item_shape=tuple(shape), step=0.0, config=config)
