"""What every likelihood must do, whatever its formula."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.likelihoods.cases import ITEM, LIKELIHOODS, SIZE, at, each, num_params, parameters, values
from tfvae import config
from tfvae.kinds import Likelihood
from tfvae.likelihoods import named_parameters
from tfvae.regularizers import plain

tfd, tfpl = tfp.distributions, tfp.layers


@each()
def test_config_and_json(likelihood):
    config.validate(likelihood, "model.likelihood.")
    assert config.from_dict(config.to_dict(likelihood), Likelihood, "model.likelihood") == likelihood
    assert likelihood.scale == ("unit" if likelihood.support(ITEM).high == 1.0 else "none")


@each()
@pytest.mark.parametrize("item_shape", [(7,), (3, 4), (3, 4, 1), (2, 3, 3)])
def test_shapes(likelihood, item_shape):
    made = likelihood.layer(item_shape)
    assert isinstance(made, tfpl.DistributionLambda)
    value = made(tf.constant(parameters(likelihood, 5, item_shape)))
    p, x = plain(value), values(likelihood, 5, item_shape)
    assert p.event_shape == list(item_shape) and p.batch_shape == [5] and p.dtype == tf.float32
    assert p.mean().shape == x.shape and p.mean().dtype == tf.float32
    np.testing.assert_allclose(tf.convert_to_tensor(value), p.mean(), rtol=1e-6)  # as a tensor it is its mean
    log_prob = p.log_prob(x)
    assert log_prob.shape == [5] and log_prob.dtype == tf.float32
    # As `VAE.decode` gives it out for several draws of z.
    folded = tfd.BatchReshape(p, [1, 5])
    np.testing.assert_allclose(folded.log_prob(x[None])[0], log_prob, rtol=1e-6)
    np.testing.assert_array_equal(folded.mean()[0], p.mean())


@each("multinomial")
def test_a_row_is_the_sum_of_its_dimensions_in_order(likelihood):
    params, x = parameters(likelihood), values(likelihood)
    by_kind = params.reshape(4, likelihood.params_per_dim, SIZE)
    whole = at(likelihood, params)
    single = at(likelihood, by_kind.transpose(0, 2, 1).reshape(4 * SIZE, -1), (1,))
    parts = np.asarray(single.log_prob(x.reshape(-1, 1))).reshape(4, SIZE)
    np.testing.assert_allclose(whole.log_prob(x), parts.sum(axis=1), rtol=1e-4)
    np.testing.assert_allclose(np.reshape(whole.mean(), (-1, 1)), single.mean(), rtol=1e-5, atol=1e-6)


@each()
def test_eager_is_graph_is_xla(likelihood):
    params, x = tf.constant(parameters(likelihood)), tf.constant(values(likelihood))
    made = likelihood.layer(ITEM)

    def run(params, x):
        with tf.GradientTape() as tape:
            tape.watch(params)
            p = plain(made(params))
            log_prob = p.log_prob(x)
        return log_prob, tape.gradient(log_prob, params), p.mean()

    eager = run(params, x)
    for jit_compile in (False, True):
        for got, expected in zip(tf.function(run, jit_compile=jit_compile)(params, x), eager, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@each("multinomial")
def test_finite_at_extreme_outputs_for_all_of_the_support(likelihood):
    support = likelihood.support((1,))
    low, high = max(support.low, -1e4), min(support.high, 1e4)
    x = np.arange(low, high + support.step / 2, support.step) if support.step else np.linspace(low, high, 9)
    if support.high == np.inf:
        x = np.concatenate([x[:20], [100, 1e4, 1e6]])
    _finite(likelihood, x.astype(np.float32), [[number] for number in x])


def test_finite_at_extreme_outputs_for_a_bag_of_words():
    _finite(LIKELIHOODS["multinomial"], range(3), np.array([[0, 0, 0], [1, 0, 0], [0, 2, 1], [1e4, 0, 1]]))


def _finite(likelihood, words, items):
    item = (len(items[0]),)
    size = num_params(likelihood, item)
    rng = np.random.default_rng(0)
    corners = rng.choice([-1e4, 1e4], size=(20, size))
    mixed = rng.choice([-1e4, -100.0, -1e-3, 0.0, 30.0, 1e4], size=(20, size))
    params = np.concatenate([np.full((1, size), -1e4), np.full((1, size), 1e4), np.zeros((1, size)), corners, mixed])
    x = np.repeat(np.asarray(items, np.float32), len(params), axis=0)
    params = tf.constant(np.tile(params, (len(items), 1)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(params)
        p = at(likelihood, params, item)
        log_prob = p.log_prob(x)
    assert np.isfinite(log_prob).all() and np.isfinite(p.mean()).all()
    assert np.isfinite(tape.gradient(log_prob, params)).all()


@each()
def test_named_parameters(likelihood):
    found = named_parameters(at(likelihood, parameters(likelihood)))
    expected = {
        "poisson": {"log_rate"}, "negative_binomial": {"total_count", "logits"},
        "discretized_logistic": {"logits", "loc", "scale"}, "autoregressive_bernoulli": {"context"},
    }  # fmt: skip
    default = {"loc", "scale"} if "gaussian" in likelihood.tag else {"logits"}
    assert found.keys() == expected.get(likelihood.tag, default)
    more = {"categorical": [likelihood.params_per_dim], "discretized_logistic": [likelihood.params_per_dim // 3]}
    assert all(value.shape == [4, *ITEM, *more.get(likelihood.tag, [])] for value in found.values())
    assert all(value.dtype == tf.float32 for value in found.values())


def test_a_shared_parameter_is_named_for_each_dimension():
    p = tfd.Independent(tfd.Normal(tf.zeros([4, 3]), 0.5), reinterpreted_batch_ndims=1)
    assert named_parameters(p)["scale"].numpy().tolist() == [[0.5] * 3] * 4


@each("codes")
def test_samples_have_the_mean_and_lie_in_the_support(likelihood):
    p = at(likelihood, parameters(likelihood, 1, (3,)), (3,))
    draws = p.sample(4_000, seed=(1, 2))[:, 0].numpy()
    assert draws.shape == (4_000, 3)
    if "gaussian" not in likelihood.tag:  # in [0, 1] a Gaussian is a model of numbers that it does not keep there
        assert likelihood.support((3,)).contains(draws).all()
    np.testing.assert_array_less(abs(draws.mean(0) - p.mean()[0]), 5 * draws.std(0) / np.sqrt(4_000) + 1e-6)


def test_samples_of_codes_have_their_probabilities():
    params = parameters(LIKELIHOODS["codes"], 1, (1,))
    draws = at(LIKELIHOODS["codes"], params, (1,)).sample(4_000, seed=(1, 2)).numpy().ravel()
    expected = np.exp(params[0]) / np.exp(params[0]).sum()
    np.testing.assert_allclose(np.bincount(draws.astype(int), minlength=5) / 4_000, expected, atol=0.03)


# The initial output ----------------------------------------------------------------------


@each("codes", "multinomial")
def test_output_bias_gives_the_mean_back(likelihood):
    high = min(likelihood.support(ITEM).high, 40.0)
    mean = (high * np.linspace(0.015, 0.985, SIZE)).reshape(ITEM).astype(np.float32)
    bias = likelihood.output_bias(mean)
    assert bias.shape == (num_params(likelihood),)
    np.testing.assert_allclose(at(likelihood, bias[None]).mean()[0], mean, rtol=2e-5)


@each("codes", "multinomial")
def test_output_bias_of_means_at_the_ends_is_finite(likelihood):
    high = min(likelihood.support(ITEM).high, 1e6)
    mean = np.array([0.0, high] * 6, np.float32).reshape(ITEM)
    bias = likelihood.output_bias(mean)
    assert np.isfinite(bias).all()
    np.testing.assert_allclose(at(likelihood, bias[None]).mean()[0], mean, atol=0.0101, rtol=1e-4)


def test_output_bias_of_a_bag_of_words_gives_shares():
    bias = LIKELIHOODS["multinomial"].output_bias(np.array([3.0, 0.5, 1.5, 0.0]))
    np.testing.assert_allclose(
        at(LIKELIHOODS["multinomial"], bias[None], (4,)).mean()[0], [0.6, 0.1, 0.3, 0], atol=1e-6
    )
    assert np.isfinite(LIKELIHOODS["multinomial"].output_bias(np.zeros(4))).all()


def test_output_bias_of_codes_without_order_is_none():
    np.testing.assert_array_equal(LIKELIHOODS["codes"].output_bias(np.ones(ITEM)), np.zeros(5 * SIZE))


@pytest.mark.parametrize("name", ["linear", "sigmoid", "shared", "discretized"])
@pytest.mark.parametrize(("initial", "floor", "expected"), [(0.3, 1e-3, 0.3), (2.0, 0.5, 2.0), (0.1, 0.4, 0.4)])
def test_training_starts_from_the_initial_scale(name, initial, floor, expected):
    component = type(LIKELIHOODS[name])(scale_floor=floor, initial_scale=initial)
    bias = component.output_bias(np.full(ITEM, 0.5, np.float32))
    np.testing.assert_allclose(named_parameters(at(component, bias[None]))["scale"], expected, rtol=1e-4)


# What the encoder is given ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("item_shape", "expected"), [((4,), (4, 5)), ((2, 3), (2, 3, 5)), ((2, 3, 1), (2, 3, 5)), ((2, 3, 2), (2, 3, 10))]
)
def test_features_of_codes_are_one_hot(item_shape, expected):
    x = values(LIKELIHOODS["codes"], 3, item_shape)
    found = LIKELIHOODS["codes"].features(item_shape)(x).numpy()
    assert found.shape == (3, *expected)
    np.testing.assert_array_equal(found.reshape(*x.shape, 5), x[..., None] == np.arange(5))


@pytest.mark.parametrize("name", ["poisson", "negative_binomial", "multinomial"])
def test_features_of_counts_are_logs(name):
    x = values(LIKELIHOODS[name])
    np.testing.assert_allclose(LIKELIHOODS[name].features(ITEM)(x), np.log1p(x), rtol=1e-6)


@each("codes", "ordered", "poisson", "negative_binomial", "multinomial")
def test_others_are_given_x_itself(likelihood):
    assert likelihood.features(ITEM) is None
