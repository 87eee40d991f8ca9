"""Keras networks: tensors in, parameters out. They know no distributions.

An encoder's network gives `[rows, num_params]`. A decoder's network gives
`[rows, params_per_dim * prod(item_shape)]`, one kind of parameter after the other.
"""

import dataclasses
import math
from typing import Any

import numpy as np
import tf_keras
from tf_keras import layers

from tfvae.component import bounded
from tfvae.errors import InputError
from tfvae.kinds import Network


def _activation(name: str, field: str) -> Any:
    try:
        return tf_keras.activations.get(name)
    except (ValueError, TypeError) as error:
        raise InputError(f"model.network.{field}: unknown activation {name!r}, expected one of Keras's") from error


def _initializer(name: str, stddev: float) -> Any:
    """A fresh initializer, so that each layer draws its own numbers."""
    if name == "normal":
        return tf_keras.initializers.RandomNormal(stddev=stddev)
    try:
        return tf_keras.initializers.get({"class_name": name, "config": {}})
    except (ValueError, TypeError) as error:
        raise InputError(f"model.network.initializer: unknown {name!r}, expected 'normal' or one of Keras's") from error


def _constant_bias(bias: np.ndarray | None) -> Any:
    return "zeros" if bias is None else tf_keras.initializers.Constant(np.asarray(bias, np.float32))


@dataclasses.dataclass(kw_only=True, slots=True)
class MLP(Network):
    """Dense layers for data of any shape (Kingma & Welling 2013, appendix C).

    Attributes:
      hidden: widths of the encoder's hidden layers; the decoder mirrors them.
      activation: of the hidden layers, by its Keras name.
      initializer: of the weights, by its Keras name, or `normal`: N(0, stddev^2), the paper's.
      stddev: for `initializer = "normal"`.
    """

    hidden: tuple[int, ...] = bounded((500,), low=1)
    activation: str = "tanh"
    initializer: str = "glorot_uniform"
    stddev: float = bounded(0.1, low=0.0, open_low=True)

    def encoder(self, item_shape: tuple[int, ...], num_params: int, *, policy: str = "float32") -> tf_keras.Model:
        """x `[rows, *item_shape]` to parameters `[rows, num_params]`."""
        x = inputs = layers.Input(item_shape, name="x")
        x = layers.Flatten(dtype=policy)(x)
        for width in self.hidden:
            x = self._dense(width, policy)(x)
        outputs = self._dense(num_params, policy, last=True)(x)
        return tf_keras.Model(inputs, outputs, name="encoder_network")

    def decoder(
        self,
        latent_size: int,
        item_shape: tuple[int, ...],
        params_per_dim: int,
        *,
        output_bias: np.ndarray | None = None,
        policy: str = "float32",
    ) -> tf_keras.Model:
        """z `[rows, latent_size]` to parameters `[rows, params_per_dim * prod(item_shape)]`."""
        z = inputs = layers.Input([latent_size], name="z")
        for width in reversed(self.hidden):
            z = self._dense(width, policy)(z)
        outputs = self._dense(params_per_dim * math.prod(item_shape), policy, last=True, bias=output_bias)(z)
        return tf_keras.Model(inputs, outputs, name="decoder_network")

    def _dense(self, width: int, policy: str, *, last: bool = False, bias: np.ndarray | None = None) -> Any:
        return layers.Dense(
            width,
            activation=None if last else _activation(self.activation, "activation"),
            kernel_initializer=_initializer(self.initializer, self.stddev),
            bias_initializer=_constant_bias(bias),
            dtype=policy,
        )


