"""Priors p(z)."""

import dataclasses

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae.kinds import Prior


@dataclasses.dataclass(kw_only=True, slots=True)
class StandardNormal(Prior):
    """p(z) = N(0, I) (Kingma & Welling 2013, section 3)."""

    def build(self, latent_size: int) -> tfd.Distribution:
        """The distribution of z, `[latent_size]`."""
        return standard_normal(latent_size)


def standard_normal(latent_size: int) -> tfd.Distribution:
    """N(0, I) over `[latent_size]`."""
    zeros = tf.zeros([latent_size], tf.float32)
    return tfd.Independent(tfd.Normal(loc=zeros, scale=tf.ones_like(zeros)), reinterpreted_batch_ndims=1)
