"""How many nats a general compressor needs for an example: what makes simple data likely under any model."""

import math
import zlib
from collections.abc import Iterator

import numpy as np

from tfvae.inference.model import Model

_BYTE = 8 * math.log(2.0)  # nats
_MOST_LEVELS = 256  # of one byte


def code_lengths(model: Model, x: np.ndarray) -> np.ndarray:
    """L(x), the compressed size of each example (Serra et al. 2020, section 3).

    The compressor is that of a PNG file, deflate over the values or over their differences along an axis, without the
    header, which is the same for all; 0 and 1 may go eight to a byte. The shortest of these counts. Numbers within a
    range are taken as 256 levels or as many as they have, counts as they are, any other numbers as float16.

    Args:
      model: whose items these are: it tells the range of their numbers.
      x: `[n, *item_shape]`.

    Returns:
      float64 `[n]`, nats: a multiple of 8 log 2, so that small examples differ coarsely.
    """
    return np.array([_BYTE * min(map(_deflated, _forms(item))) for item in _levels(model, x)])


def _levels(model: Model, x: np.ndarray) -> np.ndarray:
    """The numbers as a compressor should see them, `[n, *item_shape]`."""
    if model.low is not None and model.high is not None:
        step = model.step or (model.high - model.low) / (_MOST_LEVELS - 1)
        levels = np.round((x - model.low) / step)
        return levels.astype(np.uint8 if (model.high - model.low) / step < _MOST_LEVELS else np.int32)
    return np.round(x).astype(np.int32) if model.step else x.astype(np.float16)


def _forms(item: np.ndarray) -> Iterator[np.ndarray]:
    """Arrays that tell the item: its values, and what each adds to the one before."""
    axes = range(min(item.ndim, 2)) if item.dtype == np.uint8 else ()
    # Differences of bytes are bytes again: they are taken modulo 256.
    for form in [item, *(np.diff(item, axis=axis, prepend=np.zeros_like(item.take([0], axis))) for axis in axes)]:
        yield form
        if item.dtype == np.uint8 and item.max() <= 1:
            yield np.packbits(form & 1)


def _deflated(values: np.ndarray) -> int:
    compressor = zlib.compressobj(level=9, wbits=-15)  # without zlib's own header and checksum
    return len(compressor.compress(values.tobytes()) + compressor.flush())
