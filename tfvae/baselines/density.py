"""Density models without latents, whose log p(x) is exact: on images they often beat a VAE in it."""

import math
from typing import Any

import tensorflow as tf
import tf_keras
from tensorflow_probability import distributions as tfd
from tf_keras import layers

from tfvae import random
from tfvae.errors import InputError
from tfvae.likelihoods.autoregressive import Autoregressive, MaskedConv2D, as_image


class DensityModel(tf_keras.Model):
    """A Keras model of p(x) whose log-density is exact: `fit` maximises it, `evaluate` averages it.

    A subclass gives `logits`.

    Args:
      item_shape: of one x, an image or a vector of 0 and 1.
      name: as Keras has it.
    """

    def __init__(self, item_shape: tuple[int, ...], *, name: str) -> None:
        super().__init__(name=name)
        self.item_shape = tuple(item_shape)
        self._mean = tf_keras.metrics.Mean("log_likelihood")

    def logits(self, x: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        """Of each number of images x `[rows, height, width, channels]`, given the pixels before it: of that shape."""
        raise NotImplementedError

    def log_prob(self, x: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        """log p(x) of x `[rows, *item_shape]`: float32 `[rows]`, nats."""
        return self._distribution(x, training=training).log_prob(x)

    def sample(self, count: int, *, seed: int = 0) -> tf.Tensor:
        """x ~ p(x), float32 `[count, *item_shape]`; the first are the same however many are drawn."""
        keys = random.row_keys(seed, random.LIKELIHOOD, rows=tf.range(count))
        uniforms = tf.reshape(random.uniforms(keys, math.prod(self.item_shape))[0], [count, *self.item_shape])
        return tf.function(lambda: self._distribution(uniforms).draw(uniforms), autograph=False)()

    def _distribution(self, like: tf.Tensor, *, training: bool = False) -> Autoregressive:
        """p(x), once for each row; the context, which is part of a p(x|z), is empty."""
        return Autoregressive(lambda x, context: self.logits(x, training=training), tf.zeros_like(like))

    @property
    def metrics(self) -> list[tf_keras.metrics.Metric]:
        return [self._mean]

    @tf.autograph.experimental.do_not_convert
    def train_step(self, data: Any) -> dict[str, Any]:
        """One optimizer step on the mean of -log p(x) over a batch."""
        x = tf_keras.utils.unpack_x_y_sample_weight(data)[0]
        with tf.GradientTape() as tape:
            each = self.log_prob(x, training=True)
            loss = -tf.reduce_mean(each)
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        self._mean.update_state(each)
        return {self._mean.name: self._mean.result()}

    @tf.autograph.experimental.do_not_convert
    def test_step(self, data: Any) -> dict[str, Any]:
        """The mean of log p(x) so far."""
        self._mean.update_state(self.log_prob(tf_keras.utils.unpack_x_y_sample_weight(data)[0]))
        return {self._mean.name: self._mean.result()}


class PixelCNN(DensityModel):
    """The network of `tfp.distributions.PixelCNN` (Salimans et al. 2017, PixelCNN++) over images of 0 and 1.

    TFP's own samples are not those of its density: there a pixel sees those before it unrounded, and where there are
    two levels only, that is another distribution.

    Args:
      item_shape: (height, width, 1).
      num_filters, num_resnet, num_hierarchies, num_logistic_mix, dropout_p: as TFP's.

    Raises:
      InputError: for images of several channels.
    """

    def __init__(
        self, item_shape: tuple[int, ...], *, num_filters: int = 32, num_resnet: int = 1, num_hierarchies: int = 1,
        num_logistic_mix: int = 1, dropout_p: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(item_shape, name="pixel_cnn")
        if len(item_shape) != 3 or item_shape[-1] != 1:
            raise InputError(f"item_shape: received {tuple(item_shape)} for PixelCNN, expected (height, width, 1)")
        self.distribution = tfd.PixelCNN(
            image_shape=item_shape, num_filters=num_filters, num_resnet=num_resnet, num_hierarchies=num_hierarchies,
            num_logistic_mix=num_logistic_mix, dropout_p=dropout_p, low=0, high=1, use_data_init=False,
        )  # fmt: skip
        self.network = self.distribution.network  # tracked by Keras
        # TFP masks its kernels by constraints, which hold only after an optimizer's step: before one, it is no density.
        for variable in self.trainable_variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))

    def logits(self, x: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        """As TFP has them: of a mixture of logistic distributions, cut at the middle between 0 and 1."""
        weights, loc, scale = self.network(2.0 * x - 1.0, training=training)
        log_weights, each = tf.nn.log_softmax(weights), (loc / scale)[..., 0]
        # log p(1) - log p(0), p(1) = sum_k pi_k sigmoid(m_k / s_k)
        one, zero = (tf.reduce_logsumexp(log_weights + tf.math.log_sigmoid(m), axis=-1) for m in (each, -each))
        return (one - zero)[..., None]


class PixelRNN(DensityModel):
    """A Row LSTM (van den Oord et al. 2016, Pixel recurrent neural networks, section 3.1) of images of 0 and 1.

    Args:
      item_shape: of one image or vector; the channels of one pixel do not see each other.
      filters: channels of each state.
      num_layers: Row LSTMs, one on the other, each added to what it was given.
    """

    def __init__(self, item_shape: tuple[int, ...], *, filters: int = 32, num_layers: int = 2) -> None:
        super().__init__(item_shape, name="pixel_rnn")
        height, width, channels = as_image(tuple(item_shape))
        inputs = layers.Input((height, width, channels))
        h = MaskedConv2D(filters, 7, sees_itself=False)(2.0 * inputs - 1.0)
        for _ in range(num_layers):
            gates = MaskedConv2D(4 * filters, (1, 3), sees_itself=True)(h)
            h = h + layers.RNN(_RowCell(width, filters), return_sequences=True)(gates)
        h = layers.Conv2D(2 * filters, 1, activation="relu")(h)
        self.network = tf_keras.Model(inputs, layers.Conv2D(channels, 1)(h), name="row_lstm")

    def logits(self, x: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        return self.network(x)


class _RowCell(layers.Layer):
    """One row of a Row LSTM: the state of the row above, convolved, opens the gates together with this row's own."""

    def __init__(self, width: int, filters: int) -> None:
        super().__init__()
        self.state_size = [tf.TensorShape([width, filters])] * 2
        self._state_to_state = layers.Conv1D(4 * filters, 3, padding="same", use_bias=False)

    def call(self, gates: tf.Tensor, states: Any) -> tuple[tf.Tensor, Any]:
        h, c = states
        # o, f, i, g = split(K_ss * h + K_is * x), c <- sigma(f) c + sigma(i) tanh(g), h <- sigma(o) tanh(c)
        o, f, i, g = tf.split(gates + self._state_to_state(h), 4, axis=-1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        h = tf.sigmoid(o) * tf.tanh(c)
        return h, [h, c]
