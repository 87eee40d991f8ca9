"""What posteriors with one family for each latent share."""

from typing import Any, ClassVar

import tensorflow as tf
from tensorflow_probability import distributions as tfd
from tensorflow_probability import layers as tfpl

from tfvae.flows import softly_clamped
from tfvae.kinds import Posterior
from tfvae.posteriors.layers import distribution_layer

# Beyond it float32 densities lose more than 0.001 nats, as they are differences of larger terms.
CONCENTRATION_LIMIT = 1e3

# The range of log z where z, z^2 and 1 / z are normal float32 numbers.
LOG_RANGE = (-80.0, 40.0)


class _Factorised(Posterior):
    """q(z|x) = prod_j q(z_j|x): a family says how its raw parameters become a distribution.

    Attributes:
      params_per_latent: raw parameters of each latent; one kind comes after the other.
    """

    __slots__ = ()

    params_per_latent: ClassVar[int] = 2

    def family(self, *raw: tf.Tensor) -> tfd.Distribution:
        """The distribution of single latents from raw parameters, `[rows, latent_size]` each."""
        raise NotImplementedError

    def params_size(self, latent_size: int) -> int:
        """Numbers that the encoder's network gives for one example."""
        return self.params_per_latent * latent_size

    def layer(self, latent_size: int, activity_regularizer: Any) -> tfpl.DistributionLambda:
        """The `tfp.layers` layer."""

        def distribution(params: tf.Tensor) -> tfd.Distribution:
            raw = tf.split(params, self.params_per_latent, axis=-1)
            return tfd.Independent(self.family(*raw), reinterpreted_batch_ndims=1)

        return distribution_layer(distribution, activity_regularizer)


def concentration(raw: tf.Tensor, floor: float) -> tf.Tensor:
    """A parameter of shape between `floor` and about `CONCENTRATION_LIMIT`."""
    return softly_clamped(tf.math.softplus(raw), CONCENTRATION_LIMIT) + floor


def exp_in_range(log_z: tf.Tensor) -> tf.Tensor:
    """exp(log_z), kept above zero and finite."""
    return tf.exp(tf.clip_by_value(log_z, *LOG_RANGE))
