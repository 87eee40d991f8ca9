"""A small VAE with each posterior and its natural prior."""

import numpy as np
import pytest
import tf_keras

from tests.helpers import binary_data
from tests.posteriors.families import NATURAL, by_tags
from tfvae import likelihoods
from tfvae.build import build_vae
from tfvae.config import ModelConfig
from tfvae.networks import MLP


def vae_of(pair):
    tf_keras.utils.set_random_seed(0)
    posterior, prior = pair
    config = ModelConfig(
        latent_size=3, posterior=posterior, prior=prior, likelihood=likelihoods.Bernoulli(), network=MLP(hidden=(8,))
    )
    return build_vae(config, (6, 5, 1))


@pytest.mark.parametrize("pair", NATURAL, ids=by_tags)
def test_a_small_vae_trains(pair):
    vae = vae_of(pair)
    before = [w.numpy() for w in vae.trainable_variables]
    # A flow is a graph of its own kind; for the others a trace takes longer than it tells.
    vae.compile("adam", jit_compile=False, run_eagerly=pair[0].tag != "inverse_autoregressive_flow")
    history = vae.fit(binary_data(20), batch_size=10, epochs=1, verbose=0).history
    assert all(np.all(np.isfinite(values)) for values in history.values())
    after = [w.numpy() for w in vae.trainable_variables]
    assert all(np.all(np.isfinite(w)) for w in after)
    assert all(np.any(a != b) for a, b in zip(after, before, strict=True))


def test_the_prior_has_the_support_of_its_posterior():
    assert all(posterior.support == prior.support for posterior, prior in NATURAL)
