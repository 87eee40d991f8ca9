"""Small models and data that several tests share."""

import dataclasses
import importlib.util
import os

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfvae import config as config_lib
from tfvae import likelihoods, objectives, posteriors, priors
from tfvae.build import build_vae
from tfvae.config import ModelConfig
from tfvae.networks import MLP


def needs(*packages):
    """Skips the test where one of these is not installed; with CI=true, as all are then, it fails."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        unproven(f"{', '.join(missing)}: not installed")


def unproven(why):
    """Skips the test for that reason; with CI=true it fails, so that no proof is left out unseen."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)


def small_vae(
    item_shape=(6, 5, 1), *, latent_size=3, posterior=None, prior=None, likelihood=None, network=None, **kwargs
):
    """A VAE with small networks and weights from seed 0."""
    tf_keras.utils.set_random_seed(0)
    config = ModelConfig(
        latent_size=latent_size,
        posterior=posterior or posteriors.Normal(),
        prior=prior or priors.StandardNormal(),
        likelihood=likelihood or likelihoods.Bernoulli(),
        network=network or MLP(hidden=(8,)),
        conditional=bool(kwargs.get("num_labels")),
    )
    return build_vae(config, item_shape, **kwargs)


def binary_data(num_rows, item_shape=(6, 5, 1), *, seed=0):
    """0/1 data, float32 `[num_rows, *item_shape]`."""
    return (np.random.default_rng(seed).random((num_rows, *item_shape)) < 0.3).astype(np.float32)


def digits_config(**training):
    """The digits with a small network and two latents, whose runs take seconds."""
    return config_lib.Config(
        name="small",
        data=config_lib.DataConfig(source="digits", binarization="dynamic"),
        model=ModelConfig(
            latent_size=2,
            posterior=posteriors.Normal(),
            prior=priors.StandardNormal(),
            likelihood=likelihoods.Bernoulli(),
            network=MLP(hidden=(16,)),
        ),
        objective=objectives.SGVB_B(),
        training=config_lib.TrainingConfig(**{"batch_size": 50, "pictures_every": 2} | training),
        evaluation=config_lib.EvaluationConfig(num_samples=5),
    )


@dataclasses.dataclass
class Examples:
    """What an evaluation needs of a split."""

    x: np.ndarray
    labels: np.ndarray | None = None
    name: str = "test"

    @property
    def num_examples(self):
        return len(self.x)

    @property
    def has_labels(self):
        return self.labels is not None

    def evaluation_batches(self, *, batch_size, labels=False):
        values = (self.x, self.labels) if labels else self.x
        return tf.data.Dataset.from_tensor_slices(values).batch(batch_size)
