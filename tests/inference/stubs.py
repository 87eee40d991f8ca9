"""Models that are functions written out, for tests of what is done with them."""

import numpy as np
import tensorflow as tf

from tfvae.inference.model import Model


def stub_model(run=None, *, item_shape=(1, 1, 1), latent_size=2, num_labels=0, latent_support="real", step=0.0):
    """A `Model` of numbers in [0, 1] whose signatures are `run(name, given)`, given and found as NumPy arrays."""

    def as_tensors(name, given):
        found = run(name, {key: value.numpy() for key, value in given.items()})
        return {key: tf.constant(np.asarray(value, np.float32)) for key, value in found.items()}

    return Model(
        origin="a stub", item_name={3: "image", 1: "vector"}.get(len(item_shape), "data"), item_shape=item_shape,
        latent_size=latent_size, latent_support=latent_support, num_labels=num_labels, low=0.0, high=1.0, step=step,
        config={}, run=as_tensors,
    )  # fmt: skip
