"""Evaluates a model on a split by importance sampling: averages with their units, as `evaluation.json` holds them."""

from collections.abc import Callable
from typing import Any

from tfvae.data import Split
from tfvae.evaluation.estimators import Importance
from tfvae.evaluation.run import estimate
from tfvae.vae import VAE


def evaluate(
    vae: VAE,
    split: Split,
    *,
    num_samples: int,
    seed: int = 0,
    num_levels: int | None = None,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The ELBO and the importance-weighted bound, from the same K posterior samples of each example.

    Args:
      vae: a compiled or uncompiled model.
      split: the examples.
      num_samples: K.
      seed: of the samples; the noise of an example depends on it and its place in the split.
      num_levels: grey levels that dequantization filled, for bits per dimension of a
        continuous likelihood; None: not dequantized.
      batch_size: examples at once; results do not depend on it.
      progress: called with (examples done, examples in all).

    Raises:
      InputError: where a figure is not finite.

    Returns:
      averages over the examples, in nats: `elbo = -(rate + distortion)`, `rate`,
      `distortion`, `log_likelihood` and its standard error over examples; and
      `bits_per_dim`, None where p(x|z) is a density of data that was not dequantized. See `estimate` for more.
    """
    return estimate(
        vae, split, Importance(num_samples=num_samples), seed=seed, num_levels=num_levels, batch_size=batch_size,
        progress=progress,
    ).summary  # fmt: skip
