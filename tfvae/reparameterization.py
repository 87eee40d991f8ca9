"""How a distribution of latents turns noise into a draw. A new posterior or prior registers its way here."""

import functools

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
def draw_prior(prior: tfd.Distribution, keys: tf.Tensor) -> tf.Tensor:
    """One z ~ p(z) for each row, from the row's own noise; a prior that cannot be reparameterized registers its own.

    Args:
      prior: p(z), no batch shape.
      keys: uint32 `[rows, 2]`: see `tfvae.random`.

    Returns:
      float32 `[rows, latent_size]`.
    """
    return reparameterize(prior, random.normals(keys, int(prior.event_shape[-1]))[0])
