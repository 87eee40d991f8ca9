"""Training speed of the paper's network: tfvae against plain tf_keras `fit` with `tfp.layers`, in one run.

  python benchmarks/fit_speed.py

Rounds alternate between the sides; what counts is the ratio of the medians, not the times.
784-500-20-500-784, tanh, Bernoulli, batches of 100, Adam, float32, on random binary images.
"""

import json
import statistics
import time

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tf_keras import layers

import tfvae

NUM_IMAGES, BATCH_SIZE, LATENT, HIDDEN, ROUNDS = 20_000, 100, 20, 500, 5


def networks(*, posterior_arguments: dict | None = None) -> tuple[tf_keras.Model, tf_keras.Model]:
    """The encoder and the decoder, with stock `tfp.layers` on both sides."""
    encoder = tf_keras.Sequential([
        layers.InputLayer((28, 28, 1)),
        layers.Flatten(),
        layers.Dense(HIDDEN, "tanh"),
        layers.Dense(2 * LATENT),
        tfp.layers.IndependentNormal(LATENT, **(posterior_arguments or {})),
    ])  # fmt: skip
    decoder = tf_keras.Sequential([
        layers.InputLayer((LATENT,)),
        layers.Dense(HIDDEN, "tanh"),
        layers.Dense(28 * 28),
        tfp.layers.IndependentBernoulli((28, 28, 1)),
    ])  # fmt: skip
    return encoder, decoder


def plain_keras() -> tf_keras.Model:
    """As TFP's documentation has it: a functional model, its KL regularizer, and -log p(x|z) as the loss."""
    prior = tfp.distributions.Independent(tfp.distributions.Normal(tf.zeros(LATENT), 1.0), 1)
    regularizer = tfp.layers.KLDivergenceRegularizer(prior, use_exact_kl=True)
    encoder, decoder = networks(posterior_arguments={"activity_regularizer": regularizer})
    model = tf_keras.Model(encoder.inputs, decoder(encoder.outputs[0]))
    model.compile("adam", loss=lambda x, likelihood: -likelihood.log_prob(x))
    return model


def ours(steps_per_execution: int) -> tf_keras.Model:
    vae = tfvae.VAE(*networks())
    vae.compile("adam", steps_per_execution=steps_per_execution)
    return vae


def main() -> None:
    x = (np.random.default_rng(0).random((NUM_IMAGES, 28, 28, 1)) < 0.2).astype(np.float32)
    pairs = tf.data.Dataset.from_tensor_slices(x).batch(BATCH_SIZE).map(lambda x: (x, x)).cache().prefetch(4)
    sides = {"tfvae, 100 steps at once": ours(100), "tfvae, one step": ours(1), "tf_keras fit": plain_keras()}
    for model in sides.values():
        model.fit(pairs, verbose=0)  # compiles
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, model in sides.items():
            start = time.perf_counter()
            model.fit(pairs, verbose=0)
            rates[name].append(NUM_IMAGES / (time.perf_counter() - start))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    result = {
        "images_per_second": {
            name: {"median": round(medians[name]), "lowest": round(min(values)), "highest": round(max(values))}
            for name, values in rates.items()
        },
        "ratio_to_tf_keras_fit": {name: round(rate / medians["tf_keras fit"], 2) for name, rate in medians.items()},
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
