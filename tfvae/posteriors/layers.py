"""The `tfp.layers` layers of posteriors, and what they share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd
from tensorflow_probability import layers as tfpl

from tfvae import random
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


def distribution_layer(distribution: Callable[[tf.Tensor], tfd.Distribution], regularizer: Any) -> Any:
    """The layer of a posterior: parameters `[rows, params_size]` -> q(z|x).

    Args:
      distribution: makes the TFP distribution from the parameters.
      regularizer: the layer's activity regularizer, or None.
    """
    return tfpl.DistributionLambda(
        distribution, draw, activity_regularizer=regularizer, dtype="float32", name="posterior"
    )


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
