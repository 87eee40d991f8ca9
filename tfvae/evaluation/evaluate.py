"""Evaluates a model on a split: averages with their units, as `evaluation.json` holds them."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae import random
from tfvae.data import Split
from tfvae.errors import InputError
from tfvae.evaluation.importance import importance_estimate
from tfvae.rows import plain_rows
from tfvae.vae import VAE

_DECODES_AT_ONCE = 5_000  # rows x samples: bounds memory whatever K


def evaluate(
    vae: VAE,
    split: Split,
    *,
    num_samples: int,
    seed: int = 0,
    num_levels: int | None = None,
    batch_size: int = 100,
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
      `bits_per_dim`, None where p(x|z) is a density of data that was not dequantized.
    """
    chunk_size = max(1, min(num_samples, _DECODES_AT_ONCE // batch_size))

    @tf.function(jit_compile=vae.use_jit("auto"), autograph=False)
    def estimate(x: tf.Tensor, labels: tf.Tensor | None, first: tf.Tensor) -> Any:
        keys = random.row_keys(seed, random.EVALUATION, rows=first + tf.range(batch_size, dtype=tf.int64))
        with plain_rows(batch_size, labels=labels).current():
            result = importance_estimate(vae, x, keys, num_samples=num_samples, chunk_size=chunk_size)
        return tf.stack([result.log_likelihood, result.distortion, result.rate])

    columns, done = [], 0
    for batch in split.evaluation_batches(batch_size=batch_size, labels=bool(vae.num_labels)):
        x, labels = batch if vae.num_labels else (batch, None)
        count = int(x.shape[0])
        # One static shape, so that one program serves the ragged last batch too.
        x, labels = (v if v is None else tf.gather(v, tf.range(batch_size) % count) for v in (x, labels))
        columns.append(estimate(x, labels, tf.constant(done, tf.int64)).numpy()[:, :count])
        done += count
        if progress:
            progress(done, split.num_examples)
    log_likelihood, distortion, rate = figures = np.concatenate(columns, axis=1)
    bad = np.flatnonzero(~np.isfinite(figures).all(axis=0))
    if bad.size:
        raise InputError(
            f"data.source: {bad.size} of {done} examples of the {split.name} split have figures that are not finite, "
            f"the first at place {bad[0]}, expected examples like those of training"
        )
    dimensions = int(np.prod(x.shape[1:]))
    # A probability mass is what it is: a density must be multiplied by the width of a level.
    levels = 1 if vae.support.discrete else num_levels
    mean_rate, mean_distortion = float(rate.mean()), float(distortion.mean())
    return {
        "split": split.name,
        "num_examples": done,
        "elbo": -(mean_rate + mean_distortion),
        "rate": mean_rate,
        "distortion": mean_distortion,
        "log_likelihood": float(log_likelihood.mean()),
        "log_likelihood_standard_error": _standard_error(log_likelihood),
        "num_samples": num_samples,
        "bits_per_dim": bits_per_dim(float(log_likelihood.mean()), dimensions, levels),
        "units": "nats",
    }


def _standard_error(values: np.ndarray) -> float | None:
    """Of the mean; None for one example, which tells nothing of it."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None


def bits_per_dim(log_likelihood: float, dimensions: int, num_levels: int | None) -> float | None:
    """-log2 of the probability of one grey level for each dimension (Theis et al. 2016, section 3.1).

    Args:
      log_likelihood: nats per example: of a mass (`num_levels` 1), or of a density of
        data dequantized to [0, 1].
      dimensions: of one example.
      num_levels: each level is 1 / num_levels wide; None: unknown.
    """
    if num_levels is None:
        return None
    # p(level) is about p(x) / num_levels in each dimension.
    return -log_likelihood / (dimensions * math.log(2.0)) + math.log2(num_levels)
