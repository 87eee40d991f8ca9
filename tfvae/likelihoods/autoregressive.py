"""A likelihood whose pixels see those before them: a PixelCNN over the decoder's output (Gulrajani et al. 2017)."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tensorflow_probability import distributions as tfd
from tensorflow_probability import layers as tfpl
from tf_keras import layers

from tfvae.component import FieldError, bounded
from tfvae.kinds import Likelihood
from tfvae.likelihoods.base import flat, logits_of, named_parameters, shaped, sum_last
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

    def validate(self) -> None:
        if self.kernel_size % 2 == 0:
            raise FieldError("kernel_size", self.kernel_size, "an odd number: a pixel is the middle of its kernel")

    def layer(self, item_shape: tuple[int, ...]) -> tfpl.DistributionLambda:
        """The `tfp.layers` layer; as a tensor it is what the decoder alone says, as its mean takes a pass a pixel."""
        network, reach = self._network(as_image(item_shape)[-1]), (1 + self.num_layers) * (self.kernel_size // 2)

        def distribution(params: tf.Tensor) -> Autoregressive:
            return Autoregressive(lambda x, context: network(x) + context, shaped(params, item_shape), reach=reach)

        found = tfpl.DistributionLambda(
            # Keras makes the tensor in each call, and no loop is pruned from a graph.
            distribution,
            lambda likelihood: tf.math.sigmoid(likelihood.context),
            dtype="float32",
            name="likelihood",
        )
        found.pixel_network = network  # tracked by Keras
        return found

    def _network(self, channels: int) -> tf_keras.Model:
        """Images `[rows, height, width, channels]` to what is added to each pixel's logits, from the pixels before."""
        inputs = layers.Input((None, None, channels))
        h = MaskedConv2D(self.filters, self.kernel_size, sees_itself=False, activation="relu")(2.0 * inputs - 1.0)
        for _ in range(self.num_layers):
            # h + a(W_2 a(W_1 h))
            inner = MaskedConv2D(self.filters, self.kernel_size, sees_itself=True, activation="relu")(h)
            h = h + layers.Conv2D(self.filters, 1, activation="relu")(inner)
        # Zero at first: training begins with what the decoder says.
        logits = layers.Conv2D(channels, 1, kernel_initializer="zeros")(h)
        return tf_keras.Model(inputs, logits, name="pixel_network")

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
      logits_of: x and the context, both images or the same part of them `[rows, height, width, channels]`, to the
        logits, of that shape.
      context: `[rows, *item_shape]`.
      reach: how many rows above, and columns to each side, a pixel's logits hang on; None: all.
    """

    def __init__(
        self, logits_of: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], context: tf.Tensor, *, reach: int | None = None
    ) -> None:
        parameters = dict(locals())
        self.context = tf.convert_to_tensor(context)
        self._logits_of, self._image = logits_of, as_image(tuple(self.context.shape[1:]))
        self._reach = max(self._image) if reach is None else reach
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
        axes = self.event_shape.rank
        shape = tf.broadcast_dynamic_shape(tf.shape(x), tf.shape(self.context))[:-axes]
        static = tf.broadcast_static_shape(x.shape, self.context.shape)[:-axes]
        # One axis of rows for the network.
        whole = tf.concat([shape, self.event_shape], axis=0)
        x, context = (tf.reshape(tf.broadcast_to(v, whole), [-1, *self._image]) for v in (x, self.context))
        # sum_i x_i l_i - log(1 + exp(l_i))
        each = -tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=self._logits_of(x, context))
        return tf.ensure_shape(tf.reshape(sum_last(flat(each, 3)), shape), static)

    def unroll(self, pixel: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """x `[rows, *item_shape]` made pixel by pixel.

        Args:
          pixel: a pixel's probabilities `[rows, channels]` and its number to its value, `[rows, channels]`.
        """
        rows, reach, (height, width, channels) = tf.shape(self.context)[0], self._reach, self._image
        high, wide = min(reach + 1, height), min(2 * reach + 1, width)
        context = tf.reshape(self.context, [rows, height, width, channels])

        def body(place: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            row, column = place // width, place % width
            # Only the part that the pixel hangs on; it ends where the image ends, as convolutions see its borders.
            top = tf.clip_by_value(row - reach, 0, height - high)
            left = tf.clip_by_value(column - reach, 0, width - wide)
            part = [tf.slice(whole, [0, top, left, 0], [rows, high, wide, channels]) for whole in (x, context)]
            value = pixel(tf.math.sigmoid(self._logits_of(*part)[:, row - top, column - left]), place)
            here = tf.reshape(tf.one_hot(place, height * width), [height, width, 1])
            return place + 1, x + here * value[:, None, None]

        start = (tf.constant(0), tf.zeros_like(context))
        x = tf.while_loop(lambda place, _: place < height * width, body, start, parallel_iterations=1)[1]
        return tf.ensure_shape(tf.reshape(x, tf.shape(self.context)), self.context.shape)

    def draw(self, uniforms: tf.Tensor) -> tf.Tensor:
        """x ~ p(x) by uniform numbers in (0, 1), `[rows, *item_shape]`, one for each number of x."""
        height, width, channels = self._image
        numbers = tf.reshape(uniforms, [-1, height * width, channels])
        return self.unroll(lambda probs, place: tf.cast(1.0 - numbers[:, place] < probs, tf.float32))

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        context = tf.tile(self.context, [n] + [1] * self.event_shape.rank)
        seed = tfp.random.sanitize_seed(seed)
        uniforms = tf.random.stateless_uniform(tf.shape(context), seed=seed, minval=1e-7)
        drawn = Autoregressive(self._logits_of, context, reach=self._reach).draw(uniforms)
        return tf.reshape(drawn, tf.concat([[n], tf.shape(self.context)], axis=0))

    def _mean(self) -> tf.Tensor:
        return self.unroll(lambda probs, place: probs)


@named_parameters.register(Autoregressive)
def _(likelihood: Autoregressive) -> dict[str, tf.Tensor]:
    """The decoder's part of the logits: the rest hangs on x."""
    return {"context": likelihood.context}


def as_image(item_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(height, width, channels) of an item."""
    height, width, *channels = (*item_shape, 1)[: max(2, len(item_shape))]
    return height, width, math.prod(channels)
