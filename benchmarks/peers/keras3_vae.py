"""W1 and W2 in Keras 3 on TensorFlow: the model of its documentation, with a `train_step` of its own.

https://keras.io/examples/generative/vae: the network of W2, its `Sampling` layer, its loss, and `fit` on arrays. Of its
three metrics one is kept.
"""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from workers import EpochClock, LossByCall, serve


class Sampling(layers.Layer):
    """z from the mean and the log variance."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs: Any) -> Any:
        mean, log_variance = inputs
        epsilon = keras.random.normal(shape=ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * epsilon


def networks(work: str) -> tuple[keras.Model, keras.Model]:
    """Encoder and decoder."""
    if work == "w1":
        size, x = 20, keras.Input((784,))
        h = layers.Dense(500, activation="tanh")(x)
        z = keras.Input((size,))
        outputs = layers.Dense(784, activation="sigmoid")(layers.Dense(500, activation="tanh")(z))
    else:
        size, x = 2, keras.Input((28, 28, 1))
        h = layers.Conv2D(32, 3, activation="relu", strides=2, padding="same")(x)
        h = layers.Conv2D(64, 3, activation="relu", strides=2, padding="same")(h)
        h = layers.Dense(16, activation="relu")(layers.Flatten()(h))
        z = keras.Input((size,))
        outputs = layers.Reshape((7, 7, 64))(layers.Dense(7 * 7 * 64, activation="relu")(z))
        outputs = layers.Conv2DTranspose(64, 3, activation="relu", strides=2, padding="same")(outputs)
        outputs = layers.Conv2DTranspose(32, 3, activation="relu", strides=2, padding="same")(outputs)
        outputs = layers.Conv2DTranspose(1, 3, activation="sigmoid", padding="same")(outputs)
    mean, log_variance = layers.Dense(size)(h), layers.Dense(size)(h)
    return keras.Model(x, [mean, log_variance, Sampling()([mean, log_variance])]), keras.Model(z, outputs)


class VAE(keras.Model):
    """The documentation's model; images have their pixels in one axis for W1, in three for W2."""

    def __init__(self, encoder: keras.Model, decoder: keras.Model) -> None:
        super().__init__()
        self.encoder, self.decoder, self.total = encoder, decoder, keras.metrics.Mean(name="loss")

    @property
    def metrics(self) -> list[Any]:
        return [self.total]

    def train_step(self, data: Any) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            mean, log_variance, z = self.encoder(data)
            cross_entropy = keras.losses.binary_crossentropy(data, self.decoder(z))  # a mean over the last axis
            dense = len(data.shape) == 2
            distortion = ops.mean(784.0 * cross_entropy if dense else ops.sum(cross_entropy, axis=(1, 2)))
            rate = -0.5 * (1 + log_variance - ops.square(mean) - ops.exp(log_variance))
            loss = distortion + ops.mean(ops.sum(rate, axis=1))
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self.total.update_state(loss)
        return {"loss": self.total.result()}


class Clock(EpochClock, keras.callbacks.Callback):
    """The seconds of the last epoch."""


class Keras3:
    """The compiled model and its data."""

    def __init__(self) -> None:
        self.loss = LossByCall()

    def ready(self, work: str, data: str, num_images: int, jit: bool) -> dict[str, Any]:
        """Reads the images, uint8 `[n, 784]`, and builds; without a GPU Keras would choose `jit=False`."""
        keras.utils.set_random_seed(0)
        self.batch_size, shape, top = (100, (784,), 1) if work == "w1" else (128, (28, 28, 1), 255)
        self.x = np.load(data, mmap_mode="r")[:num_images].astype(np.float32).reshape(-1, *shape) / top
        self.model = VAE(*networks(work))
        self.model.compile(optimizer=keras.optimizers.Adam(), jit_compile=jit)
        return {"keras": keras.__version__, "tensorflow": tf.__version__}

    def epoch(self, before: int = 0) -> dict[str, Any]:
        """`before` passes and one that is timed, by one `fit`; the loss is that after as many passes as calls."""
        clock = Clock()
        history = self.model.fit(
            self.x, epochs=1 + before, batch_size=self.batch_size, verbose=0, callbacks=[clock]
        ).history
        return {"images": len(self.x), "measured_seconds": clock.seconds, "loss": self.loss(history["loss"])}


if __name__ == "__main__":
    side = Keras3()
    serve({"ready": side.ready, "epoch": side.epoch})
