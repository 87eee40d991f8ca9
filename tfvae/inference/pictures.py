"""Pictures of a model: reconstructions, samples, the manifold of two latents, traversals of single ones."""

import numpy as np
import tensorflow as tf

from tfvae import random
from tfvae.errors import InputError
from tfvae.inference.generation import samples
from tfvae.inference.model import Model, seeds
from tfvae.inference.sheet import Sheet, can_draw

_TAIL = 0.01  # share of codes on either side that a traversal does not reach out to
_DRAWS = 20  # of each code, for the range of a traversal
_PRIOR_DRAWS = 10_000  # for the quantiles of a prior that has none in closed form

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


def reconstructions(model: Model, x: np.ndarray, labels: np.ndarray | None = None, *, columns: int = 10) -> Sheet:
    """Rows of examples, each above the row of their reconstructions."""
    columns = min(columns, len(x))
    made = model.rows("reconstruct", item=x, labels=labels)["reconstruction"]
    blank = np.full((-len(x) % columns, *x.shape[1:]), np.nan, np.float32)
    rows = [np.concatenate([items, blank]).reshape(-1, columns, *x.shape[1:]) for items in (x, made)]
    return Sheet(np.stack(rows, axis=1).reshape(-1, *x.shape[1:]), columns, {"examples": x, "reconstructions": made})


def manifold(
    model: Model,
    x: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    *,
    latents: tuple[int, int] | None = None,
    label: int = 0,
    seed: int = 0,
    columns: int = 20,
) -> Sheet:
    """Means of p(x|z) over two latents, on a grid through the inverse CDF of p(z) (Kingma & Welling 2013, figure 4).

    The first latent grows to the right, the second upwards; others stay at the prior's median.

    Args:
      model: the model.
      x, labels: examples that tell which latents are active.
      latents: numbers of the two; None: the two most active, of two latents the first and the second.
      label: of every item of a conditional model.
      seed: of draws that stand in for a prior without quantiles, such as a mixture.
      columns: of the grid, and rows.

    Raises:
      InputError: for latents that there are none of, or fewer than two.
    """
    size = model.latent_size
    if size < 2:
        raise InputError(f"--mode: received manifold, expected a model of at least two latents: {model.origin} has one")
    if latents is None:
        latents = (0, 1) if size == 2 or x is None else tuple(activity_order(model, x, labels)[:2])
    if len(set(latents)) != 2 or not all(0 <= latent < size for latent in latents):
        raise InputError(f"--dimensions: received {list(latents)}, expected two of 0 ... {size - 1}")
    quantiles = np.linspace(0.5 / columns, 1 - 0.5 / columns, columns)
    which = np.full((columns, columns, size), 0.5)
    # The first latent grows to the right, the second upwards.
    which[..., latents[0]], which[..., latents[1]] = quantiles, quantiles[::-1, None]
    z = prior_quantiles(model, which.reshape(-1, size), seed=seed)
    given = np.full(len(z), label) if model.num_labels else None
    return Sheet(model.decode(z, given), columns, {"z": z})


def prior_quantiles(model: Model, shares: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """The z below which lie these shares of p(z), in (0, 1), in each dimension: `[n, latent_size]` as `shares`.

    Of a prior with dependent dimensions they are those of the noise that it is an image of, or of each latent alone.
    """
    noise = tf.math.ndtri(tf.constant(shares, tf.float32)).numpy()
    try:
        return model.rows("prior", noise=noise, labels=model.any_labels(len(noise)))["z"]
    except InputError:
        given = seeds(seed, _PRIOR_DRAWS, use=random.PICTURES)
        drawn = model.rows("generate", seed=given, labels=model.any_labels(_PRIOR_DRAWS))["z"]
        columns = [np.quantile(drawn[:, j], shares[:, j]) for j in range(model.latent_size)]
        return np.stack(columns, axis=-1).astype(np.float32)


def activity_order(model: Model, x: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """The latents, those whose mean of q(z|x) varies most over the examples first (Burda et al. 2016, appendix C)."""
    return np.argsort(-model.rows("encode", item=x, labels=labels)["mean"].var(axis=0), kind="stable")


def traversal(
    model: Model,
    x: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    seed: int = 0,
    latents: tuple[int, ...] | None = None,
    rows: int = 10,
    columns: int = 11,
) -> Sheet:
    """Means of p(x|z) where one latent of the first example's code goes from low to high, the others staying.

    The range is that of draws from q(z|x) over the examples, without the outermost `_TAIL` on either side. So it fits
    any support of z, and a latent that tells nothing of x moves over the prior.

    Args:
      model: the model.
      x: examples `[n, *item_shape]`.
      labels: of the examples, for a conditional model.
      seed: of the draws.
      latents: numbers of those to move; None: the most active first.
      rows: latents at most.
      columns: values of each, evenly spaced.

    Raises:
      InputError: for latents that there are none of.

    Returns:
      a sheet with a row for each latent.
    """
    if latents is not None and not all(0 <= latent < model.latent_size for latent in latents):
        raise InputError(f"--dimensions: received {list(latents)}, expected some of 0 ... {model.latent_size - 1}")
    chosen = np.asarray(activity_order(model, x, labels) if latents is None else latents)[:rows]
    center = model.rows("encode", item=x[:1], labels=None if labels is None else labels[:1])["mean"][0]
    low, high = np.quantile(_codes(model, x, labels, seed), [_TAIL, 1 - _TAIL], axis=0)
    z = np.tile(center, (len(chosen), columns, 1))
    for row, latent in enumerate(chosen):
        values = np.linspace(low[latent], high[latent], columns)
        if model.latent_support == "simplex":
            z[row] *= ((1 - values) / max(1 - center[latent], 1e-6))[:, None]
        z[row, :, latent] = values
    z = z.reshape(-1, model.latent_size).astype(np.float32)
    given = None if labels is None or not model.num_labels else np.repeat(labels[:1], len(z))
    return Sheet(model.decode(z, given), columns, {"z": z, "latents": chosen})


def _codes(model: Model, x: np.ndarray, labels: np.ndarray | None, seed: int) -> np.ndarray:
    """Draws of z ~ q(z|x), `[_DRAWS * n, latent_size]`."""
    given = seeds(seed, _DRAWS * len(x), use=random.POSTERIOR)
    items, labels = np.tile(x, [_DRAWS] + [1] * (x.ndim - 1)), None if labels is None else np.tile(labels, _DRAWS)
    return model.rows("encode_sample", item=items, seed=given, labels=labels)["z"]


def all_pictures(
    model: Model, x: np.ndarray, labels: np.ndarray | None = None, *, seed: int = 0
) -> dict[str, np.ndarray]:
    """Every picture this model can have, with examples x `[n, *item_shape]`: name -> uint8 `[h, w, channels]`."""
    if not can_draw(model.item_shape):
        return {}
    sheets = {"reconstructions": reconstructions(model, x, labels), "samples": samples(model, seed=seed)}
    if model.latent_size == 2 and not model.num_labels:
        sheets["manifold"] = manifold(model, seed=seed)
    sheets["traversal"] = traversal(model, x, labels, seed=seed)
    return {name: sheet.pixels(model) for name, sheet in sheets.items()}
