"""Posteriors q(z|x): `tfp.layers` over the encoder's parameters."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd
from tensorflow_probability import layers as tfpl

from tfvae import random
from tfvae.component import bounded
from tfvae.kinds import Posterior
from tfvae.reparameterization import reparameterize
from tfvae.rows import current_rows


def draw(posterior: tfd.Distribution) -> tf.Tensor:
    """One draw, `[rows, latent_size]`: from the rows' own noise in a step, from TensorFlow's seed outside."""
    rows = current_rows()
    if rows is None:
        return posterior.sample()
    return reparameterize(posterior, random.normals(rows.keys, posterior.event_shape[-1])[0])


def positive(raw: tf.Tensor, floor: float) -> tf.Tensor:
    """softplus(raw) + floor: above zero even where softplus underflows."""
    return tf.math.softplus(raw) + floor


class IndependentNormal(tfpl.IndependentNormal):
    """`tfp.layers.IndependentNormal` with a floor under the scale and draws from the rows' own noise.

    Parameters `[rows, 2 * size]`: means, then raw scales.
    """

    def __init__(
        self, event_shape: Any, convert_to_tensor_fn: Any = draw, *, scale_floor: float = 1e-4, **kwargs: Any
    ) -> None:
        # Past the parent's constructor, which fixes the distribution to one without a floor.
        kwargs.setdefault("dtype", "float32")
        super(tfpl.IndependentNormal, self).__init__(
            lambda params: self.distribution(params, event_shape, scale_floor), convert_to_tensor_fn, **kwargs
        )

    @staticmethod
    def distribution(params: tf.Tensor, event_shape: Any, scale_floor: float) -> tfd.Distribution:
        """N(loc, diag(softplus(raw) + floor)^2) over `event_shape`."""
        loc, raw = tf.split(params, 2, axis=-1)
        event = np.array(event_shape, np.int32).reshape([-1])
        shape = tf.concat([tf.shape(loc)[:-1], event], axis=0)
        normal = tfd.Normal(tf.reshape(loc, shape), positive(tf.reshape(raw, shape), scale_floor))
        return tfd.Independent(normal, reinterpreted_batch_ndims=len(event))


class MultivariateNormalTriL(tfpl.MultivariateNormalTriL):
    """`tfp.layers.MultivariateNormalTriL` with a floor under the diagonal and draws from the rows' own noise.

    Parameters `[rows, size + size (size + 1) / 2]`: means, then the raw triangle in
    the order of `tfp.math.fill_triangular`.
    """

    def __init__(
        self, event_size: int, convert_to_tensor_fn: Any = draw, *, scale_floor: float = 1e-4, **kwargs: Any
    ) -> None:
        kwargs.setdefault("dtype", "float32")
        super(tfpl.MultivariateNormalTriL, self).__init__(
            lambda params: self.distribution(params, event_size, scale_floor), convert_to_tensor_fn, **kwargs
        )

    @staticmethod
    def distribution(params: tf.Tensor, event_size: int, scale_floor: float) -> tfd.Distribution:
        """N(loc, L L^T), the diagonal of L being softplus(raw) + floor."""
        raw = tfp.math.fill_triangular(params[..., event_size:])
        scale_tril = tf.linalg.set_diag(raw, positive(tf.linalg.diag_part(raw), scale_floor))
        return tfd.MultivariateNormalTriL(loc=params[..., :event_size], scale_tril=scale_tril)


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
