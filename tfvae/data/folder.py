"""The source `images:<folder>`: PNG and JPEG files."""

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from tfvae.config import DataConfig
from tfvae.data import paths, pipeline, splits
from tfvae.data.paths import first_line
from tfvae.data.storage import Found
from tfvae.errors import InputError

_EXTENSIONS = (".png", ".jpg", ".jpeg")

# Pillow's modes of grey; every other becomes RGB.
_GREY = ("1", "L", "LA")


def read_folder(path: str, config: DataConfig) -> Found:
    """The images of a folder, or of its subfolders, whose sorted names are the labels; or one image file.

    Grey images have one channel; all others (palettes and transparency too) become RGB.
    Their order, which `split_order = "sequential"` keeps, is that of the names. Hidden
    files and other extensions are passed over.
    """
    splits.refuse(config, *splits.SPLIT_FIELDS)
    folder = paths.find(path, source=config.source, expected="a folder")[0]
    files, labels, label_names, names = paths.listing(folder, _EXTENSIONS, kind="images")
    shape = _common_shape(files, config)
    megabytes = len(files) * int(np.prod(shape)) / 2**20
    if megabytes > config.memory_limit_mb:
        raise InputError(
            f"data.memory_limit_mb: received {config.memory_limit_mb}, expected at least {megabytes:.0f} for the "
            f"{len(files)} images of {folder}: raise it, set --config.data.resize, or write TFRecords, which stream"
        )
    images = np.empty((len(files), *shape), np.uint8)

    def fill(number: int) -> None:
        pixels = read_image(files[number], image_pixels)
        images[number] = pipeline.fit_images(tf.constant(pixels), config).numpy()

    with ThreadPoolExecutor() as pool:
        # Pillow decodes outside of the interpreter's lock. The list raises what a thread raised.
        list(pool.map(fill, range(len(files))))
    return Found.of_arrays(
        images,
        labels,
        lambda: splits.cut(len(files), config),
        num_levels=256,
        label_names=label_names,
        names=names,
    )


def _common_shape(files: list[str], config: DataConfig) -> tuple[int, int, int]:
    """(height, width, channels) of the images after `resize` and `grayscale`, from the files' heads alone."""
    seen: dict[tuple[int, int, int], str] = {}
    with warnings.catch_warnings():
        # A file of a few bytes may claim to be gigabytes of pixels: of these, Pillow only warns at first.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for file in files:
            height, width, channels = read_image(file, image_shape)
            shape = (*(config.resize or (height, width)), 1 if config.grayscale else channels)
            seen.setdefault(shape, file)
    if len(seen) == 1:
        return next(iter(seen))
    (one, one_file), (other, other_file) = list(seen.items())[:2]
    flag, unit = ("resize", "one size") if one[:2] != other[:2] else ("grayscale", "the same number of channels")
    raise InputError(
        f"data.source: received images of shape {one} ({one_file}) and {other} ({other_file}), expected {unit}: "
        f"set --config.data.{flag}"
    )


def read_image(file: str, read: Callable[[Image.Image], Any]) -> Any:
    """`read` of the opened file; raises `InputError` where that fails."""
    try:
        with Image.open(file, formats=("PNG", "JPEG")) as image:
            return read(image)
    # Pillow's decoders raise SyntaxError, struct.error and others besides OSError.
    except Exception as error:
        raise InputError(
            f"data.source: {file}: received a file that cannot be read ({first_line(error)}), expected a PNG or JPEG"
        ) from error


def image_shape(image: Image.Image) -> tuple[int, int, int]:
    """(height, width, channels) of an opened file; raises `ValueError` for pixels that are not of 8 bits."""
    if image.mode[0] in "IF":
        raise ValueError(f"pixels of mode {image.mode}, not 8 bits")
    return image.height, image.width, 1 if image.mode in _GREY else 3


def image_pixels(image: Image.Image) -> np.ndarray:
    """The pixels of an opened file, uint8 `[height, width, channels]`; raises as `image_shape`, and as Pillow does."""
    pixels = np.asarray(image.convert("L" if image.mode in _GREY else "RGB"))
    return pixels.reshape(image_shape(image))
