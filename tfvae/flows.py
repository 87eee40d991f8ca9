"""Normalizing flows, for posteriors and priors: steps that can be inverted (Rezende & Mohamed 2015)."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_probability import bijectors as tfb

# One step scales z by a factor between exp(-3) and exp(3).
_LOG_SCALE_LIMIT = 3.0

# Of the last kernel: a flow begins near the identity.
_INITIAL_STDDEV = 0.01


def softly_clamped(x: tf.Tensor, limit: float) -> tf.Tensor:
    """x near 0, and within (-limit, limit) everywhere."""
    return limit * tf.tanh(x / limit)


@dataclasses.dataclass(frozen=True)
class Flow:
    """A kind of step: what its network may see, and how it moves z.

    Attributes:
      masks: (size of z, units of the hidden layers, size of the context) -> masks of the kernels, `[inputs, outputs]`.
      step: (a function z -> (shift, log scale), size of z) -> the bijector.
    """

    masks: Callable[[int, tuple[int, ...], int], list[np.ndarray]]
    step: Callable[[Callable, int], tfb.Bijector]

    def conditioners(
        self, size: int, *, num_flows: int, hidden: tuple[int, ...], context_size: int = 0
    ) -> list["Conditioner"]:
        """The networks of `num_flows` steps; their variables are made when they are built."""
        masks = self.masks(size, hidden, context_size)
        return [Conditioner(masks, name=f"step_{number}") for number in range(num_flows)]

    def bijector(self, conditioners: list["Conditioner"], context: tf.Tensor, size: int) -> tfb.Bijector:
        """All steps, the first first; every other one sees the dimensions in reverse order."""
        reverse = tfb.Permute(np.arange(size)[::-1])
        steps = []
        for number, conditioner in enumerate(conditioners):
            step = self.step(lambda z, *_, conditioner=conditioner, **__: conditioner(z, context), size)
            steps.append(tfb.Chain([reverse, step, reverse]) if number % 2 else step)
        # A chain applies its last bijector first.
        return tfb.Chain(steps[::-1])


class Conditioner(tf_keras.layers.Layer):
    """A dense network with masked kernels: (z, context) -> (shift, log scale).

    TFP's `AutoregressiveNetwork` masks its kernels by constraints, which hold only after an optimizer's step, and
    joins z and context by a layer that does not broadcast them.

    Args:
      masks: of each kernel, `[inputs, outputs]`: 1 where an input counts.
    """

    def __init__(self, masks: list[np.ndarray], name: str) -> None:
        super().__init__(name=name, dtype="float32")
        self._masks = [np.asarray(mask, np.float32) for mask in masks]

    def build(self, input_shape: Any = None) -> None:
        self.kernels, self.biases = [], []
        for number, mask in enumerate(self._masks):
            last = number == len(self._masks) - 1
            initializer = tf_keras.initializers.RandomNormal(stddev=_INITIAL_STDDEV) if last else "glorot_uniform"
            self.kernels.append(self.add_weight(f"kernel_{number}", mask.shape, initializer=initializer))
            self.biases.append(self.add_weight(f"bias_{number}", mask.shape[1:], initializer="zeros"))
        super().build(input_shape)

    def call(self, z: tf.Tensor, context: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """z `[..., inputs]` and context `[rows, context_size]`, broadcast together."""
        shape = tf.broadcast_dynamic_shape(tf.shape(z)[:-1], tf.shape(context)[:-1])
        parts = [tf.broadcast_to(part, tf.concat([shape, [part.shape[-1]]], axis=0)) for part in (z, context)]
        x = tf.reshape(tf.concat(parts, axis=-1), [-1, self._masks[0].shape[0]])
        for number, (mask, kernel, bias) in enumerate(zip(self._masks, self.kernels, self.biases, strict=True)):
            x = tf.matmul(tf.nn.elu(x) if number else x, kernel * mask) + bias
        x = tf.reshape(x, tf.concat([shape, [self._masks[-1].shape[1]]], axis=0))
        shift, log_scale = tf.split(x, 2, axis=-1)
        return shift, softly_clamped(log_scale, _LOG_SCALE_LIMIT)


def _autoregressive_masks(size: int, hidden: tuple[int, ...], context_size: int) -> list[np.ndarray]:
    # A unit of degree d sees the dimensions 1..d; the context and units of degree 0 are seen by all.
    order = np.arange(1, size + 1)
    degrees = [np.concatenate([order, np.zeros(context_size, int)])]
    degrees += [np.arange(units) % size for units in hidden]
    masks = [after >= before[:, None] for before, after in itertools.pairwise(degrees)]
    return [*masks, np.tile(order, 2) > degrees[-1][:, None]]


def _coupling_masks(size: int, hidden: tuple[int, ...], context_size: int) -> list[np.ndarray]:
    kept = size // 2
    return [np.ones(shape) for shape in itertools.pairwise([kept + context_size, *hidden, 2 * (size - kept)])]


# Density in one pass, draws in one for each dimension (Papamakarios et al. 2017); inverted (Kingma et al. 2016).
MASKED_AUTOREGRESSIVE = Flow(_autoregressive_masks, lambda network, _: tfb.MaskedAutoregressiveFlow(network))
INVERSE_AUTOREGRESSIVE = Flow(
    _autoregressive_masks, lambda network, _: tfb.Invert(tfb.MaskedAutoregressiveFlow(network))
)
# Both in one pass; half of z moves, by functions of the other half (Dinh et al. 2017, equations 4 and 5).
COUPLING = Flow(
    _coupling_masks, lambda network, size: tfb.RealNVP(num_masked=size // 2, shift_and_log_scale_fn=network)
)
