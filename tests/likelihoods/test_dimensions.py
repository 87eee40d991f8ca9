"""The density of what is observed, and draws of each number from its own noise, for every likelihood."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tests.export.test_parts import ITEMS, LIKELIHOODS, SIZE
from tests.helpers import small_vae
from tfvae.likelihoods import draw, log_prob_of_observed
from tfvae.likelihoods.counts import BagOfWords
from tfvae.likelihoods.logistic import DiscretizedLogisticMixture

DEPENDENT = {"autoregressive_bernoulli"}  # see test_autoregressive.py
DRAWN = sorted(LIKELIHOODS.keys() - {"multinomial"} - DEPENDENT)
ROWS = 4_000


def likelihood_of(name, rows):
    """p(x|z) at some z, the same for all rows."""
    vae = small_vae((SIZE,), likelihood=LIKELIHOODS[name])
    return vae.decode(tf.tile([[0.5, -1.0, 2.0]], [rows, 1]))


def items(name, rows):
    """Examples that are fit."""
    x = np.array(ITEMS[name][0], np.float32)
    if name == "bernoulli":
        x = x.round()
    if name == "discretized_logistic":
        x = np.round(x * 4) / 4
    return np.tile(x, (rows, 1))


@pytest.mark.parametrize("name", sorted(LIKELIHOODS.keys() - DEPENDENT))
def test_all_observed_is_the_density_and_nothing_is_zero(name):
    p, x = likelihood_of(name, 3), items(name, 3)
    everything = tf.ones(x.shape, tf.bool)
    np.testing.assert_allclose(log_prob_of_observed(p, x, everything), p.log_prob(x), rtol=1e-5)
    np.testing.assert_allclose(log_prob_of_observed(p, x, ~everything), 0.0, atol=1e-6)


@pytest.mark.parametrize("name", DRAWN)
def test_the_parts_of_independent_dimensions_sum_to_the_whole(name):
    p, x = likelihood_of(name, SIZE), items(name, SIZE)
    each = log_prob_of_observed(p, x, tf.eye(SIZE) > 0)
    assert (np.abs(each) > 1e-6).any()
    np.testing.assert_allclose(tf.reduce_sum(each), p.log_prob(x)[0], rtol=1e-4)


def test_observed_words_are_a_bag_of_their_own():
    logits = np.array([[0.3, -1.0, 2.0, 0.5]], np.float32)
    x, mask = np.array([[3.0, 1.0, 7.0, 2.0]], np.float32), np.array([[True, False, True, True]])
    found = log_prob_of_observed(BagOfWords(logits=logits), x, mask)
    pi = np.exp(logits[0, mask[0]]) / np.exp(logits[0, mask[0]]).sum()
    np.testing.assert_allclose(found, [scipy.stats.multinomial.logpmf([3, 7, 2], 12, pi)], rtol=1e-5)


def test_dependent_dimensions_are_refused():
    with pytest.raises(NotImplementedError, match="MultivariateNormalTriL are not known to be independent"):
        log_prob_of_observed(tfd.MultivariateNormalTriL(tf.zeros([2, 3])), tf.zeros([2, 3]), tf.ones([2, 3], tf.bool))
    with pytest.raises(NotImplementedError, match="the dimensions of Autoregressive are not known to be independent"):
        log_prob_of_observed(
            likelihood_of("autoregressive_bernoulli", 2), tf.zeros([2, SIZE]), tf.ones([2, SIZE], tf.bool)
        )
    with pytest.raises(NotImplementedError, match="no draws of BagOfWords"):
        draw(likelihood_of("multinomial", 2), tf.fill([2, SIZE], 0.5))


@pytest.mark.parametrize("name", DRAWN)
def test_draws_have_the_mean_and_the_variance(name):
    """At evenly spaced noise a draw's average is exact to about 1 / ROWS of its range."""
    p = likelihood_of(name, ROWS)
    uniforms = np.tile((np.arange(ROWS)[:, None] + 0.5) / ROWS, (1, SIZE)).astype(np.float32)
    x = draw(p, tf.constant(uniforms)).numpy()
    assert x.shape == (ROWS, SIZE) and (np.diff(x, axis=0) >= 0).all()  # an inverse distribution function
    assert np.isfinite(p.log_prob(x)).all()
    for column in range(SIZE):
        if name == "categorical" or (name == "table" and column == 3):
            continue  # whose mean is a code
        tolerance = 4 * max(np.ptp(x[:, column]), 1e-3) / ROWS + 2e-3 * x[:, column].std()
        assert abs(x[:, column].mean() - p.mean()[0, column]) < tolerance, column
        if name != "table":
            np.testing.assert_allclose(x[:, column].var(), p.variance()[0, column], rtol=0.03, atol=1e-5)


@pytest.mark.parametrize("name", ["categorical", "poisson", "negative_binomial", "discretized_logistic", "bernoulli"])
def test_frequencies_of_draws_are_masses(name):
    p = likelihood_of(name, ROWS)
    uniforms = np.tile((np.arange(ROWS)[:, None] + 0.5) / ROWS, (1, SIZE)).astype(np.float32)
    x = draw(p, tf.constant(uniforms)).numpy()
    for value in np.unique(x[:, 0]):
        mass = np.exp(p.distribution.log_prob(np.full((ROWS, SIZE), value, np.float32))[0, 0])
        assert abs(np.mean(x[:, 0] == value) - mass) < 2 / ROWS + 1e-4, value


@pytest.mark.parametrize("count", [0.01, 3.0, 5_000.0])
def test_counts_of_all_sizes_are_drawn(count):
    uniforms = tf.constant([[1e-6], [0.3], [0.5], [0.999], [1 - 1e-6]])
    drawn = draw(tfd.Poisson(tf.fill([5, 1], count)), uniforms)
    expected = scipy.stats.poisson.ppf(uniforms.numpy().astype(np.float64), count)
    np.testing.assert_allclose(drawn, expected, atol=0 if count < 100 else 5)


def test_the_moments_and_the_distribution_function_of_a_discretized_logistic():
    parameters = np.random.default_rng(0).normal(size=(3, 2, 3)).astype(np.float32)
    p = DiscretizedLogisticMixture(
        logits=parameters[0], loc=0.5 + 0.2 * parameters[1], scale=0.05 + 0.1 * abs(parameters[2]), num_levels=17
    )
    levels = np.arange(17, dtype=np.float32) / 16
    masses = np.exp([p.log_prob(np.full(2, level)) for level in levels])
    np.testing.assert_allclose(masses.sum(axis=0), 1.0, rtol=1e-5)
    np.testing.assert_allclose([p.cdf(np.full(2, level)) for level in levels], np.cumsum(masses, axis=0), atol=1e-5)
    mean = levels @ masses
    np.testing.assert_allclose(p.mean(), mean, rtol=1e-4)
    variance = [np.sum((levels - mean[i]) ** 2 * masses[:, i]) for i in range(2)]
    np.testing.assert_allclose(p.variance(), variance, rtol=1e-3)
