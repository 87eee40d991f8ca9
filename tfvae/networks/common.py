"""What the networks share: initializers, biases, activations."""

from typing import Any

import numpy as np
import tf_keras
from tf_keras import layers

from tfvae.errors import InputError


def activation(name: str, field: str) -> Any:
    try:
        return tf_keras.activations.get(name)
    except (ValueError, TypeError) as error:
        raise InputError(f"model.network.{field}: unknown activation {name!r}, expected one of Keras's") from error


def initializer(name: str, stddev: float) -> Any:
    """A fresh initializer, so that each layer draws its own numbers."""
    if name == "normal":
        return tf_keras.initializers.RandomNormal(stddev=stddev)
    try:
        return tf_keras.initializers.get({"class_name": name, "config": {}})
    except (ValueError, TypeError) as error:
        raise InputError(f"model.network.initializer: unknown {name!r}, expected 'normal' or one of Keras's") from error


def constant_bias(bias: np.ndarray | None) -> Any:
    return "zeros" if bias is None else tf_keras.initializers.Constant(np.asarray(bias, np.float32))


class Bias(layers.Layer):
    """Adds a learned bias for each number: the data's mean image, which a convolution's own bias cannot be."""

    def __init__(self, initial: np.ndarray | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._initial = initial

    def build(self, input_shape: Any) -> None:
        self.bias = self.add_weight("bias", (input_shape[-1],), initializer=constant_bias(self._initial))

    def call(self, inputs: Any) -> Any:
        return inputs + self.bias


def flat_params(
    x: Any, places: tuple[int, ...], params_per_dim: int, *, output_bias: np.ndarray | None, policy: str
) -> Any:
    """The end of a decoder: from parameters at each place to one kind after the other, plus a learned bias.

    Args:
      x: `[rows, *places, params_per_dim * channels]`, kind before channel.
      places: (height, width), or (steps,).
      params_per_dim: number of kinds.
      output_bias: initial bias, flat, or None.
      policy: the Keras dtype policy.

    Returns:
      `[rows, params_per_dim * prod(places) * channels]`.
    """
    if params_per_dim > 1:  # [*places, kind, channel] to [kind, *places, channel]
        rank = len(places)
        x = layers.Reshape((*places, params_per_dim, x.shape[-1] // params_per_dim), dtype=policy)(x)
        x = layers.Permute((rank + 1, *range(1, rank + 1), rank + 2), dtype=policy)(x)
    return Bias(output_bias, dtype=policy)(layers.Flatten(dtype=policy)(x))


def slow_under_xla(model: Any) -> bool:
    """Whether XLA on a CPU slows `model` down by a factor of ten or more.

    It does for any layer that convolves, and for Keras's `GRU` and `LSTM` (measured: 60 to 80
    times at 64 steps). It does not for the same cells in a layer `RNN`, as `Recurrent` has them.
    """
    slow = tuple(getattr(layers, name) for name in dir(layers) if "Conv" in name)
    slow += (layers.GRU, layers.LSTM)
    return any(isinstance(layer, slow) for layer in model._flatten_layers())
