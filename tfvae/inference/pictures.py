"""Pictures of a model: reconstructions, samples, the manifold of a two-dimensional latent, traversals of latents."""

import io
import math

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow_probability import distributions as tfd

from tfvae import random
from tfvae.reparameterization import center, draw_prior, reparameterize
from tfvae.vae import VAE

_MARGIN = 1  # pixels between the images of a grid, before it is enlarged
_GREY = 0.5  # of what is no image
_WIDTH = 640  # pixels that small grids are enlarged to, about
_TAIL = 0.01  # share of codes on either side that a traversal does not reach out to
_DRAWS = 20  # of each code, for the range of a traversal

CAPTIONS = {
    "reconstructions": "Rows of test examples, each above the row of their reconstructions: the means of p(x|z) at the "
    "centers of q(z|x).",
    "samples": "Means of p(x|z) at draws of z from the prior; of a conditional model each column is a label.",
    "manifold": "Means of p(x|z) over the two latents, on a grid of quantiles of the prior: the first latent grows to "
    "the right, the second upwards.",
    "traversal": "One latent in each row, the most active first, goes from low to high between the 1% and 99% "
    "quantiles of its codes over examples, while the others stay at the code of one example; latents on the simplex "
    "keep their sum, the others shrinking in proportion.",
}


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


def traversal(
    vae: VAE, x: np.ndarray, labels: np.ndarray | None = None, *, seed: int = 0, rows: int = 10, columns: int = 11
) -> np.ndarray:
    """Means of p(x|z) where one latent of the first example's code goes from low to high, the others staying.

    The range is that of draws from q(z|x) over the examples, without the outermost `_TAIL` on either side. So it fits
    any support of z, and a latent that tells nothing of x moves over the prior.

    Args:
      vae: the model.
      x: examples `[n, *item_shape]`.
      labels: of the examples, for a conditional model.
      seed: of the draws.
      rows: latents at most: those whose center varies most over the examples come first.
      columns: values of each, evenly spaced.

    Returns:
      a grid with a row for each latent.
    """
    posterior = vae.encode(x, labels)
    keys = random.fold_in(random.row_keys(seed, random.PICTURES, rows=tf.range(len(x))), random.POSTERIOR)
    noise = random.normals(keys, vae.latent_size, num_samples=_DRAWS)
    codes, centers = reparameterize(posterior, noise).numpy().reshape(-1, vae.latent_size), center(posterior).numpy()
    latents = np.argsort(-centers.var(axis=0), kind="stable")[:rows]
    low, high = np.quantile(codes, [_TAIL, 1 - _TAIL], axis=0)
    z = np.tile(centers[0], (len(latents), columns, 1))
    for row, latent in enumerate(latents):
        values = np.linspace(low[latent], high[latent], columns)
        if _on_simplex(codes):
            z[row] *= ((1 - values) / max(1 - centers[0, latent], 1e-6))[:, None]
        z[row, :, latent] = values
    z = z.reshape(-1, vae.latent_size).astype(np.float32)
    means = vae.decode(z, None if labels is None else np.repeat(labels[:1], len(z))).mean()
    return grid(brightness(vae, np.asarray(means)), columns)


def _on_simplex(codes: np.ndarray) -> bool:
    """Whether all codes `[n, latent_size]` are shares that sum to 1."""
    return codes.shape[1] > 1 and bool((codes >= 0).all()) and np.allclose(codes.sum(axis=1), 1.0, atol=1e-3)


def all_pictures(vae: VAE, x: np.ndarray, labels: np.ndarray | None = None, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Every picture this model can have, with examples x `[n, *item_shape]`: name -> uint8 `[h, w, channels]`."""
    if not can_draw(x.shape[1:]):
        return {}
    made = {"reconstructions": reconstructions(vae, x, labels), "samples": samples(vae, seed=seed)}
    if vae.latent_size == 2 and not vae.num_labels and _has_quantiles(vae.prior):
        made["manifold"] = manifold(vae)
    return made | {"traversal": traversal(vae, x, labels, seed=seed)}


def _has_quantiles(prior: tfd.Distribution) -> bool:
    try:
        prior.distribution.quantile(0.5)
    except (AttributeError, NotImplementedError):
        return False
    return isinstance(prior, tfd.Independent)
