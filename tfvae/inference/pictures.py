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


def brightness(vae: VAE, values: np.ndarray) -> np.ndarray:
    """Values of x `[n, *item_shape]` as brightness in [0, 1]: by the range of the likelihood, else by their largest."""
    low, high = np.min(vae.support.low), np.max(vae.support.high)
    if np.isfinite(low) and np.isfinite(high):
        return (values - low) / (high - low)
    return values / max(float(np.max(np.nan_to_num(values))), 1e-30)


def reconstructions(vae: VAE, x: np.ndarray, labels: np.ndarray | None = None, *, columns: int = 10) -> np.ndarray:
    """Rows of examples, each above the row of their reconstructions (`VAE.reconstruct`), as a grid."""
    pairs, columns = [], min(columns, len(x))
    shown = brightness(vae, x), brightness(vae, np.asarray(vae.reconstruct(x, labels)))
    for start in range(0, len(x), columns):
        for images in shown:
            row = images[start : start + columns]
            blank = np.full((columns - len(row), *row.shape[1:]), _GREY, row.dtype)
            pairs += [row, blank]
    return grid(np.concatenate(pairs), columns)


def samples(vae: VAE, *, count: int = 100, seed: int = 0, columns: int = 10) -> np.ndarray:
    """Means of p(x|z) at draws z ~ p(z), as a grid; of a conditional model each label has its column."""
    columns = vae.num_labels or columns
    keys = random.row_keys(seed, random.PICTURES, rows=tf.range(count))
    z = draw_prior(vae.prior, keys)
    labels = tf.range(count) % vae.num_labels if vae.num_labels else None
    return grid(brightness(vae, np.asarray(vae.decode(z, labels).mean())), columns)


def manifold(vae: VAE, *, columns: int = 20) -> np.ndarray:
    """Means of p(x|z) on a grid through the inverse CDF of a factorised prior (Kingma & Welling 2013, figure 4)."""
    quantiles = tf.cast(tf.linspace(0.5 / columns, 1 - 0.5 / columns, columns), tf.float32)
    axes = vae.prior.distribution.quantile(quantiles[:, None])
    # The first latent grows to the right, the second upwards.
    second, first = tf.meshgrid(axes[::-1, 1], axes[:, 0], indexing="ij")
    z = tf.stack([tf.reshape(first, [-1]), tf.reshape(second, [-1])], axis=-1)
    return grid(brightness(vae, np.asarray(vae.decode(z).mean())), columns)


def all_pictures(vae: VAE, x: np.ndarray, labels: np.ndarray | None = None, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Every picture this model can have, with examples x `[n, *item_shape]`: name -> uint8 `[h, w, channels]`."""
    if not can_draw(x.shape[1:]):
        return {}
    made = {"reconstructions": reconstructions(vae, x, labels), "samples": samples(vae, seed=seed)}
    if vae.latent_size == 2 and not vae.num_labels and _has_quantiles(vae.prior):
        made["manifold"] = manifold(vae)
    return made


def _has_quantiles(prior: tfd.Distribution) -> bool:
    try:
        prior.distribution.quantile(0.5)
    except (AttributeError, NotImplementedError):
        return False
    return isinstance(prior, tfd.Independent)
