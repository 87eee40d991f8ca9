"""p(y|z), p(x|y, z) and draws of each observation of binary data, against sums over all x; and of normal numbers."""

import itertools

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tests.helpers import small_vae
from tfvae import likelihoods
from tfvae.inference.completion import (
    BernoulliNoise,
    Downsampled,
    GaussianNoise,
    Masked,
    SaltAndPepper,
    poisson_binomial,
)  # fmt: skip
from tfvae.inference.completion import noise as noise_lib
from tfvae.inference.completion.numbers import Binary, Normal
from tfvae.inference.model import Model

SHAPE = (2, 4, 1)
ALL = np.array(list(itertools.product([0, 1], repeat=8)), np.float32).reshape(-1, *SHAPE)
MASK = np.array([1, 1, 0, 1, 0, 0, 1, 0], bool).reshape(SHAPE)
RNG = np.random.default_rng(0)
Z = RNG.normal(size=(5, 3)).astype(np.float32) * 3
X = ALL[[3, 77, 150, 200, 255]]


def log_flips(x, y, share):
    return np.where(x == y, np.log1p(-share), np.log(share))


# Observation, and log p(y_d|x_d), or whether y is what x gives, written out.
OBSERVATIONS = {
    "masked": (Masked(MASK), None),
    "gaussian": (GaussianNoise(sigma=0.7), lambda x, y: scipy.stats.norm.logpdf(y, x, 0.7)),
    "bernoulli": (BernoulliNoise(share=0.2), lambda x, y: log_flips(x, y, 0.2)),
    "salt_and_pepper": (SaltAndPepper(share=0.3), lambda x, y: log_flips(x, y, 0.15)),
    "downsampled": (Downsampled(2), None),
}


@pytest.fixture(scope="module")
def model():
    return Model.of(small_vae(SHAPE))


def by_sum(model, name, y):
    """log p(y|z), and log p(x|y, z) of all x, `[rows, 256]`, by sums over all x."""
    channel = OBSERVATIONS[name][1]
    p = model.decode(Z).astype(np.float64)
    log_x = scipy.stats.bernoulli.logpmf(ALL[None], p[:, None]).sum(axis=(2, 3, 4))
    if channel is not None:
        log_y = channel(ALL[None], y[:, None].astype(np.float64)).sum(axis=(2, 3, 4))
    elif name == "masked":
        log_y = np.where((ALL[None] == y[:, None])[:, :, MASK].all(axis=-1), 0.0, -np.inf)
    else:
        means = ALL.reshape(-1, 1, 2, 2, 2).mean(axis=(2, 4))
        log_y = np.where(np.abs(means[None, ..., None] - y[:, None]).max(axis=(2, 3, 4)) < 1e-3, 0.0, -np.inf)
    log_y_given_z = scipy.special.logsumexp(log_x + log_y, axis=1)
    return log_y_given_z, log_x + log_y - log_y_given_z[:, None]


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_what_is_observed_of_binary_data(model, name):
    observation = OBSERVATIONS[name][0]
    y = observation.observe(X, seed=1)
    log_y, log_x = by_sum(model, name, y)
    tensors = tf.constant(y), tf.constant(Z), None
    np.testing.assert_allclose(observation.log_likelihood(model, *tensors), log_y, rtol=1e-4, atol=1e-4)
    own = log_x[np.arange(5), [3, 77, 150, 200, 255]]
    found = observation.log_likelihood_of(model, tf.constant(X), *tensors)
    np.testing.assert_allclose(found, own, rtol=1e-4, atol=1e-4)
    mean = np.einsum("na,ahwc->nhwc", np.exp(log_x), ALL)
    got, variance = observation.moments(model, *tensors)
    np.testing.assert_allclose(got, mean, atol=1e-4)
    np.testing.assert_allclose(variance, mean * (1 - mean), atol=1e-4)


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_draws_given_what_is_observed(model, name):
    observation = OBSERVATIONS[name][0]
    y, count = observation.observe(X, seed=1)[1:2], 4_000
    log_x = by_sum(model, name, np.repeat(y, 5, axis=0))[1][0]
    many = [tf.constant(np.repeat(each, count, axis=0)) for each in (y, Z[:1])]
    drawn = observation.draw(model, *many, None, tf.range(count, dtype=tf.int64)).numpy()
    which = drawn.reshape(count, 8) @ 2 ** np.arange(7, -1, -1)
    shares = np.bincount(which.astype(int), minlength=256) / count
    assert 0.5 * np.abs(shares - np.exp(log_x)).sum() < 0.12  # in total variation
    np.testing.assert_allclose(drawn.mean(axis=0).ravel(), np.exp(log_x) @ ALL.reshape(256, 8), atol=0.035)


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_gradients_in_z(model, name):
    observation, z = OBSERVATIONS[name][0], tf.constant(Z[:2])
    y = tf.constant(observation.observe(X, seed=1)[:2])
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = observation.log_likelihood(model, y, z, None)
    gradient = tape.gradient(value, z).numpy()
    step = np.float32(1e-2) * np.eye(3, dtype=np.float32)
    ends = [[observation.log_likelihood(model, y, z + sign * s, None).numpy() for s in step] for sign in (1, -1)]
    np.testing.assert_allclose(gradient, ((np.array(ends[0]) - ends[1]) / 2e-2).T, rtol=0.02, atol=0.02)


