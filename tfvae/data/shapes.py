"""The source `shapes`: white shapes on black whose factors are known, in the manner of dSprites, drawn here.

Every combination of five factors occurs once (Matthey et al. 2017 made 737,280 pictures of 64x64 so):

| factor      | values | meaning                                                        |
|-------------|--------|----------------------------------------------------------------|
| shape       | 3      | square, ellipse, heart                                         |
| scale       | 4      | half the length: 4, 5, 6, 7 pixels                             |
| orientation | 6      | turned by 0, 15, ..., 75 degrees                               |
| x, y        | 9, 9   | the centre, from the left and from above: 8, 10, ..., 24 pixels |

A square looks the same after 90 degrees and an ellipse after 180: the orientation stays below that, so that no two
pictures are equal, as grey levels or with `binarization = "threshold"`: all factors can be read off each.
"""

import numpy as np

from tfvae.config import DataConfig
from tfvae.data import splits
from tfvae.data.storage import Found

SIZE = 32
_SUBPIXELS = 8  # each way: a pixel is as white as the share of its 64 points that lie in the shape

_CENTRES = np.arange(8, 25, 2)
_ANGLES = np.deg2rad(np.arange(0, 90, 15))
_SCALES = (4.0, 5.0, 6.0, 7.0)


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(u), np.abs(v)) <= 0.75


def _ellipse(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return u**2 + (v / 0.6) ** 2 <= 1.0


def _heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    # (u^2 + w^2 - 1)^3 <= u^2 w^3, with w upwards while v points down; about as wide as an ellipse is long.
    u, w = 1.25 * u, 0.12 - 1.25 * v
    return (u**2 + w**2 - 1.0) ** 3 <= u**2 * w**3


_SHAPES = {"square": _square, "ellipse": _ellipse, "heart": _heart}

FACTORS = {
    "shape": len(_SHAPES),
    "scale": len(_SCALES),
    "orientation": len(_ANGLES),
    "x": len(_CENTRES),
    "y": len(_CENTRES),
}


def draw() -> np.ndarray:
    """All pictures, uint8 `[5832, 32, 32, 1]`; the place of one is `np.ravel_multi_index(its factors, sizes)`."""
    # Drawn once, on a larger canvas; every position is a window of it.
    extent, middle, step = SIZE + _CENTRES[-1] - _CENTRES[0], _CENTRES[-1], _CENTRES[1] - _CENTRES[0]
    points = (np.arange(extent * _SUBPIXELS) + 0.5) / _SUBPIXELS - middle
    across, down = points[None, :], points[:, None]
    pictures = np.empty((*FACTORS.values(), SIZE, SIZE), np.uint8)
    for i, inside in enumerate(_SHAPES.values()):
        for j, scale in enumerate(_SCALES):
            for k, angle in enumerate(_ANGLES):
                u = (np.cos(angle) * across + np.sin(angle) * down) / scale
                v = (np.cos(angle) * down - np.sin(angle) * across) / scale
                covered = inside(u, v).reshape(extent, _SUBPIXELS, extent, _SUBPIXELS).mean(axis=(1, 3))
                canvas = np.round(255.0 * covered).astype(np.uint8)
                windows = np.lib.stride_tricks.sliding_window_view(canvas, (SIZE, SIZE))
                # The window moves against the shape: the first centre has the last window.
                pictures[i, j, k] = windows[::-step, ::-step].swapaxes(0, 1)
    return pictures.reshape(-1, SIZE, SIZE, 1)


def read_shapes(_: str, config: DataConfig) -> Found:
    """The 5,832 pictures, labelled by their places in the grid of factors; cut as `tfvae.data.splits` says."""
    splits.refuse(config, *splits.SPLIT_FIELDS, "resize", "grayscale")
    pictures = draw()
    labels = np.arange(len(pictures))
    return Found.of_arrays(
        pictures,
        labels,
        lambda: splits.cut(len(pictures), config),
        num_levels=256,
        factor_names=tuple(FACTORS),
        factor_sizes=tuple(FACTORS.values()),
    )