@dataclasses.dataclass(kw_only=True, slots=True)
class Convolutional(Network):
    """Strided convolutions for images of any size and number of channels; vectors count as images one wide.

    The decoder doubles the size up to the first multiple of 2^n that holds the image,
    then cuts the margin.

    Attributes:
      filters: channels of the encoder's convolutions, each of stride 2; mirrored in the decoder.
      kernel_size: of every convolution.
      dense: width of the dense layer next to the latents; 0: none.
      activation: of the hidden layers, by its Keras name.
    """

    filters: tuple[int, ...] = bounded((32, 64), low=1)
    kernel_size: int = bounded(3, low=1)
    dense: int = bounded(128, low=0)
    activation: str = "relu"

    def encoder(self, item_shape: tuple[int, ...], num_params: int, *, policy: str = "float32") -> tf_keras.Model:
        """x `[rows, *item_shape]` to parameters `[rows, num_params]`."""
        activation = _activation(self.activation, "activation")
        inputs = layers.Input(item_shape, name="x")
        x = layers.Reshape(_as_image(item_shape), dtype=policy)(inputs)
        for filters in self.filters:
            x = layers.Conv2D(filters, self.kernel_size, 2, "same", activation=activation, dtype=policy)(x)
        x = layers.Flatten(dtype=policy)(x)
        if self.dense:
            x = layers.Dense(self.dense, activation, dtype=policy)(x)
        return tf_keras.Model(inputs, layers.Dense(num_params, dtype=policy)(x), name="encoder_network")

    def decoder(
        self,
        latent_size: int,
        item_shape: tuple[int, ...],
        params_per_dim: int,
        *,
        output_bias: np.ndarray | None = None,
        policy: str = "float32",
    ) -> tf_keras.Model:
        """z `[rows, latent_size]` to parameters `[rows, params_per_dim * prod(item_shape)]`."""
        activation = _activation(self.activation, "activation")
        height, width, channels = _as_image(item_shape)
        scale = 2 ** len(self.filters)
        small = (-(-height // scale), -(-width // scale), self.filters[-1] if self.filters else channels)
        z = inputs = layers.Input([latent_size], name="z")
        if self.dense:
            z = layers.Dense(self.dense, activation, dtype=policy)(z)
        x = layers.Reshape(small, dtype=policy)(layers.Dense(math.prod(small), activation, dtype=policy)(z))
        for filters in reversed(self.filters):
            x = layers.Conv2DTranspose(filters, self.kernel_size, 2, "same", activation=activation, dtype=policy)(x)
        x = layers.Conv2D(params_per_dim * channels, self.kernel_size, padding="same", dtype=policy)(x)
        margin = ((0, small[0] * scale - height), (0, small[1] * scale - width))
        x = layers.Cropping2D(margin, dtype=policy)(x)
        if params_per_dim > 1:  # [height, width, kind, channel] to one kind after the other
            x = layers.Reshape((height, width, params_per_dim, channels), dtype=policy)(x)
            x = layers.Permute((3, 1, 2, 4), dtype=policy)(x)
        x = layers.Flatten(dtype=policy)(x)
        return tf_keras.Model(inputs, Bias(output_bias, dtype=policy)(x), name="decoder_network")


class Bias(layers.Layer):
    """Adds a learned bias for each number: the data's mean image, which a convolution's own bias cannot be."""

    def __init__(self, initial: np.ndarray | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._initial = initial

    def build(self, input_shape: Any) -> None:
        self.bias = self.add_weight("bias", (input_shape[-1],), initializer=_constant_bias(self._initial))

    def call(self, inputs: Any) -> Any:
        return inputs + self.bias


def _as_image(item_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """`item_shape` as (height, width, channels)."""
    if len(item_shape) > 3:
        raise InputError(f"data.item_shape: received {item_shape}, expected at most (height, width, channels)")
    height, width, channels = (*item_shape, 1, 1)[:3]
    return height, width, channels


def has_convolutions(model: Any) -> bool:
    """Whether any layer inside `model` convolves: XLA on a CPU is over ten times slower there."""
    convolutions = tuple(getattr(layers, name) for name in dir(layers) if "Conv" in name)
    return any(isinstance(layer, convolutions) for layer in model._flatten_layers())
