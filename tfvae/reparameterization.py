"""How a distribution of latents turns noise into a draw. A new posterior or prior registers its way here."""

import functools
import math

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae import random


@functools.singledispatch
def reparameterize(posterior: tfd.Distribution, noise: tf.Tensor) -> tf.Tensor:
    """z = g(noise; x): a draw from q(z|x) that carries gradients (Kingma & Welling 2013, section 2.4).

    Registered by `@reparameterize.register(tfd.Laplace)`.

    Args:
      posterior: q(z|x), batch shape `[rows]`.
      noise: standard normal, `[..., rows, latent_size]`.

    Returns:
      z, the shape of `noise`.

    Raises:
      TypeError: for a distribution that has none registered.
    """
    raise TypeError(f"{type(posterior).__name__} has no registered reparameterization")


@reparameterize.register(tfd.Independent)
def _(posterior: tfd.Independent, noise: tf.Tensor) -> tf.Tensor:
    return reparameterize(posterior.distribution, noise)


@reparameterize.register(tfd.Normal)
def _(posterior: tfd.Normal, noise: tf.Tensor) -> tf.Tensor:
    # z = mu + sigma * epsilon
    return posterior.loc + posterior.scale * noise


@reparameterize.register(tfd.MultivariateNormalLinearOperator)
def _(posterior: tfd.MultivariateNormalLinearOperator, noise: tf.Tensor) -> tf.Tensor:
    # z = mu + L epsilon
    return posterior.loc + posterior.scale.matvec(noise)


@functools.singledispatch
def log_prob_of_draw(posterior: tfd.Distribution, noise: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """log q(z|x) at z = `reparameterize(posterior, noise)`.

    From the noise where that can be: to find it again behind a rounded z loses all
    digits where the scale is small beside the mean, or a triangular factor ill-conditioned.

    Args:
      posterior: batch shape `[rows]`.
      noise: `[..., rows, latent_size]`.
      z: the shape of `noise`.

    Returns:
      float32, the shape of `noise` without its last axis, nats.
    """
    del noise
    return posterior.log_prob(z)


@log_prob_of_draw.register(tfd.Independent)
def _(posterior: tfd.Independent, noise: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(log_prob_of_draw(posterior.distribution, noise, z), axis=-1)


@log_prob_of_draw.register(tfd.Normal)
def _(posterior: tfd.Normal, noise: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    del z
    # log N(epsilon; 0, 1) - log sigma
    return _standard_normal_log_prob(noise) - tf.math.log(posterior.scale)


@log_prob_of_draw.register(tfd.MultivariateNormalLinearOperator)
def _(posterior: tfd.MultivariateNormalLinearOperator, noise: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    del z
    # log N(epsilon; 0, I) - log |det L|
    return tf.reduce_sum(_standard_normal_log_prob(noise), axis=-1) - posterior.scale.log_abs_determinant()


def _standard_normal_log_prob(noise: tf.Tensor) -> tf.Tensor:
    return -0.5 * noise**2 - 0.5 * math.log(2.0 * math.pi)


@functools.singledispatch
def draw_prior(prior: tfd.Distribution, keys: tf.Tensor) -> tf.Tensor:
    """One z ~ p(z) for each row, from the row's own noise; a prior that cannot be reparameterized registers its own.

    Args:
      prior: p(z), no batch shape.
      keys: uint32 `[rows, 2]`: see `tfvae.random`.

    Returns:
      float32 `[rows, latent_size]`.
    """
    return reparameterize(prior, random.normals(keys, int(prior.event_shape[-1]))[0])
