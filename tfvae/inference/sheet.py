"""What a function of this package gives: items in rows and columns, which become a picture, a film or arrays."""

import dataclasses
import io
import math
import os
from collections.abc import Callable

import numpy as np
from PIL import Image

from tfvae.errors import InputError
from tfvae.files import check_file, npz, write_atomically
from tfvae.inference.audio import is_audio, write_wav
from tfvae.inference.model import Model
from tfvae.inference.tables import is_table, write_csv
from tfvae.inference.text import is_text, write_text

_MARGIN = 1  # pixels between the images of a grid, before it is enlarged
_GREY = 0.5  # of what is no image
_WIDTH = 640  # pixels that small grids are enlarged to, about
_FRAME_MS = 100  # of a film

SUFFIXES = (".png", ".gif", ".npz")

# Files of one kind of data: whose items they hold, and (model, items, path) -> None.
_OF_KIND: dict[str, tuple[Callable[[Model], bool], Callable[..., None]]] = {
    ".wav": (is_audio, write_wav),
    ".txt": (is_text, write_text),
    ".csv": (is_table, write_csv),
}


@dataclasses.dataclass(frozen=True)
class Sheet:
    """Items laid out row by row.

    Attributes:
      items: values of x, float32 `[n, *item_shape]`; NaN is drawn grey.
      columns: items in a row.
      arrays: what else is known of them, by name, such as `z` `[n, latent_size]`.
    """

    items: np.ndarray
    columns: int
    arrays: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def pixels(self, model: Model) -> np.ndarray:
        """The picture, uint8 `[height, width, 1 or 3]`."""
        return grid(model.brightness(self.items), self.columns)

    def frames(self, model: Model) -> list[np.ndarray]:
        """The film: one column of items after the other, in it those of all rows."""
        # A row that is not full is filled with grey: all frames have one size.
        columns = min(self.columns, len(self.items))
        blank = np.full((-len(self.items) % columns, *self.items.shape[1:]), np.nan, np.float32)
        bright = model.brightness(np.concatenate([self.items, blank]))
        across = math.ceil(math.sqrt(len(bright) / columns))
        return [grid(bright[column::columns], across) for column in range(columns)]

    def write(self, model: Model, path: str) -> None:
        """Writes the picture (`.png`), the film (`.gif`), the arrays (`.npz`), or the items as files of their own kind.

        The items of an NPZ file are called `images` or, where they are none, `data`, so that it is a source too. See
        `check_output`.
        """
        suffix = os.path.splitext(path)[1]
        if suffix in _OF_KIND:
            _OF_KIND[suffix][1](model, self.items, path)
            return
        name = "images" if can_draw(model.item_shape) else "data"
        make = {
            ".png": lambda: png(self.pixels(model)),
            ".gif": lambda: gif(self.frames(model)),
            ".npz": lambda: npz({name: self.items, **self.arrays}),
        }
        write_atomically(path, make[suffix]())


def check_output(model: Model, path: str, *, suffixes: tuple[str, ...] = SUFFIXES) -> None:
    """Checks that a sheet of this model can be written to a file; raises `InputError` that begins with --output."""
    suffix = os.path.splitext(path)[1]
    suffixes = (*suffixes, *(kind for kind, (is_of, _) in _OF_KIND.items() if is_of(model)))
    if suffix not in suffixes:
        raise InputError(f"--output: received {path!r}, expected a file that ends in {', '.join(suffixes)}")
    if suffix in (".png", ".gif") and not can_draw(model.item_shape):
        raise InputError(
            f"--output: received {path!r}, expected a file that ends in .npz: items of shape "
            f"{list(model.item_shape)} are no images"
        )
    check_file(path, flag="--output", suffix=suffix)


def can_draw(item_shape: tuple[int, ...]) -> bool:
    """Whether items are images: `[height, width]`, or with 1 or 3 channels."""
    return len(item_shape) == 2 or (len(item_shape) == 3 and item_shape[-1] in (1, 3))


def grid(images: np.ndarray, columns: int) -> np.ndarray:
    """Lays images out row by row.

    Args:
      images: `[n, *item_shape]`, in [0, 1]; values outside are cut off, NaN is grey.
      columns: images in a row.

    Returns:
      uint8 `[height, width, 1 or 3]`, enlarged by a whole factor where images are small.
    """
    images = images.reshape((*images.shape[:3], -1))
    count, height, width, channels = images.shape
    rows = math.ceil(count / columns)
    canvas = np.full((rows * (height + _MARGIN) - _MARGIN, columns * (width + _MARGIN) - _MARGIN, channels), _GREY)
    for index, image in enumerate(images):
        top, left = (index // columns) * (height + _MARGIN), (index % columns) * (width + _MARGIN)
        canvas[top : top + height, left : left + width] = image
    pixels = np.round(np.clip(np.nan_to_num(canvas, nan=_GREY), 0, 1) * 255).astype(np.uint8)
    factor = max(1, round(_WIDTH / pixels.shape[1]))
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def png(pixels: np.ndarray) -> bytes:
    """uint8 `[height, width, 1 or 3]` as a PNG file."""
    stream = io.BytesIO()
    _image(pixels).save(stream, format="PNG")
    return stream.getvalue()


def gif(frames: list[np.ndarray]) -> bytes:
    """Frames, uint8 `[height, width, 1 or 3]` each, as a GIF that goes there and back without end."""
    images = [_image(pixels) for pixels in [*frames, *frames[-2:0:-1]]]
    stream = io.BytesIO()
    images[0].save(stream, format="GIF", save_all=True, append_images=images[1:], duration=_FRAME_MS, loop=0)
    return stream.getvalue()


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
