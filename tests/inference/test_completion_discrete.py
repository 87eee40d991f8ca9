"""Completions of bags of words and of codes; of what is no number; and Metropolis against a grid."""

import dataclasses

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tests.helpers import binary_data, small_vae
from tfvae import likelihoods
from tfvae.errors import InputError
from tfvae.inference.completion import (
    HMC,
    GaussianNoise,
    Importance,
    Masked,
    Metropolis,
    Optimise,
    Problem,
    PseudoGibbs,
    complete,
)  # fmt: skip
from tfvae.inference.completion.hmc import finite_starts
from tfvae.inference.completion.importance import weights
from tfvae.inference.completion.numbers import Binary, Normal, numbers
from tfvae.inference.model import Model
from tfvae.likelihoods.base import raw_scale
from tfvae.networks import MLP

SIZE = 4
NAN = np.nan


def steep(likelihood, shape=(SIZE,)):
    """A small VAE whose p(x|z) hangs on z more than a new one's does."""
    vae = small_vae(shape, likelihood=likelihood)
    vae.decoder.set_weights([4 * value for value in vae.decoder.get_weights()])
    return vae


def softmaxes(model, z, name="logits"):
    """p(code|z) of draws `[num_samples, n, latent_size]`, averaged: `[n, ..., C]`."""
    logits = model.rows("decode", z=z.reshape(-1, z.shape[-1]))[name]
    return scipy.special.softmax(logits.astype(np.float64), axis=-1).reshape(*z.shape[:2], *logits.shape[1:]).mean(0)


# Bags of words ----------------------------------------------------------------------------