def test_what_noise_leaves_follows_its_share(model):
    x = np.repeat(X, 400, axis=0)
    assert abs((BernoulliNoise(share=0.2).observe(x) != x).mean() - 0.2) < 0.015
    assert abs((SaltAndPepper(share=0.3).observe(x) != x).mean() - 0.15) < 0.015
    noise = GaussianNoise(sigma=0.7).observe(x) - x
    assert abs(noise.std() - 0.7) < 0.02 and abs(noise.mean()) < 0.02


# Normal numbers --------------------------------------------------------------------


def test_a_normal_number_under_each_noise():
    normal = Normal(tf.constant([[0.4]]), tf.constant([[0.04]]))
    levels = tf.constant(np.arange(256)[:, None] / 255, tf.float32)
    salt = SaltAndPepper(share=0.3, resolution=1 / 255)
    assert abs(np.exp(salt.log_prob(normal, levels)).sum() - 1) < 0.03, "all that can be seen has the mass 1"
    y, step = np.linspace(-3, 4, 4_001)[:, None].astype(np.float32), 7 / 4_000
    assert abs(np.exp(GaussianNoise(sigma=0.3).log_prob(normal, tf.constant(y))).sum() * step - 1) < 1e-3
    assert abs(np.exp(BernoulliNoise(share=0.3).log_prob(normal, tf.constant(y))).sum() * step - 1) < 1e-3
    given = normal.observed(tf.constant([[1.0]]), 0.1)
    np.testing.assert_allclose(given.variance, 1 / (1 / 0.04 + 1 / 0.01), rtol=1e-5)
    np.testing.assert_allclose(given.mean, given.variance * (0.4 / 0.04 + 1.0 / 0.01), rtol=1e-5)


def test_salt_and_pepper_over_a_density_is_a_mass(monkeypatch):
    """A number that is no end was certainly not replaced; of an end the masses of all that it may have been are 1."""
    normal = Normal(tf.constant([[0.4]]), tf.constant([[0.04]]))
    monkeypatch.setattr(noise_lib, "numbers", lambda *_: normal)
    salt, levels = SaltAndPepper(share=0.3, resolution=1 / 255), np.arange(256)[:, None] / 255

    def masses(y):
        given = tf.constant(levels, tf.float32), tf.fill([256, 1], tf.constant(y, tf.float32))
        return np.exp(salt.log_likelihood_of(None, *given, None, None))

    np.testing.assert_allclose(masses(levels[100, 0]), np.arange(256) == 100, atol=1e-5)
    assert abs(masses(1.0).sum() - 1) < 0.03
    # 0.7 N(1; 0.4, 0.2^2) / 255 against 0.15
    kept = 0.7 * scipy.stats.norm.pdf(1.0, 0.4, 0.2) / 255
    replaced = scipy.stats.norm.pdf(1.0, 0.4, 0.2) / 255 * 0.15
    np.testing.assert_allclose(masses(1.0)[255], (kept + replaced) / (kept + 0.15), rtol=1e-4)


