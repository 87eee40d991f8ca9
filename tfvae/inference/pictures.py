"""Pictures of a model: reconstructions, samples, and the manifold of a two-dimensional latent."""

import io
import math

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow_probability import distributions as tfd

from tfvae import random
from tfvae.reparameterization import draw_prior
from tfvae.vae import VAE

_MARGIN = 1  # pixels between the images of a grid, before it is enlarged
_GREY = 0.5  # of what is no image
_WIDTH = 640  # pixels that small grids are enlarged to, about


def can_draw(item_shape: tuple[int, ...]) -> bool:
    """Whether examples are images: `[height, width]`, or with 1 or 3 channels."""
    return len(item_shape) == 2 or (len(item_shape) == 3 and item_shape[-1] in (1, 3))


def grid(images: np.ndarray, columns: int) -> np.ndarray:
    """Lays images out row by row.

    Args:
      images: `[n, *item_shape]`, in [0, 1]; values outside are cut off.
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
    pixels = np.round(np.clip(np.nan_to_num(canvas), 0, 1) * 255).astype(np.uint8)
    factor = max(1, round(_WIDTH / pixels.shape[1]))
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def png(pixels: np.ndarray) -> bytes:
    """uint8 `[height, width, 1 or 3]` as a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(stream, format="PNG")
    return stream.getvalue()


def reconstructions(vae: VAE, x: np.ndarray, *, columns: int = 10) -> np.ndarray:
    """Rows of examples, each above the row of their reconstructions (means at the posterior's mean), as a grid."""
    pairs, columns = [], min(columns, len(x))
    means = np.asarray(vae.decode(vae.encode(x).mean()).mean())
    for start in range(0, len(x), columns):
        for images in (x, means):
            row = images[start : start + columns]
            blank = np.full((columns - len(row), *row.shape[1:]), _GREY, row.dtype)
            pairs += [row, blank]
    return grid(np.concatenate(pairs), columns)


def samples(vae: VAE, *, count: int = 100, seed: int = 0, columns: int = 10) -> np.ndarray:
    """Means of p(x|z) at draws z ~ p(z), as a grid."""
    keys = random.row_keys(seed, random.PICTURES, rows=tf.range(count))
    z = draw_prior(vae.prior, keys)
    return grid(np.asarray(vae.decode(z).mean()), columns)


def manifold(vae: VAE, *, columns: int = 20) -> np.ndarray:
    """Means of p(x|z) on a grid through the inverse CDF of a factorised prior (Kingma & Welling 2013, figure 4)."""
    quantiles = tf.cast(tf.linspace(0.5 / columns, 1 - 0.5 / columns, columns), tf.float32)
    axes = vae.prior.distribution.quantile(quantiles[:, None])
    # The first latent grows to the right, the second upwards.
    second, first = tf.meshgrid(axes[::-1, 1], axes[:, 0], indexing="ij")
    z = tf.stack([tf.reshape(first, [-1]), tf.reshape(second, [-1])], axis=-1)
    return grid(np.asarray(vae.decode(z).mean()), columns)


def all_pictures(vae: VAE, x: np.ndarray, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Every picture this model can have: name -> uint8 `[height, width, channels]`."""
    if not can_draw(x.shape[1:]):
        return {}
    made = {"reconstructions": reconstructions(vae, x), "samples": samples(vae, seed=seed)}
    if vae.latent_size == 2 and isinstance(vae.prior, tfd.Independent):
        made["manifold"] = manifold(vae)
    return made
