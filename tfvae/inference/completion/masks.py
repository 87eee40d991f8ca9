"""Masks: by name, from a file, or from NaN in the data. True is what is observed."""

import math
import os
from collections.abc import Callable

import numpy as np

from tfvae.data.arrays import open_npz
from tfvae.data.folder import read_image
from tfvae.errors import InputError
from tfvae.inference.completion.observations import uniform_items
from tfvae.inference.model import seeds

_MASKS = 201  # use of a seed


def _lower_half(shape: tuple[int, ...]) -> np.ndarray:
    missing = np.zeros(shape, bool)
    missing[shape[0] // 2 :] = True
    return missing


def _right_half(shape: tuple[int, ...]) -> np.ndarray:
    missing = np.zeros(shape, bool)
    missing[:, shape[1] // 2 :] = True
    return missing


def _center(shape: tuple[int, ...]) -> np.ndarray:
    missing = np.zeros(shape, bool)
    top, left = shape[0] // 4, shape[1] // 4
    missing[top : shape[0] - top, left : shape[1] - left] = True
    return missing


# Each names what is missing of items of a shape; of a vector the lower half is its second one.
_MISSING: dict[str, Callable[[tuple[int, ...]], np.ndarray]] = {
    "lower_half": _lower_half,
    "upper_half": lambda shape: ~_lower_half(shape),
    "right_half": _right_half,
    "left_half": lambda shape: ~_right_half(shape),
    "quadrant": lambda shape: _lower_half(shape) & _right_half(shape),
    "center": _center,
}
HALF = "half"  # of the pixels, at random and others in each example
NAN = "nan"  # what is NaN in the input
NAMES = (*_MISSING, HALF, NAN)


def mask(given: str, item_shape: tuple[int, ...], count: int, *, seed: int = 0) -> np.ndarray:
    """The mask that a flag names.

    Args:
      given: one of `NAMES` but `nan`, a PNG or JPEG (bright is observed), or an NPZ file with the key `mask`.
      item_shape: of one item.
      count: examples, for masks that differ between them.
      seed: of random masks.

    Returns:
      bool `[count, *item_shape]`, true for what is observed.

    Raises:
      InputError: for a name or file that there is none of, another shape, or nothing observed or missing.
    """
    if given == HALF:
        found = _half(item_shape, count, seed)
    elif given in _MISSING:
        if len(item_shape) < 2 and given not in ("lower_half", "upper_half"):
            raise InputError(
                f"--mask: received {given!r}, expected lower_half, upper_half, {HALF} or {NAN}: items of shape "
                f"{list(item_shape)} are no images"
            )
        found = ~_MISSING[given](item_shape)
    else:
        found = _fitted(_read(given), item_shape, count, given)
    found = np.broadcast_to(found, (count, *item_shape))
    check(found, given)
    return found


def check(observed: np.ndarray, given: str) -> None:
    """Raises `InputError` where something of an example must be observed, or missing of any, and is not."""
    empty = np.flatnonzero(~observed.reshape(len(observed), -1).any(axis=1))
    if len(empty):
        raise InputError(
            f"--mask: received {given!r} with nothing observed of example {empty[0]}, expected something to complete"
        )
    if observed.all():
        raise InputError(f"--mask: received {given!r} with nothing missing, expected something to complete")


def _half(item_shape: tuple[int, ...], count: int, seed: int) -> np.ndarray:
    """Half of the pixels, all channels of one alike: those whose noise is above the median's place."""
    places = item_shape[:2] if len(item_shape) > 1 else item_shape
    noise = uniform_items(places, seeds(seed, count, use=_MASKS)).numpy().reshape(count, -1)
    order = np.argsort(np.argsort(noise, axis=1, kind="stable"), axis=1)
    observed = (order < math.prod(places) // 2).reshape(count, *places)
    return np.broadcast_to(observed.reshape(count, *places, *[1] * (len(item_shape) - len(places))),
                           (count, *item_shape))  # fmt: skip


def _read(path: str) -> np.ndarray:
    """The mask of a file, bool of any shape."""
    kind = os.path.splitext(path)[1].lower()
    if kind not in (".png", ".jpg", ".jpeg", ".npz") or not os.path.isfile(path):
        raise InputError(
            f"--mask: received {path!r}, expected one of: {', '.join(NAMES)}, or a PNG, JPEG or NPZ file that is there"
        )
    try:
        if kind != ".npz":
            return np.asarray(read_image(path, lambda image: image.convert("L"))) > 127
        with open_npz(path) as arrays:
            if "mask" not in arrays.files:
                raise InputError(f"received {path!r} with the keys {arrays.files}, expected the key 'mask'")
            values = arrays["mask"]
    except InputError as error:
        raise InputError(f"--mask: {str(error).removeprefix('data.source: ')}") from error
    if values.dtype.kind not in "biuf":
        raise InputError(f"--mask: received {path!r} of type {values.dtype}, expected true or 1 for what is observed")
    return values > 0.5


def _fitted(observed: np.ndarray, item_shape: tuple[int, ...], count: int, path: str) -> np.ndarray:
    """A mask for all channels, for all examples, or for each."""
    if observed.shape == item_shape:
        return observed
    if len(item_shape) == 3 and observed.shape == item_shape[:2]:
        return observed[..., None]
    if observed.shape[1:] == item_shape and len(observed) >= count:
        return observed[:count]
    shapes = f"{list(item_shape)}" + (f" or {list(item_shape[:2])}" if len(item_shape) == 3 else "")
    raise InputError(
        f"--mask: received a mask of shape {list(observed.shape)} in {path}, expected {shapes}, or one such "
        f"for each of {count} examples"
    )
