"""Masses: each sums to one, has its formula, and gives its mean."""

import itertools

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tests.likelihoods.cases import LIKELIHOODS, SIZE, at, parameters, values
from tfvae.likelihoods import Bernoulli, Categorical, DiscretizedLogistic, Multinomial, NegativeBinomial, Poisson
from tfvae.likelihoods.counts import log_mean

SINGLE = {  # of one dimension: all values, or all that matter
    "bernoulli": np.arange(2), "discretized": np.arange(17) / 16, "bytes": np.arange(256) / 255,
    "codes": np.arange(5), "ordered": np.arange(5), "poisson": np.arange(150), "negative_binomial": np.arange(2_000),
}  # fmt: skip


@pytest.mark.parametrize("name", SINGLE)
def test_masses_sum_to_one_and_to_the_mean(name):
    component = DiscretizedLogistic(num_mixtures=2) if name == "bytes" else LIKELIHOODS[name]
    params = parameters(component, 6, (1,))
    x = SINGLE[name].astype(np.float32)
    p = at(component, np.tile(params, (len(x), 1)), (1,))
    mass = np.exp(p.log_prob(np.repeat(x, 6)[:, None]).numpy().astype(np.float64)).reshape(len(x), 6)
    np.testing.assert_allclose(mass.sum(axis=0), 1, rtol=1e-4)
    expected = x[mass.argmax(axis=0)] if name == "codes" else x @ mass
    np.testing.assert_allclose(p.mean()[:6, 0], expected, rtol=1e-4, atol=1e-6)


