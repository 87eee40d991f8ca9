"""Posteriors that are functions of simpler draws: z = f(z_1, z_2, ...).

The third way of Kingma & Welling (2013, section 2.4) to choose g.
"""

import dataclasses
import math
from typing import Any, ClassVar

import tensorflow as tf
from tensorflow_probability import distributions as tfd
from tensorflow_probability import layers as tfpl

from tfvae.component import bounded
from tfvae.flows import softly_clamped
from tfvae.kinds import Posterior
from tfvae.posteriors.factorised import LOG_RANGE, _Factorised, concentration, exp_in_range
from tfvae.posteriors.gamma_quantile import log_gamma_quantile
from tfvae.posteriors.layers import distribution_layer, positive
from tfvae.reparameterization import reparameterize

# exp(10 + 5 * 5.3), the largest draw, and its square are far inside float32.
_LOG_NORMAL_LOC_LIMIT, _LOG_NORMAL_SCALE_LIMIT = 10.0, 5.0


@dataclasses.dataclass(kw_only=True, slots=True)
class LogNormal(_Factorised):
    """q(z|x) = prod_j LogNormal(z_j; mu_j(x), sigma_j(x)): z = exp(mu + sigma noise), mu in (-10, 10), sigma below 5.

    TFP has it as a transformed normal, which `tfvae.reparameterization` knows.

    Attributes:
      scale_floor: smallest sigma.
    """

    support: ClassVar[str] = "positive"

    scale_floor: float = bounded(1e-4, low=0.0, open_low=True)

    def family(self, *raw: tf.Tensor) -> tfd.LogNormal:
        loc, scale = raw
        scale = softly_clamped(positive(scale, self.scale_floor), _LOG_NORMAL_SCALE_LIMIT)
        return tfd.LogNormal(softly_clamped(loc, _LOG_NORMAL_LOC_LIMIT), scale)


@reparameterize.register(tfd.Gamma)
def _(posterior: tfd.Gamma, noise: tf.Tensor) -> tf.Tensor:
    # z = g / rate, g ~ Gamma(concentration, 1)
    return exp_in_range(log_gamma_quantile(posterior.concentration, noise) - tf.math.log(posterior.rate))


@dataclasses.dataclass(kw_only=True, slots=True)
class Gamma(_Factorised):
    """q(z|x) = prod_j Gamma(z_j; a_j(x), rate_j(x)).

    Attributes:
      concentration_floor: smallest a.
      rate_floor: smallest rate.
    """

    support: ClassVar[str] = "positive"

    concentration_floor: float = bounded(0.1, low=0.1)
    rate_floor: float = bounded(1e-4, low=0.0, open_low=True)

    def family(self, *raw: tf.Tensor) -> tfd.Gamma:
        a, rate = raw
        return tfd.Gamma(concentration(a, self.concentration_floor), positive(rate, self.rate_floor))


@reparameterize.register(tfd.Dirichlet)
def _(posterior: tfd.Dirichlet, noise: tf.Tensor) -> tf.Tensor:
    # z_j = g_j / sum_i g_i, g_j ~ Gamma(alpha_j, 1), by logs, as the g of small alpha underflow
    z = tf.nn.softmax(log_gamma_quantile(posterior.concentration, noise))
    return tf.maximum(z, math.exp(LOG_RANGE[0]))


@dataclasses.dataclass(kw_only=True, slots=True)
class Dirichlet(Posterior):
    """q(z|x) = Dirichlet(z; alpha(x)): z is above 0 and sums to 1.

    Attributes:
      concentration_floor: smallest alpha.
    """

    support: ClassVar[str] = "simplex"
    min_latent_size: ClassVar[int] = 2

    concentration_floor: float = bounded(0.1, low=0.1)

    def params_size(self, latent_size: int) -> int:
        """Numbers that the encoder's network gives for one example."""
        return latent_size

    def layer(self, latent_size: int, activity_regularizer: Any) -> tfpl.DistributionLambda:
        """The `tfp.layers` layer."""

        def distribution(params: tf.Tensor) -> tfd.Distribution:
            return tfd.Dirichlet(concentration(params, self.concentration_floor))

        return distribution_layer(distribution, activity_regularizer)
