"""A likelihood whose pixels see those before them: a PixelCNN over the decoder's output (Gulrajani et al. 2017)."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_probability import distributions as tfd
from tensorflow_probability import layers as tfpl
from tf_keras import layers

from tfvae.component import bounded
from tfvae.kinds import Likelihood
from tfvae.likelihoods.base import flat, logits_of, mean_layer, shaped, sum_last
from tfvae.support import BINARY, Support


@dataclasses.dataclass(kw_only=True, slots=True)
class AutoregressiveBernoulli(Likelihood):
    """p(x|z) = prod_i Bernoulli(x_i | x_1 ... x_(i-1), z), pixels in the order of reading.

    Masked convolutions of x (van den Oord et al. 2016, Pixel recurrent neural networks, section 3.4) are added to
    the decoder's logits (Gulrajani et al. 2017, PixelVAE). The channels of one pixel do not see each other. Vectors
    count as images one wide. What is called the mean of p(x|z) is made pixel by pixel, each seeing the means of those
    before it: the mean itself has no closed form.

    Attributes:
      filters: channels of the masked convolutions.
      kernel_size: of them; odd.
      num_layers: of them, after the first.
    """

    filters: int = bounded(16, low=1)
    kernel_size: int = bounded(3, low=3)
    num_layers: int = bounded(2, low=0)

    def layer(self, item_shape: tuple[int, ...]) -> tfpl.DistributionLambda:
        """The `tfp.layers` layer; its variables are the masked convolutions."""
        network = self._network(item_shape)
        found = mean_layer(
            lambda params: Autoregressive(lambda x, context: network(x) + context, shaped(params, item_shape))
        )
        found.pixel_network = network  # tracked by Keras
        return found

    def _network(self, item_shape: tuple[int, ...]) -> tf_keras.Model:
        """x `[rows, *item_shape]` to what is added to each pixel's logits, from the pixels before it."""
        inputs = layers.Input(item_shape)
        h = layers.Reshape(as_image(item_shape))(2.0 * inputs - 1.0)
        h = MaskedConv2D(self.filters, self.kernel_size, sees_itself=False, activation="relu")(h)
        for _ in range(self.num_layers):
            # h + W_2 a(W_1 a(h)), zero at first
            inner = MaskedConv2D(self.filters, self.kernel_size, sees_itself=True, activation="relu")(h)
            h = h + layers.Conv2D(self.filters, 1, activation="relu")(inner)
        h = layers.Conv2D(as_image(item_shape)[-1], 1, kernel_initializer="zeros")(h)
        return tf_keras.Model(inputs, layers.Reshape(item_shape)(h), name="pixel_network")

    def output_bias(self, mean: np.ndarray) -> np.ndarray:
        """The logits of `mean`, `[*item_shape]`, flat."""
        return logits_of(mean)

    def support(self, item_shape: tuple[int, ...]) -> Support:
        """0 and 1."""
        return BINARY


class MaskedConv2D(layers.Conv2D):
    """A convolution that sees the pixels before its own, and its own where `sees_itself` (masks A and B)."""

    def __init__(self, filters: int, kernel_size: int | tuple[int, int], *, sees_itself: bool, **kwargs: Any) -> None:
        super().__init__(filters, kernel_size, padding="same", **kwargs)
        size = math.prod(self.kernel_size)
        before = np.arange(size) < size // 2 + int(sees_itself)
        self._mask = before.reshape(*self.kernel_size, 1, 1).astype(np.float32)

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return super().convolution_op(inputs, kernel * tf.cast(self._mask, kernel.dtype))


class Autoregressive(tfd.Distribution):
    """prod_i Bernoulli(x_i) over images in the order of reading, whose logits at i hang on x_1 ... x_(i-1).

    Args:
      logits_of: x and the context, both `[rows, *item_shape]`, to the logits, of that shape.
      context: `[rows, *item_shape]`.
    """

    def __init__(self, logits_of: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], context: tf.Tensor) -> None:
        parameters = dict(locals())
        self.context = tf.convert_to_tensor(context)
        self._logits_of = logits_of
        super().__init__(
            dtype=tf.float32, reparameterization_type=tfd.NOT_REPARAMETERIZED, validate_args=False,
            allow_nan_stats=False, parameters=parameters, name="Autoregressive",
        )  # fmt: skip

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        return {}

    def _batch_shape(self) -> tf.TensorShape:
        return self.context.shape[:1]

    def _batch_shape_tensor(self) -> tf.Tensor:
        return tf.shape(self.context)[:1]

    def _event_shape(self) -> tf.TensorShape:
        return self.context.shape[1:]

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.shape(self.context)[1:]

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        x = tf.broadcast_to(x, tf.shape(self.context))
        x = tf.ensure_shape(x, self.context.shape)
        # sum_i x_i l_i - log(1 + exp(l_i))
        each = -tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=self._logits_of(x, self.context))
        return sum_last(flat(each, each.shape.rank - 1))

    def unroll(self, pixel: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """x `[rows, *item_shape]` made pixel by pixel.

        Args:
          pixel: a pixel's probabilities and its number to its value, both `[rows, channels]`.
        """
        rows, item = tf.shape(self.context)[0], tuple(self.context.shape[1:])
        height, width, channels = as_image(item)

        def body(place: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            logits = self._logits_of(tf.reshape(x, [rows, *item]), self.context)
            value = pixel(tf.math.sigmoid(tf.reshape(logits, [rows, -1, channels])[:, place]), place)
            here = tf.one_hot(place, height * width)[:, None]
            return place + 1, x + here * value[:, None]

        start = (tf.constant(0), tf.zeros([rows, height * width, channels]))
        x = tf.while_loop(lambda place, _: place < height * width, body, start, parallel_iterations=1)[1]
        return tf.ensure_shape(tf.reshape(x, [rows, *item]), self.context.shape)

    def draw(self, uniforms: tf.Tensor) -> tf.Tensor:
        """x ~ p(x) by uniform numbers, `[rows, *item_shape]`, one for each pixel."""
        numbers = tf.reshape(uniforms, [tf.shape(uniforms)[0], -1, as_image(tuple(self.context.shape[1:]))[-1]])
        return self.unroll(lambda probs, place: tf.cast(1.0 - numbers[:, place] < probs, tf.float32))

    def _sample_n(self, n: int, seed: Any = None) -> tf.Tensor:
        several = Autoregressive(self._logits_of, tf.repeat(self.context, n, axis=0))
        uniforms = tf.random.stateless_uniform(tf.shape(several.context), seed=seed, minval=1e-7)
        drawn = several.draw(uniforms)
        by_row = tf.reshape(drawn, tf.concat([[-1, n], tf.shape(drawn)[1:]], axis=0))
        return tf.transpose(by_row, [1, 0, *range(2, by_row.shape.rank)])

    def _mean(self) -> tf.Tensor:
        return self.unroll(lambda probs, place: probs)


def as_image(item_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(height, width, channels) of an item."""
    height, width, *channels = (*item_shape, 1)[: max(2, len(item_shape))]
    return height, width, math.prod(channels)
