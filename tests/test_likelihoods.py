import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tfvae.errors import InputError
from tfvae.likelihoods import Bernoulli, Gaussian, GaussianIdentity, is_binary, named_parameters
from tfvae.regularizers import plain

tfd, tfpl = tfp.distributions, tfp.layers
ITEM = (2, 3, 2)
SIZE = 12
RNG = np.random.default_rng(2)
ALL = [Bernoulli(), Gaussian(), Gaussian(mean="sigmoid"), GaussianIdentity()]
IDS = ["bernoulli", "linear", "sigmoid", "identity"]
each = pytest.mark.parametrize("likelihood", ALL, ids=IDS)


def at(likelihood, params, item_shape=ITEM):
    """p(x|z) of decoder outputs `[rows, params_per_dim * size]`."""
    return plain(likelihood.layer(item_shape)(tf.convert_to_tensor(params, tf.float32)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def parameters(likelihood, rows=4):
    return RNG.normal(size=(rows, likelihood.params_per_dim * SIZE))


def data(rows=4, *, binary=False):
    x = RNG.random((rows, *ITEM))
    return (x < 0.4).astype(np.float32) if binary else x.astype(np.float32)


def test_bernoulli_is_the_cross_entropy():
    logits, x = parameters(Bernoulli()), data(binary=True)
    p = sigmoid(logits).reshape(4, *ITEM)
    expected = -np.sum(x * np.log(p) + (1 - x) * np.log(1 - p), axis=(1, 2, 3))
    likelihood = at(Bernoulli(), logits)
    np.testing.assert_allclose(-likelihood.log_prob(x), expected, rtol=1e-5)
    np.testing.assert_allclose(likelihood.mean(), p, rtol=1e-5)


def test_gaussian_identity_is_half_the_squared_error_and_a_constant():
    loc, x = parameters(GaussianIdentity()), data()
    error = np.sum((x - loc.reshape(x.shape)) ** 2, axis=(1, 2, 3))
    log_prob = at(GaussianIdentity(), loc).log_prob(x)
    np.testing.assert_allclose(-log_prob, error / 2 + SIZE / 2 * np.log(2 * np.pi), rtol=1e-5)


@pytest.mark.parametrize("mean", ["linear", "sigmoid"])
def test_gaussian_is_the_density_of_means_then_raw_scales(mean):
    component = Gaussian(mean=mean, scale_floor=0.05)
    params, x = parameters(component), data()
    loc, raw = params[:, :SIZE].reshape(x.shape), params[:, SIZE:].reshape(x.shape)
    loc, scale = (sigmoid(loc) if mean == "sigmoid" else loc), np.logaddexp(raw, 0) + 0.05
    likelihood = at(component, params)
    expected = scipy.stats.norm.logpdf(x, loc, scale).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(likelihood.log_prob(x), expected, rtol=1e-4)
    np.testing.assert_allclose(likelihood.mean(), loc, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(likelihood.stddev(), scale, rtol=1e-5)


@each
def test_numbers_fill_the_item_in_order(likelihood):
    params = np.concatenate([np.linspace(-2, 2, SIZE), np.zeros((likelihood.params_per_dim - 1) * SIZE)])[None]
    mean = at(likelihood, params).mean()[0].numpy()
    assert mean.shape == ITEM and np.all(np.diff(mean.ravel()) > 0)


@each
@pytest.mark.parametrize("item_shape", [(7,), (3, 4), (2, 3, 3)])
def test_shapes(likelihood, item_shape):
    size = likelihood.params_per_dim * int(np.prod(item_shape))
    made = likelihood.layer(item_shape)
    assert isinstance(made, tfpl.DistributionLambda)
    value = made(tf.zeros([5, size]))
    p = plain(value)
    assert p.event_shape == list(item_shape) and p.batch_shape == [5] and p.dtype == tf.float32
    np.testing.assert_array_equal(tf.convert_to_tensor(value), p.mean())  # as a tensor it is its mean


# Initial output ---------------------------------------------------------------


@each
def test_output_bias_gives_the_mean_back(likelihood):
    mean = np.linspace(0.01, 0.99, SIZE).reshape(ITEM).astype(np.float32)
    bias = likelihood.output_bias(mean)
    assert bias.shape == (likelihood.params_per_dim * SIZE,)
    np.testing.assert_allclose(at(likelihood, bias[None]).mean()[0], mean, rtol=1e-5)


@each
def test_output_bias_of_black_and_white_is_finite(likelihood):
    mean = np.array([0.0, 1.0] * 6, np.float32).reshape(ITEM)
    bias = likelihood.output_bias(mean)
    assert np.isfinite(bias).all()
    np.testing.assert_allclose(at(likelihood, bias[None]).mean()[0], mean, atol=1.01e-3)


@pytest.mark.parametrize("mean", ["linear", "sigmoid"])
@pytest.mark.parametrize(("initial", "floor", "expected"), [(0.3, 1e-3, 0.3), (2.0, 0.5, 2.0), (0.1, 0.4, 0.4)])
def test_output_bias_gives_the_initial_scale(mean, initial, floor, expected):
    component = Gaussian(mean=mean, scale_floor=floor, initial_scale=initial)
    bias = component.output_bias(np.full(ITEM, 0.5, np.float32))
    np.testing.assert_allclose(at(component, bias[None]).stddev(), expected, rtol=1e-4)


# Extremes ---------------------------------------------------------------------


@each
def test_densities_are_finite_at_extreme_outputs(likelihood):
    num_params = likelihood.params_per_dim * SIZE
    corners = RNG.choice([-1e4, 1e4], size=(30, num_params))
    ends = [np.full((1, num_params), -1e4), np.full((1, num_params), 1e4)]
    params = tf.Variable(np.concatenate([*ends, corners]), dtype=tf.float32)
    x = data(32, binary=likelihood.binary)
    with tf.GradientTape() as tape:
        log_prob = at(likelihood, params).log_prob(x)
    assert np.all(np.isfinite(log_prob))
    assert np.all(np.isfinite(tape.gradient(log_prob, params)))


@pytest.mark.parametrize("mean", ["linear", "sigmoid"])
def test_the_scale_never_falls_below_its_floor(mean):
    likelihood = at(Gaussian(mean=mean, scale_floor=0.02), np.full((1, 2 * SIZE), -1e4))
    np.testing.assert_allclose(likelihood.stddev(), 0.02, rtol=1e-6)


def test_a_sigmoid_keeps_means_inside_and_a_line_does_not():
    params = np.concatenate([np.full((1, SIZE), 3.0), np.zeros((1, SIZE))], axis=1)
    assert np.all(at(Gaussian(mean="sigmoid"), params).mean() < 1)
    np.testing.assert_allclose(at(Gaussian(), params).mean(), 3.0)


# The data's support, and what a likelihood tells of itself ----------------------


def test_grey_pixels_are_refused_by_a_bernoulli():
    x = data(binary=True)
    Bernoulli().check(x)
    x[2, 1, 0, 1] = 0.25
    says = r"^data\.source: received grey pixels \(such as 0\.25\) for a bernoulli likelihood, expected 0 or 1"
    with pytest.raises(InputError, match=says) as error:
        Bernoulli().check(x, field="data.source")
    for way in ("data.binarization", "'dynamic'", "'static'", "'threshold'"):
        assert way in str(error.value)
    with pytest.raises(InputError, match=r"^data: received grey pixels \(such as nan\)"):
        Bernoulli().check(np.where(x == 0.25, np.nan, x))


@pytest.mark.parametrize("likelihood", ALL[1:], ids=IDS[1:])
def test_densities_take_grey_pixels(likelihood):
    likelihood.check(data())


@each
def test_is_binary(likelihood):
    p = at(likelihood, parameters(likelihood))
    assert is_binary(p) is (likelihood.tag == "bernoulli") is likelihood.binary
    assert is_binary(tfd.Bernoulli(logits=0.0)) and not is_binary(tfd.Normal(0.0, 1.0))


@each
def test_named_parameters(likelihood):
    params = parameters(likelihood)
    found = named_parameters(at(likelihood, params))
    expected = {"bernoulli": {"logits"}}.get(likelihood.tag, {"loc", "scale"})
    assert found.keys() == expected
    first = found["logits" if likelihood.binary else "loc"].numpy()
    assert all(value.shape == [4, *ITEM] for value in found.values())
    raw = params[:, :SIZE].reshape(4, *ITEM)
    np.testing.assert_allclose(first, sigmoid(raw) if getattr(likelihood, "mean", "") == "sigmoid" else raw, rtol=1e-4)
