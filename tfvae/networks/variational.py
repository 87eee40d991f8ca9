"""Dense networks with a posterior over their weights (Kingma & Welling 2013, appendix F)."""

import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_probability import math as tfp_math
from tf_keras import layers

from tfvae import random
from tfvae.component import bounded
from tfvae.networks.common import activation, constant_bias, initializer
from tfvae.networks.dense import MLP
from tfvae.rows import current_rows

# Keeps log-densities and the gradient of a square root finite.
_SCALE_FLOOR = 1e-5

# Streams of noise, far from those of `tfvae.random`: one for each layer.
_FIRST_STREAM = 1000


class VariationalDense(layers.Layer):
    """A dense layer whose weights have a factorised normal posterior q, and the prior N(0, prior_scale^2).

    While rows are current that say so (`Rows.draw_weights`), each row has weights of its
    own: instead of them its pre-activations are drawn, which have the same distribution and a gradient of
    less variance (Kingma, Salimans & Welling 2015, section 2.3). Otherwise the weights are their means.

    Args:
      units: width of the output.
      activation: as Keras takes it.
      kernel_initializer, bias_initializer: of the means.
      initial_scale: standard deviation of each weight at the start.
      prior_scale: standard deviation of the prior.
      stream: number of this layer's noise, another one in each layer of a model.
    """

    def __init__(
        self,
        units: int,
        *,
        activation: Any = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        initial_scale: float = 0.01,
        prior_scale: float = 1.0,
        stream: int = _FIRST_STREAM,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units, self.prior_scale, self.stream = units, prior_scale, stream
        self.activation = tf_keras.activations.get(activation)
        self._initializers = (kernel_initializer, bias_initializer)
        self._initial_raw = float(tfp_math.softplus_inverse(initial_scale - _SCALE_FLOOR))

    def build(self, input_shape: Any) -> None:
        kernel_shape, raw = (input_shape[-1], self.units), tf_keras.initializers.Constant(self._initial_raw)
        kernel_initializer, bias_initializer = self._initializers
        self.kernel = self.add_weight("kernel", kernel_shape, initializer=kernel_initializer)
        self.bias = self.add_weight("bias", (self.units,), initializer=bias_initializer)
        # Variances are float32 under any policy: half precision holds no square of a small scale.
        self.kernel_raw_scale = self.add_weight(
            "kernel_raw_scale", kernel_shape, initializer=raw, experimental_autocast=False
        )
        self.bias_raw_scale = self.add_weight(
            "bias_raw_scale", (self.units,), initializer=raw, experimental_autocast=False
        )
        super().build(input_shape)

    @property
    def kernel_scale(self) -> tf.Tensor:
        """Standard deviations of the kernel, float32 `[inputs, units]`."""
        return _SCALE_FLOOR + tf.nn.softplus(self.kernel_raw_scale)

    @property
    def bias_scale(self) -> tf.Tensor:
        """Standard deviations of the bias, float32 `[units]`."""
        return _SCALE_FLOOR + tf.nn.softplus(self.bias_raw_scale)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        # gamma = h M + m
        outputs = tf.linalg.matmul(inputs, self.kernel) + self.bias
        rows = current_rows()
        if rows is not None and rows.draw_weights:
            # delta = h^2 S^2 + s^2;  b = gamma + sqrt(delta) zeta  (equation 6)
            square = tf.cast(inputs, tf.float32) ** 2
            variance = tf.linalg.matmul(square, self.kernel_scale**2) + self.bias_scale**2
            outputs += tf.cast(tf.sqrt(variance) * self._noise(rows.keys, inputs), outputs.dtype)
        return self.activation(outputs)

    def _noise(self, keys: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
        """Standard normal, float32 `[num_samples * rows, units]`, for inputs of that many, sample by sample."""
        counts = [tensor.shape[0] or tf.shape(tensor)[0] for tensor in (inputs, keys)]
        if all(isinstance(count, int) for count in counts):
            num_samples = counts[0] // counts[1]  # static, as XLA needs it
        else:
            num_samples = counts[0] // tf.maximum(counts[1], 1)
        noise = random.normals(random.fold_in(keys, self.stream), self.units, num_samples=num_samples)
        return tf.reshape(noise, [-1, self.units])

    def divergence(self) -> tf.Tensor:
        """KL(q(theta) || p(theta)) of all weights of the layer, float32 scalar, nats."""
        pairs = ((self.kernel, self.kernel_scale), (self.bias, self.bias_scale))
        return tf.add_n([self._divergence(mean, scale) for mean, scale in pairs])

    def _divergence(self, mean: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        # sum log(p / s) + (s^2 + m^2) / (2 p^2) - 1/2
        square = (scale**2 + tf.convert_to_tensor(mean) ** 2) / self.prior_scale**2
        return tf.reduce_sum(0.5 * (square - 1.0) + math.log(self.prior_scale) - tf.math.log(scale))


def weight_divergence(model: Any) -> tf.Tensor:
    """KL(q(theta) || p(theta)) over all `VariationalDense` layers inside `model`: float32 scalar, nats; 0 without."""
    return sum(
        (layer.divergence() for layer in model._flatten_layers() if isinstance(layer, VariationalDense)),
        start=tf.zeros([]),
    )


def has_variational_layers(model: Any) -> bool:
    """Whether any layer inside `model` has a posterior over its weights."""
    return any(isinstance(layer, VariationalDense) for layer in model._flatten_layers())


@dataclasses.dataclass(kw_only=True, slots=True)
class BayesianMLP(MLP):
    """`MLP` with a posterior over the decoder's weights: see `VariationalDense`.

    Attributes:
      initial_scale: standard deviation of each weight at the start.
      prior_scale: standard deviation of the prior of each weight.
    """

    initial_scale: float = bounded(0.01, low=1e-4)
    prior_scale: float = bounded(1.0, low=0.0, open_low=True)

    def _decoder_dense(
        self, index: int, width: int, policy: str, *, last: bool = False, bias: np.ndarray | None = None
    ) -> Any:
        return VariationalDense(
            width,
            activation=None if last else activation(self.activation, "activation"),
            kernel_initializer=initializer(self.initializer, self.stddev),
            bias_initializer=constant_bias(bias),
            initial_scale=self.initial_scale,
            prior_scale=self.prior_scale,
            stream=_FIRST_STREAM + index,
            dtype=policy,
        )
