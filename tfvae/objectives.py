"""Objectives: a loss per example from a model and a batch, in nats."""

import dataclasses
from typing import Any

import tensorflow as tf

from tfvae import random
from tfvae.component import bounded
from tfvae.errors import InputError
from tfvae.kinds import Objective
from tfvae.reparameterization import reparameterize
from tfvae.rows import Rows
from tfvae.schedules import Constant, Schedule


@dataclasses.dataclass
class Terms:
    """What an objective says of each example, all float32 `[rows]`, in nats.

    Attributes:
      loss: what is minimised, without what activity regularizers add.
      distortion: -E_q[log p(x|z)], estimated.
      rate: KL(q(z|x) || p(z)), or an estimate; the ELBO is -(distortion + rate), whatever is minimised.
    """

    loss: tf.Tensor
    distortion: tf.Tensor
    rate: tf.Tensor


@dataclasses.dataclass(kw_only=True, slots=True)
class SGVB_B(Objective):  # noqa: N801, the paper's name
    """SGVB estimator B: analytic KL, sampled distortion (Kingma & Welling 2013, equation 7).

    The KL enters the loss through the activity regularizer of the posterior layer and
    nowhere else.

    Attributes:
      num_samples: L, draws of z for each example.
      kl_weight: factor of the rate, times `kl_schedule`; 1 for the ELBO.
    """

    num_samples: int = bounded(1, low=1)
    kl_weight: float = bounded(1.0, low=0.0)
    kl_schedule: Schedule = dataclasses.field(default_factory=Constant)

    def weight_at(self, step: tf.Tensor) -> tf.Tensor:
        """`kl_weight` times its schedule."""
        return self.kl_weight * self.kl_schedule.factor(step)

    def terms(self, vae: Any, x: tf.Tensor, rows: Rows) -> Terms:
        """The terms of each example of x `[rows, *item_shape]`."""
        posterior = vae.encode(x)
        if rows.rate is None:
            raise InputError(
                "the encoder's posterior layer carries no tfvae.KLRegularizer, expected its "
                "activity_regularizer to be left free for tfvae.VAE to set"
            )
        noise = random.normals(rows.keys, vae.latent_size, num_samples=self.num_samples)
        # z_l = g(epsilon_l; x)
        z = reparameterize(posterior, noise)
        # -1/L sum_l log p(x | z_l)
        distortion = -tf.reduce_mean(vae.log_likelihood(x, z), axis=0)
        return Terms(loss=distortion, distortion=distortion, rate=rows.rate)
