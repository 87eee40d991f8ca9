"""The beta-TC-VAE: the rate taken apart, each part with a weight of its own (Chen et al. 2018)."""

import dataclasses
import math
from typing import Any, ClassVar

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae.component import bounded
from tfvae.kinds import Objective
from tfvae.objectives.base import Draws, Terms, factors, num_examples, reconstruct
from tfvae.rows import Rows, gather_replicas, own_rows


@dataclasses.dataclass(kw_only=True, slots=True)
class BetaTCVAE(Objective):
    """Distortion + alpha MI + beta TC + gamma KL_dim (Chen et al. 2018, equations 2 and 4).

    Sampled throughout: all weights 1 are `SGVB_A`. log q(z) is that of minibatch-weighted
    sampling, see `decompose`.

    Attributes:
      num_samples: L, draws of z for each example.
      alpha: of the mutual information between example and code.
      beta: of the total correlation.
      gamma: of the sum over the dimensions of KL(q(z_j) || p(z_j)).
    """

    regularizes: ClassVar[bool] = False

    num_samples: int = bounded(1, low=1)
    alpha: float = bounded(1.0, low=0.0)
    beta: float = bounded(6.0, low=0.0)
    gamma: float = bounded(1.0, low=0.0)

    def check(self, vae: Any) -> None:
        """Refuses a posterior or prior that does not factorise; asks for the size of the data set."""
        num_examples(self, vae)
        factors(self, vae.any_posterior(), vae.prior)

    def quality(self, logs: Any) -> float:
        """Minus the loss."""
        return -float(logs["loss"])

    def terms(self, vae: Any, x: tf.Tensor, rows: Rows) -> Terms:
        """The terms of each example of x `[rows, *item_shape]`."""
        size = num_examples(self, vae)
        draws, distortion = reconstruct(vae, x, rows, self.num_samples)
        marginals = factors(self, draws.posterior, vae.prior)
        information, correlation, dimensions = decompose(draws, vae.prior, marginals[0], rows, num_examples=size)
        cost = self.alpha * information + self.beta * correlation + self.gamma * dimensions
        return Terms(loss=distortion + cost, distortion=distortion, rate=information + correlation + dimensions)


def decompose(
    draws: Draws, prior: tfd.Distribution, marginal: tfd.Distribution, rows: Rows, *, num_examples: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The rate as index-code mutual information + total correlation + dimension-wise KL (equation 2).

    Minibatch-weighted sampling (equation 3): q(z) ~ 1/(N M) sum_m q(z|x_m) over the M examples of the batch, and
    the same for each q(z_j). It is biased; the sum of the three is not.

    Args:
      draws: of this replica's rows.
      prior: p(z), no batch shape.
      marginal: q(z_j|x), batch shape `[rows, latent_size]`.
      rows: of this replica.
      num_examples: N.

    Returns:
      Three float32 `[rows]`, nats: their sum is the sampled rate.
    """
    # [all rows, num_samples, latent_size]
    z = gather_replicas(tf.transpose(draws.z, [1, 0, 2]))
    # log q(z_j | x_m), the rows m of this replica: [all rows, num_samples, rows, latent_size]
    pairs = marginal.log_prob(z[:, :, None, :])
    # The last of the next axis is the joint density: [..., rows, latent_size + 1]
    pairs = tf.concat([pairs, tf.reduce_sum(pairs, axis=-1, keepdims=True)], axis=-1)
    real = rows.weights > 0.0
    log_weights = tf.math.log(tf.where(real, rows.weights, 1.0))
    pairs = tf.where(real[:, None], pairs + log_weights[:, None], -math.inf)
    # log sum_m w_m q(z | x_m): over this replica's rows, then over the replicas
    sums = tf.reduce_logsumexp(gather_replicas(tf.reduce_logsumexp(pairs, axis=2)[None]), axis=0)
    count = tf.reduce_sum(gather_replicas(rows.weights))
    log_q = tf.transpose(own_rows(sums, tf.shape(draws.z)[1]), [1, 0, 2]) - tf.math.log(num_examples * count)
    log_q_z, log_q_dimensions = log_q[..., -1], tf.reduce_sum(log_q[..., :-1], axis=-1)
    log_prior = prior.log_prob(draws.z)
    # log q(z|x) - log q(z)
    information = draws.log_ratio(prior) + log_prior - log_q_z
    # log q(z) - sum_j log q(z_j)
    correlation = log_q_z - log_q_dimensions
    # sum_j log q(z_j) - log p(z)
    dimensions = log_q_dimensions - log_prior
    return (
        tf.reduce_mean(information, axis=0),
        tf.reduce_mean(correlation, axis=0),
        tf.reduce_mean(dimensions, axis=0),
    )