def test_a_bag_of_words_sums_to_one_over_the_bags_of_its_size():
    logits = parameters(Multinomial(), 1, (3,))
    for total in (0, 1, 4):
        bags = [x for x in itertools.product(range(total + 1), repeat=3) if sum(x) == total]
        x = np.array(bags, np.float32)
        log_prob = at(Multinomial(), np.repeat(logits, len(x), axis=0), (3,)).log_prob(x)
        np.testing.assert_allclose(np.sum(np.exp(log_prob)), 1, rtol=1e-5)
        pi = np.exp(logits[0]) / np.exp(logits[0]).sum()
        np.testing.assert_allclose(log_prob, scipy.stats.multinomial.logpmf(x, total, pi), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(at(Multinomial(), logits, (3,)).mean()[0], pi, rtol=1e-5)


def test_a_bag_of_words_is_one_bag_whatever_its_shape():
    params, x = parameters(Multinomial()), values(Multinomial())
    p, flat = at(Multinomial(), params), at(Multinomial(), params, (SIZE,))
    np.testing.assert_allclose(p.log_prob(x), flat.log_prob(x.reshape(4, SIZE)), rtol=1e-6)
    np.testing.assert_allclose(np.sum(p.mean(), axis=(1, 2, 3)), 1, rtol=1e-5)


def test_bernoulli_is_the_cross_entropy():
    logits, x = parameters(Bernoulli()), values(Bernoulli())
    p = scipy.special.expit(logits).reshape(x.shape)
    expected = -np.sum(x * np.log(p) + (1 - x) * np.log(1 - p), axis=(1, 2, 3))
    np.testing.assert_allclose(-at(Bernoulli(), logits).log_prob(x), expected, rtol=1e-5)


def test_categorical_is_a_softmax():
    component = Categorical(num_categories=5)
    params, x = parameters(component), values(component)
    log_softmax = scipy.special.log_softmax(params.reshape(4, 5, SIZE), axis=1)
    expected = np.take_along_axis(log_softmax, x.reshape(4, 1, SIZE).astype(int), axis=1).sum(axis=(1, 2))
    np.testing.assert_allclose(at(component, params).log_prob(x), expected, rtol=1e-5)


def test_no_mass_between_codes_nor_beyond():
    p = at(LIKELIHOODS["codes"], np.zeros((4, 5)), (1,))
    np.testing.assert_array_equal(p.log_prob([[-1.0], [0.5], [5.0], [np.inf]]), [-np.inf] * 4)


# Discretized logistics --------------------------------------------------------------------


def formula(params, level, num_mixtures, num_levels, floor):
    """log p(level / (num_levels - 1)) of one dimension, params `[rows, 3 K]`, in float64."""
    logits, loc, raw = np.split(params.astype(np.float64), 3, axis=1)
    scale = np.logaddexp(raw, 0) + floor
    x, half = level / (num_levels - 1), 0.5 / (num_levels - 1)
    upper = 1.0 if level == num_levels - 1 else scipy.special.expit((x + half - loc) / scale)
    lower = 0.0 if level == 0 else scipy.special.expit((x - half - loc) / scale)
    return np.log(np.sum(scipy.special.softmax(logits, axis=1) * (upper - lower), axis=1))


@pytest.mark.parametrize(("num_mixtures", "num_levels"), [(1, 2), (2, 256)])
def test_discretized_logistic_is_a_difference_of_sigmoids(num_mixtures, num_levels):
    component = DiscretizedLogistic(num_mixtures=num_mixtures, num_levels=num_levels)
    params = parameters(component, 5, (1,))
    for level in {0, 1, num_levels // 2, num_levels - 2, num_levels - 1}:
        x = np.full((5, 1), level / (num_levels - 1), np.float32)
        expected = formula(params, level, num_mixtures, num_levels, component.scale_floor)
        np.testing.assert_allclose(at(component, params, (1,)).log_prob(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loc", [-0.3, 0.0, 0.5 / 16, 0.31, 1.0, 1.4])
@pytest.mark.parametrize("scale", [1e-3, 0.05, 3.0])
def test_masses_and_means_of_narrow_and_wide_logistics(loc, scale):
    component = DiscretizedLogistic(num_mixtures=1, num_levels=17, scale_floor=5e-4)
    params = np.array([[0.0, loc, np.log(np.expm1(scale - 5e-4))]], np.float32)
    x = np.arange(17, dtype=np.float32)[:, None] / 16
    mass = np.exp(at(component, np.repeat(params, 17, axis=0), (1,)).log_prob(x))
    np.testing.assert_allclose(mass.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(at(component, params, (1,)).mean()[0, 0], mass @ x[:, 0], rtol=1e-4, atol=1e-6)


def test_far_levels_keep_their_digits():
    # sigmoid(b) - sigmoid(a) is 0 in float32 here: log p = (x - mu) / s + log(2 sinh(h / s)) in the left tail
    component = DiscretizedLogistic(num_mixtures=1, num_levels=17, scale_floor=0.01)
    p = at(component, np.array([[0.0, 1.0, -1e4]]), (1,))
    expected = (0.25 - 1.0) / 0.01 + np.log(2 * np.sinh(0.5 / 16 / 0.01))
    np.testing.assert_allclose(p.log_prob([[0.25]]), expected, rtol=1e-5)


def test_between_levels_is_the_mass_of_the_nearest():
    p = at(LIKELIHOODS["discretized"], parameters(LIKELIHOODS["discretized"], 1, (1,)), (1,))
    np.testing.assert_array_equal(p.log_prob([[3.4 / 16]]), p.log_prob([[3 / 16]]))


# Counts -----------------------------------------------------------------------------------


def test_poisson_is_its_formula():
    params, x = parameters(Poisson()), values(Poisson())
    expected = scipy.stats.poisson.logpmf(x, np.exp(params).reshape(x.shape)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(at(Poisson(), params).log_prob(x), expected, rtol=1e-5)


@pytest.mark.parametrize("x", [0, 3, 50, 20_000])
def test_negative_binomial_is_its_formula(x):
    log_mu, raw = (a.ravel().astype(np.float32) for a in np.meshgrid(np.linspace(-6, 9, 7), np.linspace(-6, 4, 7)))
    p = at(NegativeBinomial(dispersion_floor=2e-3), np.stack([log_mu, raw], axis=1), (1,))
    mu, alpha = np.exp(log_mu.astype(np.float64)), np.logaddexp(raw.astype(np.float64), 0) + 2e-3
    expected = scipy.stats.nbinom.logpmf(x, 1 / alpha, 1 / (1 + mu * alpha))
    np.testing.assert_allclose(p.log_prob(np.full((49, 1), x)), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(p.mean()[:, 0], mu, rtol=1e-5)
    np.testing.assert_allclose(p.variance()[:, 0], mu + alpha * mu**2, rtol=1e-4)


def test_the_dispersion_never_falls_below_its_floor():
    p = at(NegativeBinomial(dispersion_floor=0.1), np.array([[1.0, -1e4]]), (1,))
    np.testing.assert_allclose(p.variance(), np.e + 0.1 * np.e**2, rtol=1e-5)


def test_the_log_mean_grows_without_a_bend_in_its_slope():
    raw = tf.constant([-1e4, 0.0, 9.999, 10.0, 10.001, 11.0, 1e4])
    with tf.GradientTape() as tape:
        tape.watch(raw)
        mean = tf.exp(log_mean(raw))
    slope = tape.gradient(mean, raw).numpy()
    bend = np.exp(10.0)
    np.testing.assert_allclose(mean, [0, 1, np.exp(9.999), bend, 1.001 * bend, 2 * bend, 9_991 * bend], rtol=1e-5)
    np.testing.assert_allclose(slope, [0, 1, np.exp(9.999), bend, bend, bend, bend], rtol=1e-4)
