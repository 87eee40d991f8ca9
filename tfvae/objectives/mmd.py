"""Objectives with a maximum mean discrepancy between q(z) and p(z) (Gretton et al. 2012)."""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tfvae import random
from tfvae.component import FieldError, bounded, choice
from tfvae.kinds import Objective
from tfvae.objectives.base import Terms, reconstruct
from tfvae.reparameterization import draw_prior
from tfvae.rows import Rows, gather_replicas


@dataclasses.dataclass(kw_only=True, slots=True)
class InfoVAE(Objective):
    """Distortion + (1 - alpha) KL + (alpha + lambda - 1) MMD(q(z), p(z)) (Zhao et al. 2019).

    The weights of a mixture prior learn from the KL alone: no gradient passes the choice of a component.
    With alpha = 1 the WAE-MMD (Tolstikhin et al. 2018, algorithm 2); with alpha = 0 and lambda = 1 the ELBO.

    Attributes:
      num_samples: L, draws of z for each example.
      alpha: how far information between x and z is preferred.
      scale: lambda.
      kernel: with r = |a - b|: `inverse_multiquadratic` is C / (C + r^2), `rbf` is exp(-r^2 / C).
      bandwidth: C; 0: 2 latent_size, the mean of r^2 between two draws of N(0, I).
    """

    regularizes: ClassVar[bool] = False

    num_samples: int = bounded(1, low=1)
    alpha: float = bounded(0.0, high=1.0)
    scale: float = bounded(1000.0, low=0.0)
    kernel: str = choice("inverse_multiquadratic", "rbf")
    bandwidth: float = bounded(0.0, low=0.0)

    def validate(self) -> None:
        if self.alpha + self.scale < 1.0:
            raise FieldError("scale", self.scale, f"at least 1 - alpha, {1.0 - self.alpha:g}")

    def quality(self, logs: Any) -> float:
        """Minus the loss."""
        return -float(logs["loss"])

    def terms(self, vae: Any, x: tf.Tensor, rows: Rows) -> Terms:
        """The terms of each example of x `[rows, *item_shape]`."""
        draws, distortion = reconstruct(vae, x, rows, self.num_samples)
        rate = draws.rate(vae.prior)
        prior_draws = draw_prior(vae.prior, random.fold_in(rows.keys, random.PRIOR))
        # Of all replicas, rows first and last: one draw of each row at a time
        z = tf.transpose(gather_replicas(tf.transpose(draws.z, [1, 0, 2])), [1, 0, 2])
        discrepancy = mmd(
            z, gather_replicas(prior_draws), gather_replicas(rows.weights), kernel=self.kernel, bandwidth=self.bandwidth
        )
        penalty = (self.alpha + self.scale - 1.0) * tf.reduce_mean(discrepancy)
        return Terms(loss=distortion + (1.0 - self.alpha) * rate + penalty, distortion=distortion, rate=rate)


def mmd(
    z: tf.Tensor,
    prior_draws: tf.Tensor,
    weights: tf.Tensor,
    *,
    kernel: str = "inverse_multiquadratic",
    bandwidth: float = 0.0,
) -> tf.Tensor:
    """The unbiased estimate of the squared MMD (Gretton et al. 2012, equation 3); it can be below zero.

    Args:
      z: `[..., rows, latent_size]`, draws of q(z).
      prior_draws: `[rows, latent_size]`, draws of p(z), one for each row.
      weights: `[rows]`, as in `Rows`: a row of weight 0 counts nowhere.
      kernel, bandwidth: as in `InfoVAE`.

    Returns:
      float32 `[...]`; 0 where fewer than two rows count.
    """
    real = tf.cast(weights > 0.0, tf.float32)

    def mean(a: tf.Tensor, b: tf.Tensor, pairs: tf.Tensor) -> tf.Tensor:
        # sum_ij w_ij k(a_i, b_j) / sum_ij w_ij
        value = tf.where(pairs > 0.0, _kernel(a, b, kernel, bandwidth), 0.0)
        return tf.math.divide_no_nan(tf.reduce_sum(pairs * value, axis=[-2, -1]), tf.reduce_sum(pairs))

    def others(w: tf.Tensor) -> tf.Tensor:
        # i != j
        return tf.linalg.set_diag(w[:, None] * w, tf.zeros_like(w))

    # E k(z, z') + E k(p, p') - 2 E k(z, p)
    squared = mean(z, z, others(weights)) + mean(prior_draws, prior_draws, others(real))
    squared -= 2.0 * mean(z, prior_draws, weights[:, None] * real)
    return tf.where(tf.reduce_sum(real) > 1.0, squared, tf.zeros_like(squared))


def _kernel(a: tf.Tensor, b: tf.Tensor, kernel: str, bandwidth: float) -> tf.Tensor:
    """k(a_i, b_j) of a, b `[..., rows, latent_size]`: `[..., rows, rows]`."""
    scale = bandwidth or 2.0 * int(a.shape[-1])
    squared = tf.reduce_sum(tf.math.squared_difference(a[..., :, None, :], b[..., None, :, :]), axis=-1)
    return scale / (scale + squared) if kernel == "inverse_multiquadratic" else tf.exp(-squared / scale)
