"""Densities: the formulas of Gaussians and of the continuous Bernoulli."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf
import tf_keras

from tests.likelihoods.cases import ITEM, LIKELIHOODS, SIZE, at, each, parameters, values
from tfvae import config
from tfvae.errors import InputError
from tfvae.likelihoods import ContinuousBernoulli, Gaussian, GaussianIdentity, GaussianShared
from tfvae.regularizers import plain
from tfvae.support import REAL, UNIT


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


DISCRETE = (
    "autoregressive",
    "bernoulli",
    "discretized",
    "codes",
    "ordered",
    "poisson",
    "negative_binomial",
    "multinomial",
)


@each(*DISCRETE)
def test_a_density_integrates_to_one_and_to_its_mean(likelihood):
    params = parameters(likelihood, 6, (1,))
    low, high = (0.0, 1.0) if likelihood.tag == "continuous_bernoulli" else (-25.0, 25.0)
    x = np.linspace(low, high, 20_001)
    density = np.exp(at(likelihood, np.tile(params, (len(x), 1)), (1,)).log_prob(np.repeat(x, 6)[:, None]))
    density = density.reshape(len(x), 6).astype(np.float64)
    np.testing.assert_allclose(scipy.integrate.simpson(density, x=x, axis=0), 1, rtol=1e-4)
    mean = scipy.integrate.simpson(x[:, None] * density, x=x, axis=0)
    np.testing.assert_allclose(at(likelihood, params, (1,)).mean()[:, 0], mean, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("x", [0.0, 0.3, 1.0])
def test_continuous_bernoulli_near_zero_and_far(x):
    logits = np.concatenate([np.geomspace(1e-6, 1e4, 200), -np.geomspace(1e-6, 1e4, 200)]).astype(np.float32)
    wide = logits.astype(np.float64)
    # log p = log(l / (exp(l) - 1)) + l x, symmetric in (l, x) -> (-l, 1 - x): no overflow for l < 0
    distance = np.where(wide < 0, np.float32(x), 1 - np.float32(x).astype(np.float64))
    expected = np.log(abs(wide)) - np.log(-np.expm1(-abs(wide))) - abs(wide) * distance
    p = at(ContinuousBernoulli(), logits[:, None], (1,))
    np.testing.assert_allclose(p.log_prob(np.full((400, 1), x)), expected, rtol=1e-5, atol=1e-5)
    mean = np.where(wide > 0, 1.0, 0.0) + np.sign(wide) / np.expm1(abs(wide).clip(max=700)) - 1 / wide
    near = abs(wide) < 1e-3  # where the formula loses its digits: 1/2 + l/12
    np.testing.assert_allclose(p.mean()[:, 0], np.where(near, 0.5 + wide / 12, mean), atol=1e-6)


@pytest.mark.parametrize("domain", ["unit", "real"])
def test_gaussian_identity_is_half_the_squared_error_and_a_constant(domain):
    component = GaussianIdentity(domain=domain)
    loc, x = parameters(component), values(component)
    error = np.sum((x - loc.reshape(x.shape)) ** 2, axis=(1, 2, 3))
    expected = error / 2 + SIZE / 2 * math.log(2 * math.pi)
    np.testing.assert_allclose(-at(component, loc).log_prob(x), expected, rtol=1e-5)


@pytest.mark.parametrize("mean", ["linear", "sigmoid"])
def test_gaussian_is_the_density_of_means_then_raw_scales(mean):
    component = Gaussian(mean=mean, scale_floor=0.05)
    params, x = parameters(component), values(component)
    loc, raw = params[:, :SIZE].reshape(x.shape), params[:, SIZE:].reshape(x.shape)
    loc, scale = (sigmoid(loc) if mean == "sigmoid" else loc), np.logaddexp(raw, 0) + 0.05
    p = at(component, params)
    expected = scipy.stats.norm.logpdf(x, loc, scale).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(p.log_prob(x), expected, rtol=1e-4)
    np.testing.assert_allclose(p.mean(), loc, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(p.stddev(), scale, rtol=1e-5)


@pytest.mark.parametrize("name", ["linear", "sigmoid", "real"])
def test_the_scale_never_falls_below_its_floor(name):
    component = Gaussian(mean=LIKELIHOODS[name].mean, domain=LIKELIHOODS[name].domain, scale_floor=0.02)
    np.testing.assert_allclose(at(component, np.full((1, 2 * SIZE), -1e4)).stddev(), 0.02, rtol=1e-6)


def test_a_sigmoid_keeps_means_inside_and_a_line_does_not():
    params = np.concatenate([np.full((1, SIZE), 3.0), np.zeros((1, SIZE))], axis=1)
    assert np.all(at(Gaussian(mean="sigmoid"), params).mean() < 1)
    np.testing.assert_allclose(at(Gaussian(), params).mean(), 3.0)


@pytest.mark.parametrize("kind", [Gaussian, GaussianShared, GaussianIdentity])
def test_the_domain_says_what_x_is(kind):
    assert (kind().scale, kind().support(ITEM)) == ("unit", UNIT)
    assert (kind(domain="real").scale, kind(domain="real").support(ITEM)) == ("none", REAL)


@pytest.mark.parametrize("kind", [Gaussian, GaussianShared])
def test_real_numbers_have_no_sigmoid(kind):
    with pytest.raises(InputError, match=r"^model\.likelihood\.mean: received 'sigmoid', expected 'linear' for domain"):
        config.validate(kind(domain="real", mean="sigmoid"), "model.likelihood.")


# One variance for all dimensions ----------------------------------------------------------


def decoder_of(component):
    """A decoder z `[rows, 2]` -> p(x|z) of x `[rows, 3]`."""
    z = tf_keras.Input([2])
    return tf_keras.Model(z, component.layer((3,))(tf_keras.layers.Dense(3)(z)))


def test_the_shared_scale_is_a_variable_of_the_decoder(tmp_path):
    tf_keras.utils.set_random_seed(0)
    decoder, z, x = decoder_of(GaussianShared(initial_scale=0.5)), np.ones((4, 2), np.float32), np.ones((4, 3))
    assert [v.name for v in decoder.trainable_variables][2:] == ["raw_scale:0"]
    raw_scale = decoder.trainable_variables[2]
    np.testing.assert_allclose(plain(decoder(z)).stddev(), 0.5, rtol=1e-6)

    path = tf.train.Checkpoint(model=decoder).write(str(tmp_path / "checkpoint"))
    raw_scale.assign(1.25)
    expected = scipy.stats.norm.logpdf(x, plain(decoder(z)).mean(), np.logaddexp(1.25, 0) + 1e-3).sum(axis=1)
    np.testing.assert_allclose(plain(decoder(z)).log_prob(x), expected, rtol=1e-5)

    module = tf.Module()
    module.decoder = decoder
    module.log_prob = tf.function(
        lambda z: plain(decoder(z)).log_prob(x), input_signature=[tf.TensorSpec([4, 2])], autograph=False
    )
    tf.saved_model.save(module, str(tmp_path / "saved"))
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(saved.log_prob(z), expected, rtol=1e-5)

    tf.train.Checkpoint(model=decoder).read(path).assert_consumed()
    np.testing.assert_allclose(plain(decoder(z)).stddev(), 0.5, rtol=1e-6)


def test_the_best_shared_variance_is_the_mean_squared_error():
    decoder = decoder_of(GaussianShared(scale_floor=0.01))
    rng = np.random.default_rng(0)
    z, x = rng.normal(size=(50, 2)).astype(np.float32), rng.random((50, 3)).astype(np.float32)
    error = np.mean((x - plain(decoder(z)).mean()) ** 2)
    raw_scale = decoder.trainable_variables[2]
    raw_scale.assign(np.log(np.expm1(np.sqrt(error) - 0.01)))
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(plain(decoder(z)).log_prob(x))
    np.testing.assert_allclose(tape.gradient(loss, raw_scale), 0, atol=1e-5)


def test_the_shared_scale_never_falls_below_its_floor():
    layer = GaussianShared(scale_floor=0.02).layer((3,))
    layer.raw_scale.assign(-1e4)
    np.testing.assert_allclose(plain(layer(tf.zeros([1, 3]))).stddev(), 0.02, rtol=1e-6)
