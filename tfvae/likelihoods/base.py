"""What likelihoods share."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_probability import distributions as tfd
from tensorflow_probability import layers as tfpl

from tfvae.kinds import Likelihood


class _Likelihood(Likelihood):
    """A likelihood that is a function of the decoder's parameters alone."""

    __slots__ = ()

    def distribution(self, params: tf.Tensor, item_shape: tuple[int, ...]) -> tfd.Distribution:
        """p(x|z) of parameters `[rows, params_per_dim * prod(params_shape)]`: batch `[rows]`, event `item_shape`."""
        raise NotImplementedError

    def layer(self, item_shape: tuple[int, ...]) -> tfpl.DistributionLambda:
        """The `tfp.layers` layer; as a tensor it is its mean."""
        return mean_layer(lambda params: self.distribution(params, item_shape))


def mean_layer(distribution: Callable[[tf.Tensor], tfd.Distribution]) -> tfpl.DistributionLambda:
    """The layer of a likelihood: parameters `[rows, ...]` -> p(x|z), which as a tensor is its mean."""
    return tfpl.DistributionLambda(
        distribution, convert_to_tensor_fn=tfd.Distribution.mean, dtype="float32", name="likelihood"
    )


def feature_layer(function: Callable[[tf.Tensor], tf.Tensor]) -> tf_keras.layers.Layer:
    """The layer from x to what the encoder's network is given."""
    return tf_keras.layers.Lambda(function, dtype="float32", name="features")


def shaped(params: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """`[..., prod(shape)]` as `[..., *shape]`."""
    return tf.reshape(params, tf.concat([tf.shape(params)[:-1], shape], axis=0))


def split(params: tf.Tensor, num_kinds: int, item_shape: tuple[int, ...]) -> list[tf.Tensor]:
    """`[..., num_kinds * prod(item_shape)]` as one tensor `[..., *item_shape]` for each kind of parameter."""
    return [shaped(part, item_shape) for part in tf.split(params, num_kinds, axis=-1)]


def stacked(params: tf.Tensor, size: int, item_shape: tuple[int, ...]) -> tf.Tensor:
    """`[..., size * prod(item_shape)]`, one kind of parameter after the other, as `[..., *item_shape, size]`."""
    by_dimension = tf.linalg.matrix_transpose(shaped(params, (size, params.shape[-1] // size)))
    return tf.reshape(by_dimension, tf.concat([tf.shape(params)[:-1], item_shape, [size]], axis=0))


def independent(distribution: tfd.Distribution, item_shape: tuple[int, ...]) -> tfd.Distribution:
    """prod_d p(x_d|z) over an item, from a batch `[rows, *item_shape]`."""
    return _Item(distribution, reinterpreted_batch_ndims=len(item_shape))


class _Item(tfd.Independent.__base__):
    """`tfd.Independent` whose log-density is summed over one flat axis.

    XLA on a CPU does not vectorize a sum over axes such as [28, 28, 1], nor what is fused with it: as a product with
    ones the log-likelihood of an image takes half the time.
    """

    def _log_prob(self, x: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        if hasattr(self.distribution, "log_prob_of_item"):
            return self.distribution.log_prob_of_item(x, len(self.event_shape))
        return sum_last(flat(self.distribution.log_prob(x, **kwargs), len(self.event_shape)))


def flat(values: tf.Tensor, axes: int) -> tf.Tensor:
    """`[..., *shape]` with the last `axes` axes, of known sizes, as one."""
    size = values.shape[values.shape.rank - axes :].num_elements()
    return tf.reshape(values, tf.concat([tf.shape(values)[: values.shape.rank - axes], [size]], axis=0))


def sum_last(values: tf.Tensor) -> tf.Tensor:
    """The sum over the last axis: see `_Item`."""
    if tf.config.list_logical_devices("GPU"):
        # There a product may be made of numbers with ten bits.
        return tf.reduce_sum(values, axis=-1)
    return tf.linalg.matvec(values, tf.ones([values.shape[-1]], values.dtype))


def logits_of(mean: np.ndarray) -> np.ndarray:
    """The logits, flat, of means in [0, 1]; those of 0 and 1 are kept finite."""
    mean = np.clip(mean, 1e-3, 1 - 1e-3)
    return np.log(mean / (1 - mean)).ravel()


def raw_scale(scale: float, floor: float) -> float:
    """The number that `posteriors.positive` maps to `scale`, or to little above `floor` where it is below."""
    above = max(scale - floor, 1e-6)
    return float(above + np.log(-np.expm1(-above)))


def inverse(function: Callable[[np.ndarray], np.ndarray], grid: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where an increasing function takes `values`, flat: between the points of a fine grid; at its ends beyond."""
    return np.interp(np.ravel(values), function(grid), grid)


@functools.singledispatch
def named_parameters(likelihood: tfd.Distribution) -> dict[str, tf.Tensor]:
    """The parameters of p(x|z) by their names in TFP, such as `logits`, or `loc` and `scale`.

    Returns:
      tensors `[rows, *item_shape]`; where a dimension of x has several of a kind, they are the last axis.
    """
    if hasattr(likelihood, "distribution"):  # what independent dimensions are made of
        return named_parameters(likelihood.distribution)
    found = {}
    for name, properties in type(likelihood).parameter_properties().items():
        given = likelihood.parameters.get(name)
        if given is not None:
            value, event = tf.convert_to_tensor(given), properties.instance_event_ndims(likelihood)
            # A parameter that all dimensions share is given to each: an export's outputs begin with the rows.
            own = value.shape[value.shape.rank - event :]
            shape = tf.concat([likelihood.batch_shape_tensor(), own], axis=0)
            found[name] = tf.ensure_shape(tf.broadcast_to(value, shape), likelihood.batch_shape + own)
    return found
