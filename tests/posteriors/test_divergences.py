"""KL divergences in closed form against Monte Carlo."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tests.posteriors.families import PAIRS, by_tags, posterior_of
from tfvae import random
from tfvae.regularizers import kl_divergence, log_ratio
from tfvae.reparameterization import reparameterize

# These are estimated from draws.
WITHOUT = {
    "logistic-standard_logistic",
    "student_t-standard_student_t",
    "kumaraswamy-beta",
    "inverse_autoregressive_flow-standard_normal",
    "coupling_flow-standard_normal",
}


def made(pair):
    component, prior = pair
    params = np.random.default_rng(5).normal(size=(4, component.params_size(3)))
    return posterior_of(component, 3)(params), prior.build(3)


@pytest.mark.parametrize("pair", [p for p in PAIRS if by_tags(p) not in WITHOUT], ids=by_tags)
def test_closed_forms_are_the_mean_of_the_log_ratio(pair):
    q, p = made(pair)
    noise = random.normals(random.row_keys(0, 1, rows=tf.range(4)), 3, num_samples=20_000)
    ratios = log_ratio(q, p, noise, reparameterize(q, noise)).numpy()
    error = ratios.std(axis=0) / np.sqrt(len(ratios))
    kl = kl_divergence(q, p).numpy()
    assert np.all(kl > 0)
    assert np.all(np.abs(kl - ratios.mean(axis=0)) < 4 * error)
    # The error is small beside the KL, or the line above could not fail.
    assert np.all(error < 0.05 * kl + 0.02)


@pytest.mark.parametrize("pair", [p for p in PAIRS if by_tags(p) in WITHOUT], ids=by_tags)
def test_pairs_without_a_closed_form_are_known_as_such(pair):
    with pytest.raises(NotImplementedError):
        kl_divergence(*made(pair))


def test_the_kl_to_a_uniform_that_does_not_cover_the_unit_interval_is_infinite():
    kl = kl_divergence(tfd.Kumaraswamy([1.0, 1.0], [1.0, 1.0]), tfd.Uniform([-1.0, 0.5], [1.0, 1.0]))
    np.testing.assert_allclose(kl, [np.log(2.0), np.inf], rtol=1e-6)
