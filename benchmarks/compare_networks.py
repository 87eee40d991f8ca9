"""The network of W2, which is that of https://keras.io/examples/generative/vae, for `networks.Imported`."""

import math

import tf_keras
from tf_keras import layers


def encoder(item_shape: tuple[int, ...], num_params: int) -> tf_keras.Model:
    """x `[rows, 28, 28, 1]` to parameters `[rows, num_params]`."""
    inputs = layers.Input(item_shape)
    x = layers.Conv2D(32, 3, activation="relu", strides=2, padding="same")(inputs)
    x = layers.Conv2D(64, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    return tf_keras.Model(inputs, layers.Dense(num_params)(x))


def decoder(latent_size: int, item_shape: tuple[int, ...], params_per_dim: int) -> tf_keras.Model:
    """z `[rows, latent_size]` to logits `[rows, 784]`."""
    inputs = layers.Input([latent_size])
    x = layers.Reshape((7, 7, 64))(layers.Dense(7 * 7 * 64, activation="relu")(inputs))
    x = layers.Conv2DTranspose(64, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Conv2DTranspose(32, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Conv2DTranspose(params_per_dim, 3, padding="same")(x)
    return tf_keras.Model(inputs, layers.Reshape((params_per_dim * math.prod(item_shape),))(x))