@pytest.mark.parametrize("noise", [SaltAndPepper(share=0.3, resolution=1 / 255), BernoulliNoise(share=0.3)])
def test_moments_under_noise_are_those_of_draws(noise):
    model = Model.of(small_vae(SHAPE, likelihood=likelihoods.Gaussian()))
    y = noise.observe(np.full((1, *SHAPE), 0.8, np.float32), seed=2)
    many = [tf.constant(np.repeat(each, 4_000, axis=0)) for each in (y, Z[:1])]
    drawn = noise.draw(model, *many, None, tf.range(4_000, dtype=tf.int64)).numpy()
    mean, variance = noise.moments(model, tf.constant(y), tf.constant(Z[:1]), None)
    np.testing.assert_allclose(drawn.mean(axis=0), mean[0], atol=0.03)
    np.testing.assert_allclose(drawn.std(axis=0), np.sqrt(variance[0]), atol=0.03)


def test_a_likelihood_of_counts_is_met_by_its_moments():
    model = Model.of(small_vae(SHAPE, likelihood=likelihoods.Poisson()))
    decoded = model.rows("decode", z=Z)
    y = RNG.normal(size=(5, *SHAPE)).astype(np.float32)
    expected = scipy.stats.norm.logpdf(y, decoded["mean"], np.sqrt(decoded["stddev"] ** 2 + 0.25)).sum(axis=(1, 2, 3))
    found = GaussianNoise(sigma=0.5).log_likelihood(model, tf.constant(y), tf.constant(Z), None)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


# Poisson-binomial --------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 8.0, 60.0])
@pytest.mark.parametrize("size", [1, 4, 7])
def test_the_poisson_binomial_mass_by_sums_over_all_bits(size, scale):
    logits = RNG.normal(size=(size, 3)) * scale
    bits = np.array(list(itertools.product([0, 1], repeat=size)), float)
    log_bits = bits @ logits - np.logaddexp(0, logits).sum(axis=0)
    for count in range(size + 1):
        these = bits.sum(axis=1) == count
        expected = scipy.special.logsumexp(log_bits[these], axis=0)
        given = tf.constant(logits, tf.float32), tf.fill([3], float(count))
        np.testing.assert_allclose(poisson_binomial.log_mass(*given), expected, rtol=1e-4, atol=1e-4)
        mean = bits[these].T @ np.exp(log_bits[these] - expected)
        np.testing.assert_allclose(poisson_binomial.mean_given_count(*given), mean, atol=1e-4)
        drawn = poisson_binomial.draw_given_count(*given, tf.constant(RNG.random((size, 3)), tf.float32))
        np.testing.assert_array_equal(tf.reduce_sum(drawn, axis=0), [count] * 3)


def test_masses_far_below_what_float32_holds():
    logits = tf.fill([16, 1], -20.0)
    np.testing.assert_allclose(poisson_binomial.log_mass(logits, tf.constant([16.0])), [-320.0], rtol=1e-5)
    mass = poisson_binomial.log_mass(tf.zeros([196, 1]), tf.constant([3.0]))
    np.testing.assert_allclose(mass, [scipy.stats.binom.logpmf(3, 196, 0.5)], rtol=1e-4)
    assert Binary(tf.constant([[300.0]])).log_prob(tf.constant([[0.0]])).numpy() == -300.0
