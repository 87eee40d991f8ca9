"""Objectives that hold the rate at a value or above one. Both look at its mean over the batch."""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tfvae import regularizers
from tfvae.component import bounded
from tfvae.kinds import Objective
from tfvae.objectives.base import Terms, factors, reconstruct
from tfvae.rows import Rows, global_mean
from tfvae.schedules import Linear, Schedule


@dataclasses.dataclass(kw_only=True, slots=True)
class Capacity(Objective):
    """Distortion + gamma |KL - C|: the rate is drawn to C, which rises (Burgess et al. 2018, equation 8).

    The KL is the mean over the batch. With gamma = 1 and a capacity of 0 the ELBO, unless an estimate of the KL falls
    below 0.

    Attributes:
      num_samples: L, draws of z for each example.
      gamma: the price of a nat off the capacity.
      capacity: C in nats, times `capacity_schedule`.
    """

    regularizes: ClassVar[bool] = False

    num_samples: int = bounded(1, low=1)
    gamma: float = bounded(1000.0, low=0.0)
    capacity: float = bounded(25.0, low=0.0)
    capacity_schedule: Schedule = dataclasses.field(default_factory=Linear)

    def quality(self, logs: Any) -> float:
        """Minus the loss at the full capacity, which the schedule comes to."""
        return -float(logs["distortion"]) - self.gamma * abs(float(logs["rate"]) - self.capacity)

    def terms(self, vae: Any, x: tf.Tensor, rows: Rows) -> Terms:
        """The terms of each example of x `[rows, *item_shape]`."""
        draws, distortion = reconstruct(vae, x, rows, self.num_samples)
        rate = draws.rate(vae.prior)
        capacity = self.capacity * self.capacity_schedule.factor(rows.step)
        # |mean_i KL_i - C| = mean_i s (KL_i - C), s the sign of what stands on the left
        side = tf.stop_gradient(tf.sign(global_mean(rows, rate) - capacity))
        return Terms(loss=distortion + self.gamma * side * (rate - capacity), distortion=distortion, rate=rate)


@dataclasses.dataclass(kw_only=True, slots=True)
class FreeBits(Objective):
    """Distortion + sum_j max(lambda, KL_j): a dimension's first nats are free (Kingma et al. 2016, equation 15).

    KL_j is the mean over the batch of that of one dimension of z, so q(z|x) and p(z) must factorise.

    Attributes:
      num_samples: L, draws of z for each example.
      free_nats: lambda, for each dimension.
    """

    regularizes: ClassVar[bool] = False

    num_samples: int = bounded(1, low=1)
    free_nats: float = bounded(0.25, low=0.0)

    def check(self, vae: Any) -> None:
        """Refuses a posterior or prior that does not factorise over the dimensions of z."""
        factors(self, vae.any_posterior(), vae.prior)

    def quality(self, logs: Any) -> float:
        """Minus the loss."""
        return -float(logs["loss"])

    def terms(self, vae: Any, x: tf.Tensor, rows: Rows) -> Terms:
        """The terms of each example of x `[rows, *item_shape]`."""
        draws, distortion = reconstruct(vae, x, rows, self.num_samples)
        posterior, prior = factors(self, draws.posterior, vae.prior)
        # KL_j for each example: [rows, latent_size]
        rates = regularizers.rate(posterior, prior, draws.noise, draws.z)
        paid = tf.stop_gradient(global_mean(rows, rates)) > self.free_nats
        # max(lambda, mean_i KL_ij) = mean_i of the chosen one
        cost = tf.reduce_sum(tf.where(paid, rates, self.free_nats), axis=-1)
        return Terms(loss=distortion + cost, distortion=distortion, rate=tf.reduce_sum(rates, axis=-1))
