"""W1 in plain tf_keras: `fit` of a functional model with `tfp.layers`, as TFP's tutorial has it.

https://www.tensorflow.org/probability/examples/Probabilistic_Layers_VAE: the KL by an activity regularizer, -log p(x|z)
as the loss, and `fit` on pairs (x, x). Batches are kept in memory, which is faster than to make them anew.
"""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tf_keras import layers
from workers import EpochClock, LossByCall, serve

LATENT, HIDDEN, BATCH_SIZE = 20, 500, 100


class Clock(EpochClock, tf_keras.callbacks.Callback):
    """The seconds of the last epoch."""


class TFKeras:
    """The compiled model and its data."""

    def __init__(self) -> None:
        self.loss = LossByCall()

    def ready(self, work: str, data: str, num_images: int) -> dict[str, Any]:
        """Reads the binary images, uint8 `[n, 784]`, and builds."""
        tf_keras.utils.set_random_seed(0)
        x = np.load(data, mmap_mode="r")[:num_images].astype(np.float32).reshape(-1, 28, 28, 1)
        batches = tf.data.Dataset.from_tensor_slices(x).batch(BATCH_SIZE).map(lambda x: (x, x)).cache()
        self.images, self.batches = len(x), batches.shuffle(len(batches)).prefetch(tf.data.AUTOTUNE)
        prior = tfp.distributions.Independent(tfp.distributions.Normal(tf.zeros(LATENT), 1.0), 1)
        # Keras adds it for each of the layer's two outputs: with half the weight the sum is the KL, as elsewhere.
        regularizer = tfp.layers.KLDivergenceRegularizer(prior, use_exact_kl=True, weight=0.5)
        self.encoder = encoder = tf_keras.Sequential([
            layers.InputLayer((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(HIDDEN, "tanh"),
            layers.Dense(tfp.layers.IndependentNormal.params_size(LATENT)),
            tfp.layers.IndependentNormal(LATENT, activity_regularizer=regularizer),
        ])  # fmt: skip
        decoder = tf_keras.Sequential([
            layers.InputLayer((LATENT,)),
            layers.Dense(HIDDEN, "tanh"),
            layers.Dense(28 * 28),
            tfp.layers.IndependentBernoulli((28, 28, 1), tfp.distributions.Bernoulli.logits),
        ])  # fmt: skip
        self.model = tf_keras.Model(encoder.inputs, decoder(encoder.outputs[0]))
        self.model.compile(tf_keras.optimizers.Adam(1e-3), loss=lambda x, likelihood: -likelihood.log_prob(x))
        return {"tf_keras": tf_keras.__version__, "tensorflow_probability": tfp.__version__}

    def epoch(self, before: int = 0) -> dict[str, Any]:
        """`before` passes and one that is timed, by one `fit`; the loss is that after as many passes as calls."""
        clock = Clock()
        history = self.model.fit(self.batches, epochs=1 + before, verbose=0, callbacks=[clock]).history
        return {"images": self.images, "measured_seconds": clock.seconds, "loss": self.loss(history["loss"])}


if __name__ == "__main__":
    side = TFKeras()
    serve({"ready": side.ready, "epoch": side.epoch})
