"""Location and scale posteriors: z = loc + scale * u, u from the standard member of the family.

The first way of Kingma & Welling (2013, section 2.4) to choose g beyond the normal.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae.component import bounded
from tfvae.posteriors.factorised import _Factorised
from tfvae.posteriors.layers import positive
from tfvae.reparameterization import log_prob_of_draw, log_uniforms, reparameterize


def register_location_scale(family: type, quantile: Callable[[tfd.Distribution, tf.Tensor], tf.Tensor]) -> None:
    """Registers the draw of a family, and the density of that draw.

    Args:
      family: a TFP distribution class with `loc` and `scale`.
      quantile: (distribution, noise) -> u: the quantile of Phi(noise) where loc = 0 and scale = 1.
    """

    @reparameterize.register(family)
    def _(posterior: tfd.Distribution, noise: tf.Tensor) -> tf.Tensor:
        # z = loc + scale * u
        return posterior.loc + posterior.scale * quantile(posterior, noise)

    @log_prob_of_draw.register(family)
    def _(posterior: tfd.Distribution, noise: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        del z
        standard = posterior.copy(loc=tf.zeros_like(posterior.loc), scale=tf.ones_like(posterior.scale))
        # log q(u; 0, 1) - log scale
        return standard.log_prob(quantile(posterior, noise)) - tf.math.log(posterior.scale)


def _laplace_quantile(posterior: tfd.Laplace, noise: tf.Tensor) -> tf.Tensor:
    # u = -sign(epsilon) log(2 Phi(-|epsilon|)): by symmetry both tails are the lower one
    return -tf.sign(noise) * (np.log(2.0) + log_uniforms(-tf.abs(noise))[0])


def _logistic_quantile(posterior: tfd.Logistic, noise: tf.Tensor) -> tf.Tensor:
    # u = log Phi(epsilon) - log Phi(-epsilon)
    log_u, log_rest = log_uniforms(noise)
    return log_u - log_rest


register_location_scale(tfd.Laplace, _laplace_quantile)
register_location_scale(tfd.Logistic, _logistic_quantile)


# The density of a draw is left to `log_prob`: the quantile is an iteration, too slow to be found twice.
@reparameterize.register(tfd.StudentT)
def _(posterior: tfd.StudentT, noise: tf.Tensor) -> tf.Tensor:
    tail = tf.exp(log_uniforms(-tf.abs(noise))[0])
    # u = -sign(epsilon) F^-1(Phi(-|epsilon|)); the degrees of freedom are not learned, so it needs no gradient
    u = -tf.sign(noise) * tf.stop_gradient(tfd.StudentT(posterior.df, 0.0, 1.0).quantile(tail))
    return posterior.loc + posterior.scale * u


@dataclasses.dataclass(kw_only=True, slots=True)
class Laplace(_Factorised):
    """q(z|x) = prod_j Laplace(z_j; mu_j(x), b_j(x)).

    Attributes:
      scale_floor: smallest b.
    """

    scale_floor: float = bounded(1e-4, low=0.0, open_low=True)

    def family(self, *raw: tf.Tensor) -> tfd.Laplace:
        loc, scale = raw
        return tfd.Laplace(loc, positive(scale, self.scale_floor))


@dataclasses.dataclass(kw_only=True, slots=True)
class Logistic(_Factorised):
    """q(z|x) = prod_j Logistic(z_j; mu_j(x), s_j(x)).

    Attributes:
      scale_floor: smallest s.
    """

    scale_floor: float = bounded(1e-4, low=0.0, open_low=True)

    def family(self, *raw: tf.Tensor) -> tfd.Logistic:
        loc, scale = raw
        return tfd.Logistic(loc, positive(scale, self.scale_floor))


@dataclasses.dataclass(kw_only=True, slots=True)
class StudentT(_Factorised):
    """q(z|x) = prod_j t(z_j; nu, mu_j(x), s_j(x)).

    Attributes:
      degrees_of_freedom: nu; above 2, where the variance exists.
      scale_floor: smallest s, which is below the standard deviation.
    """

    degrees_of_freedom: float = bounded(5.0, low=2.0, open_low=True)
    scale_floor: float = bounded(1e-4, low=0.0, open_low=True)

    def family(self, *raw: tf.Tensor) -> tfd.StudentT:
        loc, scale = raw
        return tfd.StudentT(self.degrees_of_freedom, loc, positive(scale, self.scale_floor))
