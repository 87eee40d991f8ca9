"""Dense networks."""

import dataclasses
import math
from typing import Any

import numpy as np
import tf_keras
from tf_keras import layers

from tfvae.component import bounded
from tfvae.kinds import Network
from tfvae.networks.common import activation, constant_bias, initializer


@dataclasses.dataclass(kw_only=True, slots=True)
class MLP(Network):
    """Dense layers for data of any shape (Kingma & Welling 2013, appendix C).

    Attributes:
      hidden: widths of the encoder's hidden layers; the decoder mirrors them. `()` is a linear model.
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
        for index, width in enumerate(reversed(self.hidden)):
            z = self._decoder_dense(index, width, policy)(z)
        width = params_per_dim * math.prod(item_shape)
        outputs = self._decoder_dense(len(self.hidden), width, policy, last=True, bias=output_bias)(z)
        return tf_keras.Model(inputs, outputs, name="decoder_network")

    def _decoder_dense(
        self, index: int, width: int, policy: str, *, last: bool = False, bias: np.ndarray | None = None
    ) -> Any:
        """The dense layer of the decoder with this number."""
        return self._dense(width, policy, last=last, bias=bias)

    def _dense(self, width: int, policy: str, *, last: bool = False, bias: np.ndarray | None = None) -> Any:
        return layers.Dense(
            width,
            activation=None if last else activation(self.activation, "activation"),
            kernel_initializer=initializer(self.initializer, self.stddev),
            bias_initializer=constant_bias(bias),
            dtype=policy,
        )
