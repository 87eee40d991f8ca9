"""Density models without latents: what the seeds say a VAE is beaten by in log p(x)."""

from typing import Any

import tensorflow as tf
import tf_keras
from tensorflow_probability import distributions as tfd
from tf_keras import layers

from tfvae.likelihoods.autoregressive import Autoregressive, MaskedConv2D, as_image


class DensityModel(tf_keras.Model):
    """A Keras model of p(x) whose log-density is exact: `fit` maximises it, `evaluate` averages it.

    A subclass gives `log_prob` and `sample`.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self._mean = tf_keras.metrics.Mean("log_likelihood")

    def log_prob(self, x: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        """log p(x) of x `[rows, *item_shape]`: float32 `[rows]`, nats."""
        raise NotImplementedError

    def sample(self, count: int, *, seed: int = 0) -> tf.Tensor:
        """x ~ p(x), float32 `[count, *item_shape]`, made pixel by pixel."""
        raise NotImplementedError

    @property
    def metrics(self) -> list[tf_keras.metrics.Metric]:
        return [self._mean]

    def train_step(self, data: Any) -> dict[str, Any]:
        """One optimizer step on the mean of -log p(x) over a batch."""
        x = tf_keras.utils.unpack_x_y_sample_weight(data)[0]
        with tf.GradientTape() as tape:
            each = self.log_prob(x, training=True)
            loss = -tf.reduce_mean(each)
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        self._mean.update_state(each)
        return {self._mean.name: self._mean.result()}

    def test_step(self, data: Any) -> dict[str, Any]:
        """The mean of log p(x) so far."""
        self._mean.update_state(self.log_prob(tf_keras.utils.unpack_x_y_sample_weight(data)[0]))
        return {self._mean.name: self._mean.result()}


class PixelCNN(DensityModel):
    """`tfp.distributions.PixelCNN` (Salimans et al. 2017, PixelCNN++) of images of 0 and 1.

    Args:
      item_shape: (height, width, channels).
      num_filters, num_resnet, num_hierarchies, num_logistic_mix, dropout_p: as TFP's.
    """

    def __init__(
        self, item_shape: tuple[int, ...], *, num_filters: int = 32, num_resnet: int = 1, num_hierarchies: int = 1,
        num_logistic_mix: int = 1, dropout_p: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__("pixel_cnn")
        self.distribution = tfd.PixelCNN(
            image_shape=item_shape, num_filters=num_filters, num_resnet=num_resnet, num_hierarchies=num_hierarchies,
            num_logistic_mix=num_logistic_mix, dropout_p=dropout_p, low=0, high=1, use_data_init=False,
        )  # fmt: skip
        self.network = self.distribution.network  # tracked by Keras

    def log_prob(self, x: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        return self.distribution.log_prob(x, training=training)

    def sample(self, count: int, *, seed: int = 0) -> tf.Tensor:
        return tf.cast(self.distribution.sample(count, seed=seed), tf.float32)


class PixelRNN(DensityModel):
    """A Row LSTM (van den Oord et al. 2016, Pixel recurrent neural networks, section 3.1) of images of 0 and 1.

    Args:
      item_shape: (height, width, channels); the channels of one pixel do not see each other.
      filters: channels of each state.
      num_layers: Row LSTMs, one on the other, each added to what it was given.
    """

    def __init__(self, item_shape: tuple[int, ...], *, filters: int = 32, num_layers: int = 2) -> None:
        super().__init__("pixel_rnn")
        height, width, channels = as_image(item_shape)
        inputs = layers.Input((height, width, channels))
        h = MaskedConv2D(filters, 7, sees_itself=False)(2.0 * inputs - 1.0)
        for _ in range(num_layers):
            gates = MaskedConv2D(4 * filters, (1, 3), sees_itself=True)(h)
            h = h + layers.RNN(_RowCell(width, filters), return_sequences=True)(gates)
        h = layers.Conv2D(2 * filters, 1, activation="relu")(h)
        logits = layers.Conv2D(channels, 1)(h)
        self.network = tf_keras.Model(inputs, logits, name="row_lstm")
        self._item_shape = (height, width, channels)

    def log_prob(self, x: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        return self._given(tf.zeros_like(x)).log_prob(x)

    def sample(self, count: int, *, seed: int = 0) -> tf.Tensor:
        return self._given(tf.zeros([count, *self._item_shape])).sample(seed=seed)

    def _given(self, context: tf.Tensor) -> Autoregressive:
        return Autoregressive(lambda x, context: self.network(x), context)


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