def test_the_missing_words_of_a_bag_are_negative_multinomial():
    model = Model.of(steep(likelihoods.Multinomial()))
    z = np.random.default_rng(0).normal(size=(1, 3)).astype(np.float32)
    top, y = 60, np.array([[3, 2, NAN, NAN]], np.float32)
    counts = np.stack(np.meshgrid(*[np.arange(top)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    x = np.concatenate([np.tile(y[:, :2], (len(counts), 1)), counts], axis=1).astype(np.float32)
    given = [tf.constant(np.repeat(each, len(x), axis=0)) for each in (y, z)]
    mass = np.exp(Masked().log_likelihood_of(model, tf.constant(x), *given, None).numpy().astype(np.float64))
    pi = model.decode(z)[0].astype(np.float64)
    assert pi[2:].sum() < 0.75, "else the counts are cut off"
    assert mass.sum() == pytest.approx(1.0, abs=1e-3)
    mean, variance = Masked().moments(model, tf.constant(y), tf.constant(z), None)
    np.testing.assert_allclose(mean[0], [3, 2, *(mass @ counts)], rtol=5e-3)
    np.testing.assert_allclose(variance[0], [0, 0, *(mass @ counts**2 - (mass @ counts) ** 2)], rtol=2e-2)
    guess = Masked().guess(model, y, None)
    assert (guess[0, :2] == [3, 2]).all() and guess[0, 2:].sum() > 0.01


# Codes ------------------------------------------------------------------------------------


def test_codes_without_an_order_are_the_most_probable_ones():
    model = Model.of(steep(likelihoods.Categorical(num_categories=5)))
    y = np.array([[4, 3, NAN, NAN], [0, NAN, NAN, 1]], np.float32)
    found = complete(Problem(model, Masked(), y), Importance(num_samples=100, num_proposals=200))
    share, missing = softmaxes(model, found.z), np.isnan(y)
    np.testing.assert_array_equal(found.mean[missing], share.argmax(axis=-1)[missing])
    np.testing.assert_allclose(found.stddev[missing] ** 2, 1 - share.max(axis=-1)[missing], rtol=1e-4)
    np.testing.assert_array_equal(found.mean[~missing], y[~missing])


def test_codes_with_an_order_are_numbers():
    model = Model.of(steep(likelihoods.Categorical(num_categories=5, ordered=True)))
    y = np.array([[4, 3, NAN, NAN]], np.float32)
    found = complete(Problem(model, Masked(), y), Importance(num_samples=100, num_proposals=200))
    share, codes = softmaxes(model, found.z)[0, 2:], np.arange(5)
    np.testing.assert_allclose(found.mean[0, 2:], share @ codes, rtol=1e-4)
    np.testing.assert_allclose(found.stddev[0, 2:] ** 2, share @ codes**2 - (share @ codes) ** 2, rtol=1e-3)


def test_columns_of_a_table():
    columns = ("categorical:3", "gaussian", "categorical:3", "poisson")
    model = Model.of(
        steep(likelihoods.Table(columns=columns)), config={"model": {"likelihood": {"columns": list(columns)}}}
    )
    y = np.array([[2, NAN, NAN, 1], [NAN, 0.5, 1, NAN]], np.float32)
    found = complete(Problem(model, Masked(), y), Importance(num_samples=100, num_proposals=200))
    share = softmaxes(model, found.z, "categorical_3_logits")
    assert found.mean[0, 2] == share[0, 1].argmax() and found.mean[1, 0] == share[1, 0].argmax()
    np.testing.assert_allclose(found.stddev[[0, 1], [2, 0]] ** 2, 1 - share[[0, 1], [1, 0]].max(axis=-1), rtol=1e-4)
    decoded = model.rows("decode", z=found.z[:, 0])
    variance = np.mean(decoded["gaussian_scale"] ** 2) + np.var(decoded["gaussian_loc"])
    assert found.stddev[0, 1] ** 2 == pytest.approx(variance, rel=1e-3)
    assert found.mean[0, 1] == pytest.approx(decoded["mean"][:, 1].mean(), rel=1e-4)


def test_two_levels_with_several_logits_are_no_bernoulli():
    z = tf.zeros([2, 3])
    assert isinstance(numbers(Model.of(small_vae((SIZE,))), z, None), Binary)
    mixture = Model.of(small_vae((SIZE,), likelihood=likelihoods.DiscretizedLogistic(num_levels=2)))
    codes = Model.of(small_vae((SIZE,), likelihood=likelihoods.Categorical(num_categories=2)))
    assert mixture.binary and codes.binary
    assert isinstance(numbers(mixture, z, None), Normal)
    y = GaussianNoise().observe(binary_data(2, (SIZE,)))
    found = complete(Problem(mixture, GaussianNoise(), y), Importance(num_samples=8, num_proposals=8))
    assert np.isfinite(found.mean).all() and found.mean.shape == (2, SIZE)
    assert isinstance(numbers(codes, z, None), Normal)
    with pytest.raises(InputError, match="--task: received noise or a downsampling, expected inpaint"):
        numbers(Model.of(small_vae((SIZE,), likelihood=likelihoods.Multinomial())), z, None)


# What is no number ------------------------------------------------------------------------


def test_weights_of_what_is_no_number():
    log_weight = np.array([[0.0, NAN, np.log(3.0), -np.inf], [NAN, -np.inf, np.inf, NAN], [1e4, 1e4, 0, 0]])
    finite = np.ones((3, 4), bool)
    finite[1, 0] = finite[2, 1] = False
    weight, log_sum = weights(log_weight, finite)
    np.testing.assert_allclose(weight, [[1 / 3, 0, 1, 0], [0, 1, 1, 1], [1, 0, 0, 0]])
    np.testing.assert_allclose(log_sum, [np.log(4.0), -np.inf, 1e4])


def test_starts_that_are_not_finite_are_those_of_another_chain():
    starts = np.array([[[NAN, 1], [2, 3]], [[np.inf, 0], [0, NAN]], [[4, 5], [6, 7]]])
    np.testing.assert_array_equal(finite_starts(starts), [[[2, 3], [2, 3]], [[0, 0], [0, 0]], [[4, 5], [6, 7]]])


def spoiled(vae):
    """A model that draws no number for a third of its codes, and knows no density where the first latent is high."""
    model = Model.of(vae)

    def run(name, given):
        found = dict(model.run(name, given))
        if name == "encode_sample":
            found["z"] = tf.where((given["seed"] % 3 == 0)[:, None], NAN, found["z"])
        if name == "log_joint":
            found["log_likelihood"] = tf.where(given["z"][:, 0] > 0.5, NAN, found["log_likelihood"])
        return found

    return dataclasses.replace(model, run=run)


@pytest.mark.parametrize(
    "method",
    [
        PseudoGibbs(num_samples=40, num_burnin_steps=20), Metropolis(num_samples=40, num_burnin_steps=40),
        HMC(num_samples=40, num_burnin_steps=10, num_proposals=40), Importance(num_samples=40, num_proposals=60),
        Optimise(num_steps=20, num_proposals=40),
    ],
)  # fmt: skip
def test_what_is_no_number_spoils_no_example(method):
    observation, x = Masked(np.arange(30).reshape(6, 5, 1) < 15), binary_data(6)
    found = complete(Problem(spoiled(small_vae()), observation, observation.observe(x)), method, truth=x)
    assert np.isfinite(found.z).all() and np.isfinite(found.mean).all() and np.isfinite(found.log_likelihood).all()
    if method.name != "pseudo_gibbs":  # which knows no density
        assert (found.z[..., 0] <= 0.5).all()


# Metropolis -------------------------------------------------------------------------------


def test_metropolis_of_normal_numbers_near_the_end_of_their_range():
    """Draws of what is missing lie below 0 as often as above, where a density that clips them is another one."""
    network = MLP(hidden=(8,), activation="linear")
    vae = small_vae((SIZE,), latent_size=1, likelihood=likelihoods.Gaussian(), network=network)
    first, zeros, kernel, _ = vae.decoder.get_weights()
    # The mean of each number grows by 0.2, one standard deviation, with z.
    column = 0.2 * kernel[:, :1] / (first @ kernel[:, :1])
    kernel = np.concatenate([np.tile(column, (1, SIZE)), np.zeros((len(kernel), SIZE))], axis=1)
    bias = np.concatenate([[0.5, 0.0, 0.0, 0.0], np.full(SIZE, raw_scale(0.2, 1e-3))])
    vae.decoder.set_weights([first, zeros, kernel, bias])
    model, y = Model.of(vae), np.array([[0.7, NAN, NAN, NAN], [0.4, NAN, NAN, NAN]], np.float32)
    grid = np.linspace(-6, 6, 1_001)
    decoded = model.rows("decode", z=grid[:, None])
    np.testing.assert_allclose(np.gradient(decoded["mean"][:, 1], grid), 0.2, rtol=1e-2)
    log_p = scipy.stats.norm.logpdf(y[:, :1], decoded["mean"][:, 0], decoded["stddev"][:, 0])
    p = scipy.special.softmax(log_p + scipy.stats.norm.logpdf(grid), axis=1)
    mean = p @ grid
    stddev = np.sqrt(p @ grid**2 - mean**2)
    z = Metropolis(num_samples=20_000, num_chains=400, num_burnin_steps=40).latents(Problem(model, Masked(), y)).z
    np.testing.assert_allclose(z.mean(axis=0)[:, 0], mean, atol=0.04)
    np.testing.assert_allclose(z.std(axis=0)[:, 0], stddev, atol=0.04)
