"""Normal posteriors (Kingma & Welling 2013, section 3)."""

import dataclasses
from typing import Any

from tensorflow_probability import layers as tfpl

from tfvae.component import bounded
from tfvae.kinds import Posterior
from tfvae.posteriors.layers import IndependentNormal, MultivariateNormalTriL


@dataclasses.dataclass(kw_only=True, slots=True)
class Normal(Posterior):
    """q(z|x) = N(mu(x), diag(sigma(x)^2)) (Kingma & Welling 2013, equation 9).

    Attributes:
      scale_floor: smallest standard deviation.
    """

    scale_floor: float = bounded(1e-4, low=0.0, open_low=True)

    def params_size(self, latent_size: int) -> int:
        """Numbers that the encoder's network gives for one example."""
        return 2 * latent_size

    def layer(self, latent_size: int, activity_regularizer: Any) -> tfpl.DistributionLambda:
        """The `tfp.layers` layer."""
        return IndependentNormal(
            latent_size, scale_floor=self.scale_floor, activity_regularizer=activity_regularizer, name="posterior"
        )


@dataclasses.dataclass(kw_only=True, slots=True)
class FullNormal(Posterior):
    """q(z|x) = N(mu(x), L(x) L(x)^T): full covariance by its Cholesky factor.

    Attributes:
      scale_floor: smallest entry of the diagonal of L.
    """

    scale_floor: float = bounded(1e-4, low=0.0, open_low=True)

    def params_size(self, latent_size: int) -> int:
        """Numbers that the encoder's network gives for one example."""
        return latent_size + latent_size * (latent_size + 1) // 2

    def layer(self, latent_size: int, activity_regularizer: Any) -> tfpl.DistributionLambda:
        """The `tfp.layers` layer."""
        return MultivariateNormalTriL(
            latent_size, scale_floor=self.scale_floor, activity_regularizer=activity_regularizer, name="posterior"
        )
