"""Importance resampling of z (Rubin 1988, sampling importance resampling)."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae import random
from tfvae.inference.completion.base import ROWS_AT_ONCE, Latents, Method, Problem, repeated
from tfvae.inference.generation import prior_latents
from tfvae.inference.model import seeds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Importance(Method, name="importance"):
    """K proposals, half of q(z|first guess) and half of p(z), weighted by p(y, z) over the mixture, and resampled.

    The weights of the mixture (Veach & Guibas 1995, the balance heuristic; Owen & Zhou 2000) are at most twice
    p(y|z): a q that is narrow or beside p(z|y) spoils nothing.

    Attributes:
      num_proposals: K, at least 2.
    """

    num_proposals: int = 2_000

    def latents(self, problem: Problem) -> Latents:
        """Diagnostics: `effective_sample_size`, (sum w)^2 / sum w^2 of K, the sum of the weights squared over their
        squares, and `log_evidence`, an estimate of log p(y) in nats.
        """
        return resampled(problem, self.num_proposals, self.num_samples, progress=self.name)


def resampled(problem: Problem, num_proposals: int, num_samples: int, *, progress: str = "") -> Latents:
    """Draws of z by importance resampling: see `Importance`."""
    model, n = problem.model, len(problem.y)
    half = -(-num_proposals // 2)
    z = np.concatenate([_of_guess(problem, half), _of_prior(problem, half)], axis=1)

    def weigh(y: tf.Tensor, labels: Any, guess: tf.Tensor, z: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.reshape(z, [-1, model.latent_size])
        y, labels, guess = repeated(z.shape[1], y, labels, guess)
        q = model.tensors("log_posterior", item=guess, z=rows, labels=labels)["log_prob"]
        prior = problem.log_prior(rows, labels)
        # log w = log p(y|z) + log p(z) - log (q(z|guess) / 2 + p(z) / 2)
        mixture = tf.reduce_logsumexp(tf.stack([q, prior]), axis=0) - tf.math.log(2.0)
        log_weight = problem.observation.log_likelihood(model, y, rows, labels) + prior - mixture
        return {"log_weight": tf.reshape(log_weight, z.shape[:2])}

    rows = max(1, 2 * ROWS_AT_ONCE // z.shape[1])
    found = problem.by_blocks(weigh, {"guess": problem.guess, "z": z}, rows=rows, progress=progress)
    weight, log_sum = weights(found["log_weight"], np.isfinite(z).all(axis=-1))
    total = weight.sum(axis=1)
    # Systematic resampling: (k + u) / S for k = 0 ... S - 1 through the distribution function, in an order of its own.
    generators = [np.random.default_rng(int(each)) for each in seeds(problem.seed, n, use=random.EVALUATION)]
    places = np.stack([(g.permutation(num_samples) + g.random()) / num_samples for g in generators])
    cumulative = np.cumsum(weight, axis=1) / total[:, None]
    which = np.stack([np.searchsorted(c[:-1], p, side="right") for c, p in zip(cumulative, places, strict=True)])
    diagnostics = {
        "effective_sample_size": total**2 / (weight**2).sum(axis=1),
        "log_evidence": log_sum - np.log(z.shape[1]),
    }
    return Latents(np.take_along_axis(z, which[..., None], axis=1).transpose(1, 0, 2), diagnostics)


def weights(log_weight: np.ndarray, finite: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights `[n, K]` whose largest is 1, and the log of the sum of the given ones, `[n]`, nats.

    Args:
      log_weight: `[n, K]`; one that is no finite number counts as that of weight 0.
      finite: which proposals are finite, bool `[n, K]`: they have equal weights in a row where all would be 0.
    """
    log_weight = np.where(np.isfinite(log_weight) & finite, log_weight, -np.inf).astype(np.float64)
    top = log_weight.max(axis=1, keepdims=True)
    none = np.isneginf(top)
    weight = np.where(none, finite, np.exp(log_weight - np.where(none, 0.0, top)))
    return weight, top[:, 0] + np.log(np.maximum(weight.sum(axis=1), 1.0))


def _of_guess(problem: Problem, count: int) -> np.ndarray:
    """z ~ q(z|first guess), `[n, count, latent_size]`."""
    model, n = problem.model, len(problem.y)
    given = seeds(problem.seed, n * count, use=random.TRAINING).reshape(n, count)

    def draw(y: tf.Tensor, labels: Any, guess: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        guess, labels = repeated(count, guess, labels)
        z = model.tensors("encode_sample", item=guess, seed=tf.reshape(seed, [-1]), labels=labels)["z"]
        return {"z": tf.reshape(z, [seed.shape[0], count, model.latent_size])}

    return problem.by_blocks(draw, {"guess": problem.guess, "seed": given}, rows=max(1, ROWS_AT_ONCE // count))["z"]


def _of_prior(problem: Problem, count: int) -> np.ndarray:
    """z ~ p(z), `[n, count, latent_size]`."""
    n, labels = len(problem.y), problem.labels
    repeated_labels = None if labels is None else np.repeat(labels, count)
    z = prior_latents(problem.model, n * count, seed=problem.seed, labels=repeated_labels)
    return z.reshape(n, count, -1)
