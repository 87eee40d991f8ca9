"""Sources that are arrays in memory: scikit-learn's digits, and NPZ files."""

import zipfile
import zlib

import numpy as np

from tfvae.config import DataConfig
from tfvae.data import paths, splits
from tfvae.data.paths import first_line
from tfvae.data.storage import Arrays, Found
from tfvae.errors import InputError


def read_digits(_: str, config: DataConfig) -> Found:
    """The 1,797 handwritten digits of scikit-learn: 8x8 pixels of 17 levels, always cut in the same way."""
    from sklearn.datasets import load_digits  # slow to import, and of use to this source only

    splits.refuse(config, *splits.SPLIT_FIELDS, "resize", "grayscale")
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.images))
    return Found(
        splits=Arrays.build(digits.images[..., None].astype(np.uint8), digits.target, np.split(order, [1350, 1500])),
        num_levels=17,
        label_names=tuple(str(name) for name in digits.target_names),
    )


def read_npz(path: str, config: DataConfig) -> Found:
    """The arrays `images` and, if there, `labels` of an NPZ file, cut as `tfvae.data.splits` says.

    `images` is `[N, height, width]`, `[N, height, width, channels]` or `[N, size]` of
    bytes or other integers in 0 ... 255, booleans, or floats in [0, 1]. `labels` is `[N]`:
    integers or strings.
    """
    splits.refuse(config, *splits.SPLIT_FIELDS, "resize", "grayscale")
    file = paths.find(path, source=config.source, expected="an .npz file")[0]
    arrays = _load(file)
    images, num_levels = _stored(arrays["images"], file)
    labels, names = _labels(arrays.get("labels"), len(images), file)
    return Found(
        splits=Arrays.build(images, labels, splits.cut(len(images), config)), num_levels=num_levels, label_names=names
    )


def _load(file: str) -> dict[str, np.ndarray]:
    try:
        # NumPy leaves a damaged file open: this closes it.
        with open(file, "rb") as stream:
            # Objects are pickles, and a pickle runs whatever code its author put into it.
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise _error(file, "a single array", "an .npz file with the key 'images'")
            if "images" not in archive.files:
                raise _error(file, f"the keys {archive.files}", "the key 'images'")
            return {key: archive[key] for key in ("images", "labels") if key in archive.files}
    except InputError:
        raise
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise _error(file, f"a file that cannot be read ({first_line(error)})", "an .npz file") from error
    except ValueError as error:
        if "allow_pickle" not in str(error) and "pickle" not in str(error).lower():
            raise _error(file, f"a damaged array ({first_line(error)})", "numbers") from error
        # `numpy.load` says the same of an array of objects and of a file in no format of its own.
        raise _error(file, "pickled objects or another format", "an .npz file of plain numbers") from error


def _stored(images: np.ndarray, file: str) -> tuple[np.ndarray, int | None]:
    """Checked images as they are kept, uint8 or float32 `[N, *item_shape]`, and the number of their levels."""
    if images.dtype.kind not in "biuf":
        raise _error(file, f"'images' of type {images.dtype}", "integers, booleans or floats")
    if images.ndim not in (2, 3, 4) or not images.size:
        raise _error(
            file, f"'images' of shape {images.shape}", "[N, height, width], [N, height, width, channels] or [N, size]"
        )
    if images.ndim == 3:
        images = images[..., None]
    # One NaN or infinity makes the minimum or the maximum one.
    low, high = images.min(), images.max()
    if images.dtype.kind == "f" and not (np.isfinite(low) and np.isfinite(high)):
        raise _error(file, "NaN or infinite values in 'images'", "floats in [0, 1]")
    top = 1 if images.dtype.kind == "f" else 255
    if low < 0 or high > top:
        unit = "floats in [0, 1]" if top == 1 else "integers in 0 ... 255"
        raise _error(file, f"values from {low:g} to {high:g} in 'images'", unit)
    if images.dtype.kind == "f":
        return images.astype(np.float32, copy=False), None
    return images.astype(np.uint8, copy=False), 2 if images.dtype.kind == "b" else 256


def _labels(labels: np.ndarray | None, size: int, file: str) -> tuple[np.ndarray | None, tuple[str, ...]]:
    if labels is None:
        return None, ()
    if labels.shape != (size,):
        raise _error(file, f"'labels' of shape {labels.shape}", f"[{size}], one for each image")
    if labels.dtype.kind in "US":
        names, labels = np.unique(labels, return_inverse=True)
        return labels.astype(np.int64), tuple(str(name) for name in names.astype(str))
    if labels.dtype.kind not in "biu":
        raise _error(file, f"'labels' of type {labels.dtype}", "integers or strings")
    return labels.astype(np.int64), ()


def _error(file: str, received: str, expected: str) -> InputError:
    return InputError(f"data.source: {file}: received {received}, expected {expected}")
