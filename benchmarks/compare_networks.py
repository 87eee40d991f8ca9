"""The network of W2, which is that of https://keras.io/examples/generative/vae, for `networks.Imported`."""

import math

import tf_keras
from tf_keras import layers

from tfvae import networks


def encoder(item_shape: tuple[int, ...], num_params: int, policy: str) -> tf_keras.Model:
    """x `[rows, 28, 28, 1]` to parameters `[rows, num_params]`."""
    inputs = layers.Input(item_shape)
    x = layers.Conv2D(32, 3, activation="relu", strides=2, padding="same", dtype=policy)(inputs)
    x = layers.Conv2D(64, 3, activation="relu", strides=2, padding="same", dtype=policy)(x)
    x = layers.Dense(16, activation="relu", dtype=policy)(layers.Flatten(dtype=policy)(x))
    return tf_keras.Model(inputs, layers.Dense(num_params, dtype=policy)(x))


def decoder(latent_size: int, item_shape: tuple[int, ...], params_per_dim: int, policy: str) -> tf_keras.Model:
    """z `[rows, latent_size]` to logits `[rows, 784]`."""
    inputs = layers.Input([latent_size])
    x = layers.Reshape((7, 7, 64), dtype=policy)(layers.Dense(7 * 7 * 64, activation="relu", dtype=policy)(inputs))
    x = layers.Conv2DTranspose(64, 3, activation="relu", strides=2, padding="same", dtype=policy)(x)
    x = layers.Conv2DTranspose(32, 3, activation="relu", strides=2, padding="same", dtype=policy)(x)
    # The documentation has a transposed convolution of stride 1: a convolution, with the kernel mirrored.
    x = networks.ThinConv2D(params_per_dim, 3, padding="same", dtype=policy)(x)
    return tf_keras.Model(inputs, layers.Reshape((params_per_dim * math.prod(item_shape),), dtype=policy)(x))
