"""Posteriors with a tractable inverse distribution function: z = F^-1(u), u = Phi(noise).

The second way of Kingma & Welling (2013, section 2.4) to choose g. All formulas are in
log u and log(1 - u), which keep the tails that u itself rounds away.
"""

import dataclasses
import math
from typing import ClassVar

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tfvae.component import bounded
from tfvae.flows import softly_clamped
from tfvae.posteriors.factorised import LOG_RANGE, _Factorised, concentration, exp_in_range
from tfvae.posteriors.layers import positive
from tfvae.posteriors.location_scale import register_location_scale
from tfvae.reparameterization import log_prob_of_draw, log_uniforms, reparameterize

# E exp(-z) stands in the KL to a Gumbel prior, so z must not go far below zero.
_GUMBEL_LOC_LIMIT, _GUMBEL_SCALE_LIMIT = 20.0, 10.0

# The largest float32 number inside (0, 1).
_BELOW_ONE = 1.0 - 2.0**-24


def _gumbel_quantile(posterior: tfd.Gumbel, noise: tf.Tensor) -> tf.Tensor:
    # u = -log(-log Phi(epsilon))
    return -tf.math.log(-log_uniforms(noise)[0])


register_location_scale(tfd.Gumbel, _gumbel_quantile)


@dataclasses.dataclass(kw_only=True, slots=True)
class Gumbel(_Factorised):
    """q(z|x) = prod_j Gumbel(z_j; mu_j(x), beta_j(x)), of largest values; mu is in (-20, 20), beta below 10.

    Attributes:
      scale_floor: smallest beta.
    """

    scale_floor: float = bounded(1e-4, low=0.0, open_low=True)

    def family(self, *raw: tf.Tensor) -> tfd.Gumbel:
        loc, scale = raw
        scale = softly_clamped(positive(scale, self.scale_floor), _GUMBEL_SCALE_LIMIT)
        return tfd.Gumbel(softly_clamped(loc, _GUMBEL_LOC_LIMIT), scale)


@reparameterize.register(tfd.Weibull)
def _(posterior: tfd.Weibull, noise: tf.Tensor) -> tf.Tensor:
    log_rest = log_uniforms(noise)[1]
    # z = lambda (-log(1 - u))^(1/k)
    return exp_in_range(tf.math.log(posterior.scale) + tf.math.log(-log_rest) / posterior.concentration)


@log_prob_of_draw.register(tfd.Weibull)
def _(posterior: tfd.Weibull, noise: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    del z
    log_rest, k = log_uniforms(noise)[1], posterior.concentration
    # log(k / lambda) + (k - 1) log(z / lambda) - (z / lambda)^k, where (z / lambda)^k = -log(1 - u)
    return tf.math.log(k) - tf.math.log(posterior.scale) + (1.0 - 1.0 / k) * tf.math.log(-log_rest) + log_rest


@dataclasses.dataclass(kw_only=True, slots=True)
class Weibull(_Factorised):
    """q(z|x) = prod_j Weibull(z_j; k_j(x), lambda_j(x)) (Zhang et al. 2018, section 3.1).

    Attributes:
      concentration_floor: smallest k.
      scale_floor: smallest lambda.
    """

    support: ClassVar[str] = "positive"

    concentration_floor: float = bounded(0.2, low=0.2)
    scale_floor: float = bounded(1e-4, low=0.0, open_low=True)

    def family(self, *raw: tf.Tensor) -> tfd.Weibull:
        k, scale = raw
        return tfd.Weibull(concentration(k, self.concentration_floor), positive(scale, self.scale_floor))


@reparameterize.register(tfd.Exponential)
def _(posterior: tfd.Exponential, noise: tf.Tensor) -> tf.Tensor:
    # z = -log(1 - u) / lambda
    return -log_uniforms(noise)[1] / posterior.rate


@dataclasses.dataclass(kw_only=True, slots=True)
class Exponential(_Factorised):
    """q(z|x) = prod_j Exponential(z_j; lambda_j(x)).

    Attributes:
      rate_floor: smallest lambda.
    """

    support: ClassVar[str] = "positive"
    params_per_latent: ClassVar[int] = 1

    rate_floor: float = bounded(1e-4, low=0.0, open_low=True)

    def family(self, *raw: tf.Tensor) -> tfd.Exponential:
        return tfd.Exponential(positive(raw[0], self.rate_floor))


@reparameterize.register(tfd.Kumaraswamy)
def _(posterior: tfd.Kumaraswamy, noise: tf.Tensor) -> tf.Tensor:
    return tf.minimum(exp_in_range(_log_kumaraswamy(posterior, noise)), _BELOW_ONE)


@log_prob_of_draw.register(tfd.Kumaraswamy)
def _(posterior: tfd.Kumaraswamy, noise: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    del z
    a, b = posterior.concentration1, posterior.concentration0
    # log a b + (a - 1) log z + (b - 1) log(1 - z^a), where 1 - z^a = (1 - u)^(1/b)
    log_z = _log_kumaraswamy(posterior, noise)
    return tf.math.log(a) + tf.math.log(b) + (a - 1.0) * log_z + (1.0 - 1.0 / b) * log_uniforms(noise)[1]


def _log_kumaraswamy(posterior: tfd.Kumaraswamy, noise: tf.Tensor) -> tf.Tensor:
    # log z = log(1 - (1 - u)^(1/b)) / a: `tfp.math.log1mexp` has no finite gradient where the power rounds to 1
    return tf.math.log(-tf.math.expm1(log_uniforms(noise)[1] / posterior.concentration0)) / posterior.concentration1


@dataclasses.dataclass(kw_only=True, slots=True)
class Kumaraswamy(_Factorised):
    """q(z|x) = prod_j Kumaraswamy(z_j; a_j(x), b_j(x)) on (0, 1) (Nalisnick & Smyth 2017, equation 4).

    Attributes:
      concentration_floor: smallest a and b.
    """

    support: ClassVar[str] = "unit"

    concentration_floor: float = bounded(0.1, low=0.1)

    def family(self, *raw: tf.Tensor) -> tfd.Kumaraswamy:
        a, b = (concentration(part, self.concentration_floor) for part in raw)
        return tfd.Kumaraswamy(a, b)


@reparameterize.register(tfd.Uniform)
def _(posterior: tfd.Uniform, noise: tf.Tensor) -> tf.Tensor:
    # z = low + (high - low) Phi(epsilon)
    return posterior.low + posterior.range() * tf.minimum(tf.exp(log_uniforms(noise)[0]), _BELOW_ONE)


@reparameterize.register(tfd.Beta)
def _(posterior: tfd.Beta, noise: tf.Tensor) -> tf.Tensor:
    a, b = posterior.concentration1, posterior.concentration0
    tail = tf.exp(log_uniforms(-tf.abs(noise))[0])
    # z = F^-1(u; a, b) = 1 - F^-1(1 - u; b, a), by the smaller of u and 1 - u
    lower = noise < 0.0
    inverse = tfp.math.betaincinv(tf.where(lower, a, b), tf.where(lower, b, a), tail)
    return tf.clip_by_value(tf.where(lower, inverse, 1.0 - inverse), math.exp(LOG_RANGE[0]), _BELOW_ONE)
