"""Convolutional networks."""

import dataclasses
import math
from typing import Any

import numpy as np
import tf_keras
from tf_keras import layers

from tfvae.component import bounded
from tfvae.errors import InputError
from tfvae.kinds import Network
from tfvae.networks.common import activation, flat_params
from tfvae.networks.thin import ThinConv2D


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
        hidden = activation(self.activation, "activation")
        inputs = layers.Input(item_shape, name="x")
        x = layers.Reshape(_as_image(item_shape), dtype=policy)(inputs)
        for filters in self.filters:
            x = self._down(x, filters, policy)
        x = layers.Flatten(dtype=policy)(x)
        if self.dense:
            x = layers.Dense(self.dense, hidden, dtype=policy)(x)
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
        hidden = activation(self.activation, "activation")
        height, width, channels = _as_image(item_shape)
        scale = 2 ** len(self.filters)
        small = (-(-height // scale), -(-width // scale), self.filters[-1] if self.filters else channels)
        z = inputs = layers.Input([latent_size], name="z")
        if self.dense:
            z = layers.Dense(self.dense, hidden, dtype=policy)(z)
        x = layers.Reshape(small, dtype=policy)(layers.Dense(math.prod(small), hidden, dtype=policy)(z))
        for filters in reversed(self.filters):
            x = self._up(x, filters, policy)
        x = ThinConv2D(params_per_dim * channels, self.kernel_size, padding="same", dtype=policy)(x)
        margin = ((0, small[0] * scale - height), (0, small[1] * scale - width))
        x = layers.Cropping2D(margin, dtype=policy)(x)
        outputs = flat_params(x, (height, width), params_per_dim, output_bias=output_bias, policy=policy)
        return tf_keras.Model(inputs, outputs, name="decoder_network")

    def _down(self, x: Any, filters: int, policy: str) -> Any:
        """One stage of the encoder: to half the size."""
        hidden = activation(self.activation, "activation")
        return layers.Conv2D(filters, self.kernel_size, 2, "same", activation=hidden, dtype=policy)(x)

    def _up(self, x: Any, filters: int, policy: str) -> Any:
        """One stage of the decoder: to twice the size."""
        hidden = activation(self.activation, "activation")
        return layers.Conv2DTranspose(filters, self.kernel_size, 2, "same", activation=hidden, dtype=policy)(x)


@dataclasses.dataclass(kw_only=True, slots=True)
class ResidualConvolutional(Convolutional):
    """`Convolutional` with residual blocks: after each strided convolution, and before each transposed one.

    A block is x + f(x), f = convolution, activation, convolution, activation from the
    right (He et al. 2016, Identity mappings in deep residual networks, equation 3). There is no batch
    normalisation, as rows must not see each other; instead f starts at zero, so that a
    deep network starts as a shallow one (Zhang et al. 2019, Fixup initialization).

    Attributes:
      blocks: residual blocks of each stage.
    """

    blocks: int = bounded(2, low=0)

    # `super()` does not work in a dataclass with slots, which is made a second time.
    def _down(self, x: Any, filters: int, policy: str) -> Any:
        return self._blocks(Convolutional._down(self, x, filters, policy), policy)

    def _up(self, x: Any, filters: int, policy: str) -> Any:
        return Convolutional._up(self, self._blocks(x, policy), filters, policy)

    def _blocks(self, x: Any, policy: str) -> Any:
        hidden = activation(self.activation, "activation")
        for _ in range(self.blocks):
            # x + W_2 a(W_1 a(x))
            f = x
            for kernel in ("glorot_uniform", "zeros"):
                f = layers.Activation(hidden, dtype=policy)(f)
                f = layers.Conv2D(
                    x.shape[-1], self.kernel_size, padding="same", kernel_initializer=kernel, dtype=policy
                )(f)
            x = layers.Add(dtype=policy)([x, f])
        return x


def _as_image(item_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """`item_shape` as (height, width, channels)."""
    if len(item_shape) > 3:
        raise InputError(f"data.item_shape: received {item_shape}, expected at most (height, width, channels)")
    height, width, channels = (*item_shape, 1, 1)[:3]
    return height, width, channels
