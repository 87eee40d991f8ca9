"""How a distribution of latents turns noise into a draw. A new posterior or prior registers its way here."""

import functools
import math

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae import random

# TFP makes an object of these private parents where a part, such as a flow's bijector, is no composite tensor.
_Independent, TransformedDistribution = tfd.Independent.__base__, tfd.TransformedDistribution.__base__


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


@reparameterize.register(_Independent)
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


@reparameterize.register(TransformedDistribution)
def _(posterior: tfd.TransformedDistribution, noise: tf.Tensor) -> tf.Tensor:
    # z = f(z_0), z_0 ~ base
    return posterior.bijector.forward(reparameterize(posterior.distribution, noise))


def log_uniforms(noise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """log u and log(1 - u) of the uniform number u = Phi(noise), for a draw by an inverse distribution function.

    In float32 u itself rounds to 1 where noise is above 5.4: the logarithms keep both tails.
    """
    standard = tfd.Normal(0.0, 1.0)
    return standard.log_cdf(noise), standard.log_cdf(-noise)


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


@log_prob_of_draw.register(_Independent)
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


@log_prob_of_draw.register(TransformedDistribution)
def _(posterior: tfd.TransformedDistribution, noise: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    del z
    base, bijector = posterior.distribution, posterior.bijector
    start = reparameterize(base, noise)
    # log q(z_0) - log |det df / dz_0|: by the pass from z_0 to z, as the other may take a step for each dimension
    determinant = bijector.forward_log_det_jacobian(start, event_ndims=len(base.event_shape))
    return log_prob_of_draw(base, noise, start) - determinant


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


def center(posterior: tfd.Distribution) -> tf.Tensor:
    """A point that stands for q(z|x): its mean where that is known, else the image of the mean noise.

    Args:
      posterior: batch shape `[rows]`.

    Returns:
      float32 `[rows, latent_size]`.
    """
    try:
        return posterior.mean()
    except NotImplementedError:
        rows, size = int(posterior.batch_shape[0] or -1), int(posterior.event_shape[-1])
        shape = tf.concat([posterior.batch_shape_tensor(), [size]], axis=0)
        return tf.ensure_shape(reparameterize(posterior, tf.zeros(shape)), [rows if rows > 0 else None, size])


def moments(posterior: tfd.Distribution, noise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The mean and the standard deviation of q(z|x): where none is known, or none is finite, those of draws.

    Args:
      posterior: batch shape `[rows]`.
      noise: standard normal, `[num_samples, rows, latent_size]`.

    Returns:
      float32 `[rows, latent_size]` each.
    """
    z = reparameterize(posterior, noise)
    drawn = tf.reduce_mean(z, axis=0), tf.math.reduce_std(z, axis=0)
    try:
        own = posterior.mean(), posterior.stddev()
    except NotImplementedError:
        return drawn
    # A variance that is the small difference of two moments can round to below zero.
    return tuple(tf.where(tf.math.is_finite(known), known, other) for known, other in zip(own, drawn, strict=True))
