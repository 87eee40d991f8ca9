"""Sources that are arrays in memory: scikit-learn's digits, a table made of them, and NPZ files."""

import contextlib
import math
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfvae.config import DataConfig
from tfvae.data import paths, splits
from tfvae.data.paths import first_line, refusal
from tfvae.data.storage import Found
from tfvae.errors import InputError


def read_digits(_: str, config: DataConfig) -> Found:
    """The 1,797 handwritten digits of scikit-learn: 8x8 pixels of 17 levels, always cut in the same way."""
    digits = _digits(config)
    return _cut_digits(digits.images[..., None].astype(np.uint8), digits, num_levels=17)


def read_digits_table(_: str, config: DataConfig) -> Found:
    """The digits as a small table, float32 `[1797, 7]`, with labels and splits of `digits`; for `scale = "none"`.

    Columns, where v is a pixel's level 0 ... 16, and each mean is weighted by v:

    0. the digit: categorical, 0 ... 9;
    1. the number of dark pixels, v >= 8: a count;
    2. whether the centroid of the ink lies in the upper half: 0 or 1;
    3. total ink: (sum v - 312) / 35;
    4. row of the centroid, 0 at the top: (mean of rows - 3.5) / 0.4;
    5. column of the centroid: (mean of columns - 3.5) / 0.3;
    6. spread of the ink, r the root mean square distance from the centroid in pixels: (r - 2.6) / 0.2.

    The constants bring the last four near mean 0 and standard deviation 1. The columns of
    `likelihoods.Table` for it: `("categorical:10", "poisson", "bernoulli", "gaussian",
    "gaussian", "gaussian", "gaussian")`.
    """
    splits.require_stored(config, "columns of 'digits_table' leave [0, 1]")
    digits = _digits(config)
    levels = digits.images
    rows, columns = np.mgrid[:8, :8]
    ink = levels.sum(axis=(1, 2))
    row = (levels * rows).sum(axis=(1, 2)) / ink
    column = (levels * columns).sum(axis=(1, 2)) / ink
    square = (rows - row[:, None, None]) ** 2 + (columns - column[:, None, None]) ** 2
    spread = np.sqrt((levels * square).sum(axis=(1, 2)) / ink)
    table = np.stack(
        [
            digits.target,
            (levels >= 8).sum(axis=(1, 2)),
            row < 3.5,
            (ink - 312.0) / 35.0,
            (row - 3.5) / 0.4,
            (column - 3.5) / 0.3,
            (spread - 2.6) / 0.2,
        ],
        axis=-1,
    )
    return _cut_digits(table.astype(np.float32), digits, num_levels=None)


def _digits(config: DataConfig) -> Any:
    from sklearn.datasets import load_digits  # slow to import, and of use to these sources only

    splits.refuse(config, *splits.SPLIT_FIELDS, "resize", "grayscale")
    return load_digits()


def _cut_digits(values: np.ndarray, digits: Any, *, num_levels: int | None) -> Found:
    order = np.random.default_rng(0).permutation(len(values))
    return Found.of_arrays(
        values,
        digits.target,
        lambda: np.split(order, [1350, 1500]),
        num_levels=num_levels,
        label_names=tuple(str(name) for name in digits.target_names),
    )


def read_npz(path: str, config: DataConfig) -> Found:
    """The arrays `images` (or `data`) of an NPZ file, with `labels` or `factors`, cut as `tfvae.data.splits` says.

    `images`, or `data`, is `[N, height, width]`, `[N, height, width, channels]` or `[N, size]`
    of bytes or other integers in 0 ... 255, booleans, or floats in [0, 1]. With `scale =
    "none"` they are any finite numbers; integers only such as float32 holds exactly, which
    are all up to 2^24. `labels`, if there, is `[N]`: integers or strings. `factors`, in its
    place, is `[N, num_factors]`: integers from 0, the known factors of variation of each
    example, whose names may be given by `factor_names`, strings `[num_factors]`.
    """
    splits.refuse(config, *splits.SPLIT_FIELDS, "resize", "grayscale")
    file = paths.find(path, source=config.source, expected="an .npz file")[0]
    arrays = _load(file)
    key = "images" if "images" in arrays else "data"
    images = _shaped(arrays[key], file, key)
    images, num_levels = (_unit if config.scale == "unit" else _unscaled)(images, file, key)
    labels, described = (_factors if "factors" in arrays else _labels)(arrays, len(images), file)
    return Found.of_arrays(images, labels, lambda: splits.cut(len(images), config), num_levels=num_levels, **described)


def _load(file: str) -> dict[str, np.ndarray]:
    """The arrays of the keys that are known: either `images` or `data`, and what else there is."""
    with open_npz(file) as archive:
        keys = [key for key in ("images", "data") if key in archive.files]
        if len(keys) != 1:
            raise refusal(file, f"the keys {archive.files}", "the key 'images' or, instead of it, 'data'")
        known = (*keys, "labels", "factors", "factor_names")
        return {key: archive[key] for key in known if key in archive.files}


@contextlib.contextmanager
def open_npz(file: str) -> Iterator[Any]:
    """The archive of an NPZ file; raises `InputError` for a damaged one, also when its arrays are read."""
    try:
        # NumPy leaves a damaged file open: this closes it.
        with open(file, "rb") as stream:
            # Objects are pickles, and a pickle runs whatever code its author put into it.
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise refusal(file, "a single array", "an .npz file of arrays with names")
            yield archive
    except InputError:
        raise
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise refusal(file, f"a file that cannot be read ({first_line(error)})", "an .npz file") from error
    except ValueError as error:
        if "allow_pickle" not in str(error) and "pickle" not in str(error).lower():
            raise refusal(file, f"a damaged array ({first_line(error)})", "numbers") from error
        # `numpy.load` says the same of an array of objects and of a file in no format of its own.
        raise refusal(file, "pickled objects or another format", "an .npz file of plain numbers") from error


