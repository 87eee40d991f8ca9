"""Completions from draws of z: draws of x, the mean and the spread of each number, and how likely the truth is."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae import random
from tfvae.inference.completion.base import ROWS_AT_ONCE, Latents, Method, Problem, repeated
from tfvae.inference.model import seeds

VALUES = ("sample", "mean")


@dataclasses.dataclass(frozen=True)
class Completion:
    """p(x|y) as a method found it.

    Attributes:
      draws: of x, float32 `[num_draws, n, *item_shape]`.
      mean, stddev: of each number of x, over z and p(x|y, z), float32 `[n, *item_shape]`; of codes and bags of words
        see `discrete`.
      z: draws of p(z|y), float32 `[num_samples, n, latent_size]`.
      diagnostics: of each row, `[n]`, by name: see the method.
      log_likelihood: an estimate of log p(x|y) of the truth, float64 `[n]`, nats; None where no truth was given.
      values: what the draws are: `sample`, or `mean`.
    """

    draws: np.ndarray
    mean: np.ndarray
    stddev: np.ndarray
    z: np.ndarray
    diagnostics: dict[str, np.ndarray]
    log_likelihood: np.ndarray | None = None
    values: str = "sample"


def complete(
    problem: Problem,
    method: Method,
    *,
    num_draws: int = 8,
    values: str = "sample",
    truth: np.ndarray | None = None,
) -> Completion:
    """Completes what was observed.

    Mean and spread are Rao-Blackwellised: averages of the moments of p(x|y, z_s) over draws z_s ~ p(z|y), not of draws
    of x. The truth is scored by log p(x|y) ~ log 1/S sum_s p(x|y, z_s), which by Jensen's inequality is too low in the
    mean, the less the more draws there are. Behind a mask x is what is missing; for noise and downsampling it is
    all of x.

    Args:
      problem: what is known.
      method: where the draws of z come from.
      num_draws: of x.
      values: of the draws: `sample`, x ~ p(x|y, z_s), or `mean`, the mean of p(x|y, z_s), which it is also for a
        model that has no draws, such as one of bags of words.
      truth: x, `[n, *item_shape]`, if it is known.

    Raises:
      InputError: for a method that is not for the observation or the model.
    """
    values = values if problem.observation.draws_items(problem.model) else "mean"
    latents = method.latents(problem)
    found = _averages(problem, latents, truth)
    # Each row's draws of z, evenly over the chains' states.
    which = np.linspace(0, len(latents.z) - 1, num_draws).round().astype(int)
    draws = _draws(problem, latents.z[which], values)
    return Completion(draws, found["mean"], np.sqrt(found["variance"]), latents.z, latents.diagnostics,
                      found.get("log_likelihood"), values)  # fmt: skip


def _averages(problem: Problem, latents: Latents, truth: np.ndarray | None) -> dict[str, np.ndarray]:
    """`mean`, `variance` and `log_likelihood` over the draws of z."""
    model, observation = problem.model, problem.observation
    samples = latents.z.transpose(1, 0, 2)  # [n, num_samples, latent_size]
    count = samples.shape[1]

    def average(y: tf.Tensor, labels: Any, z: tf.Tensor, truth: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        found = dict(zip(("mean", "variance"), observation.averages(model, y, z, labels), strict=True))
        if truth is not None:
            rows, z = z.shape[0], tf.reshape(z, [-1, model.latent_size])
            y, labels, truth = repeated(count, y, labels, truth)
            each = observation.log_likelihood_of(model, truth, y, z, labels)
            # A z that gives no number gives no probability.
            each = tf.where(tf.math.is_nan(each), -np.inf, each)
            each = tf.reshape(tf.cast(each, tf.float64), [rows, count])
            found["log_likelihood"] = tf.reduce_logsumexp(each, axis=1) - tf.math.log(tf.cast(count, tf.float64))
        return found

    arrays = {"z": samples} | ({} if truth is None else {"truth": truth})
    return problem.by_blocks(average, arrays, rows=max(1, ROWS_AT_ONCE // count))


def _draws(problem: Problem, z: np.ndarray, values: str) -> np.ndarray:
    """x of each z, `[num_draws, n, *item_shape]`."""
    model, observation = problem.model, problem.observation
    given = seeds(problem.seed, z.shape[0] * z.shape[1], use=random.LIKELIHOOD).reshape(z.shape[1], z.shape[0])

    def draw(y: tf.Tensor, labels: Any, z: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        rows, count = z.shape[:2]
        y, labels, z = repeated(count, y, labels)[0], repeated(count, labels)[0], tf.reshape(z, [-1, z.shape[-1]])
        if values == "mean":
            x = observation.moments(model, y, z, labels)[0]
        else:
            x = observation.draw(model, y, z, labels, tf.reshape(seed, [-1]))
        return {"x": tf.reshape(x, [rows, count, *model.item_shape])}

    arrays = {"z": z.transpose(1, 0, 2), "seed": given}
    rows = max(1, ROWS_AT_ONCE // z.shape[0])
    return np.swapaxes(problem.by_blocks(draw, arrays, rows=rows)["x"], 0, 1)