def _shaped(images: np.ndarray, file: str, key: str) -> np.ndarray:
    """Real numbers `[N, *item_shape]`; a matrix for each example becomes an image of one channel."""
    if images.dtype.kind not in "biuf":
        raise refusal(file, f"{key!r} of type {images.dtype}", "integers, booleans or floats")
    if images.ndim not in (2, 3, 4) or not images.size:
        raise refusal(
            file, f"{key!r} of shape {images.shape}", "[N, height, width], [N, height, width, channels] or [N, size]"
        )
    return images[..., None] if images.ndim == 3 else images


def _unscaled(images: np.ndarray, file: str, key: str) -> tuple[np.ndarray, int | None]:
    """Any finite numbers as they are kept, uint8 or float32, and the number of levels of bytes and booleans."""
    if images.dtype in (np.uint8, np.bool_):
        return images.astype(np.uint8, copy=False), 2 if images.dtype == np.bool_ else 256
    with np.errstate(over="ignore"):
        values = images.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise refusal(file, f"values in {key!r} that are NaN, infinite or too large for float32", "finite numbers")
    if images.dtype.kind in "iu":
        # The comparison is made in float64, which holds each integer below 2^53.
        inexact = (values != images) | (np.abs(values) >= 2.0**53)
        if inexact.any():
            raise refusal(
                file, f"the integer {images[inexact][0]} in {key!r}", "integers that float32 holds (all up to 2^24)"
            )
    return values, None


def _unit(images: np.ndarray, file: str, key: str) -> tuple[np.ndarray, int | None]:
    """Checked values as they are kept, uint8 or float32 in [0, 1], and the number of their levels."""
    # One NaN or infinity makes the minimum or the maximum one.
    low, high = images.min(), images.max()
    if images.dtype.kind == "f" and not (np.isfinite(low) and np.isfinite(high)):
        raise refusal(file, f"NaN or infinite values in {key!r}", "floats in [0, 1]")
    top = 1 if images.dtype.kind == "f" else 255
    if low < 0 or high > top:
        unit = "floats in [0, 1]" if top == 1 else "integers in 0 ... 255"
        raise refusal(
            file,
            f"values from {low:g} to {high:g} in {key!r}",
            f"{unit}, or data.scale = 'none' for values as they are",
        )
    if images.dtype.kind == "f":
        return images.astype(np.float32, copy=False), None
    return images.astype(np.uint8, copy=False), 2 if images.dtype.kind == "b" else 256


# The labels `[N]` and what else a `Found` says of them.
_Described = tuple[np.ndarray | None, dict[str, tuple[Any, ...]]]


def _labels(arrays: dict[str, np.ndarray], size: int, file: str) -> _Described:
    if "factor_names" in arrays:
        raise refusal(file, "the key 'factor_names' alone", "'factors' beside it")
    if "labels" not in arrays:
        return None, {}
    labels = arrays["labels"]
    if labels.shape != (size,):
        raise refusal(file, f"'labels' of shape {labels.shape}", f"[{size}], one for each image")
    if labels.dtype.kind in "US":
        names, labels = np.unique(labels, return_inverse=True)
        return labels.astype(np.int64), {"label_names": tuple(str(name) for name in names.astype(str))}
    if labels.dtype.kind not in "biu":
        raise refusal(file, f"'labels' of type {labels.dtype}", "integers or strings")
    return labels.astype(np.int64), {}


def _factors(arrays: dict[str, np.ndarray], size: int, file: str) -> _Described:
    """Labels that are places in the grid of the factors, 0 ... the largest of each."""
    factors = arrays["factors"]
    if "labels" in arrays:
        raise refusal(file, "the keys 'labels' and 'factors'", "one of the two")
    if factors.ndim != 2 or len(factors) != size or not factors.size:
        raise refusal(file, f"'factors' of shape {factors.shape}", f"[{size}, num_factors], a row for each image")
    if factors.dtype.kind not in "biu":
        raise refusal(file, f"'factors' of type {factors.dtype}", "integers")
    if factors.min() < 0:
        raise refusal(file, f"values from {factors.min()} to {factors.max()} in 'factors'", "integers of at least 0")
    sizes = tuple(int(largest) + 1 for largest in factors.max(axis=0))
    if math.prod(sizes) > np.iinfo(np.int64).max:
        raise refusal(file, f"'factors' with {math.prod(sizes)} combinations", "fewer than 2^63")
    labels = np.ravel_multi_index(tuple(factors.astype(np.int64).T), sizes)
    return labels, {"factor_names": _factor_names(arrays, len(sizes), file), "factor_sizes": sizes}


def _factor_names(arrays: dict[str, np.ndarray], count: int, file: str) -> tuple[str, ...]:
    if "factor_names" not in arrays:
        return tuple(f"factor_{number}" for number in range(count))
    names = arrays["factor_names"]
    if names.shape != (count,):
        raise refusal(file, f"'factor_names' of shape {names.shape}", f"[{count}], one for each factor")
    if names.dtype.kind not in "US":
        raise refusal(file, f"'factor_names' of type {names.dtype}", "strings")
    found = tuple(str(name) for name in names.astype(str))
    if len(set(found)) < count:
        raise refusal(file, f"'factor_names' {list(found)}", "a name of its own for each factor")
    return found
