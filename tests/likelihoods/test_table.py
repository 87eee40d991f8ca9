"""Tables: every column as its own likelihood has it."""

import dataclasses

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tests.likelihoods.cases import LIKELIHOODS, at, parameters, values
from tfvae import config
from tfvae.errors import InputError
from tfvae.kinds import Likelihood
from tfvae.likelihoods import (
    Bernoulli,
    Categorical,
    Gaussian,
    NegativeBinomial,
    Poisson,
    Table,
    named_parameters,
)
from tfvae.regularizers import plain

COLUMNS = ("poisson", "gaussian", "categorical:4", "bernoulli", "gaussian", "negative_binomial", "categorical:3")
TABLE, ITEM = Table(columns=COLUMNS), (7,)
# The kinds in the order of their first columns, each with its columns, and where its parameters begin.
GROUPS = {
    "poisson": (Poisson(), [0], 0), "gaussian": (Gaussian(domain="real"), [1, 4], 1),
    "categorical_4": (Categorical(num_categories=4), [2], 5), "bernoulli": (Bernoulli(), [3], 9),
    "negative_binomial": (NegativeBinomial(), [5], 10), "categorical_3": (Categorical(num_categories=3), [6], 12),
}  # fmt: skip
SIZE = 15


def parts(params):
    """Each kind, its columns and its distribution."""
    for name, (component, places, start) in GROUPS.items():
        own = params[:, start : start + component.params_per_dim * len(places)]
        yield name, places, at(component, own, (len(places),))


def test_a_table_is_the_sum_of_its_columns():
    assert TABLE.params_shape(ITEM) == (SIZE,) and TABLE.params_per_dim == 1
    params, x = parameters(TABLE, 5, ITEM), values(TABLE, 5, ITEM)
    p = at(TABLE, params, ITEM)
    assert p.batch_shape == [5] and p.event_shape == [7] and p.dtype == tf.float32
    expected = sum(own.log_prob(x[:, places]) for _, places, own in parts(params))
    np.testing.assert_allclose(p.log_prob(x), expected, rtol=1e-5)
    for _, places, own in parts(params):
        np.testing.assert_array_equal(p.mean().numpy()[:, places], own.mean())


def test_a_table_is_its_formula():
    params, x = parameters(TABLE, 5, ITEM), values(TABLE, 5, ITEM)
    expected = scipy.stats.poisson.logpmf(x[:, 0], np.exp(params[:, 0]))
    scale = np.logaddexp(params[:, 3:5], 0) + 1e-3
    expected += scipy.stats.norm.logpdf(x[:, [1, 4]], params[:, 1:3], scale).sum(axis=1)
    expected += np.where(x[:, 3] == 1, -np.logaddexp(0, -params[:, 9]), -np.logaddexp(0, params[:, 9]))
    alpha = np.logaddexp(params[:, 11], 0) + 1e-3
    expected += scipy.stats.nbinom.logpmf(x[:, 5], 1 / alpha, 1 / (1 + np.exp(params[:, 10]) * alpha))
    for column, start, end in ((2, 5, 9), (6, 12, 15)):
        codes = x[:, column].astype(int)
        expected += scipy.special.log_softmax(params[:, start:end], axis=1)[range(5), codes]
    np.testing.assert_allclose(at(TABLE, params, ITEM).log_prob(x), expected, rtol=1e-4)


def test_several_draws_of_z():
    params, x = parameters(TABLE, 6, ITEM), values(TABLE, 2, ITEM)
    p = at(TABLE, params, ITEM)
    folded = tfp.distributions.BatchReshape(p, [3, 2])
    np.testing.assert_allclose(
        np.ravel(folded.log_prob(np.tile(x, (3, 1, 1)))), p.log_prob(np.tile(x, (3, 1))), rtol=1e-5
    )
    np.testing.assert_array_equal(np.reshape(folded.mean(), (6, 7)), p.mean())


def test_eager_is_graph_is_xla():
    params, x, layer = tf.constant(parameters(TABLE, 5, ITEM)), values(TABLE, 5, ITEM), TABLE.layer(ITEM)

    def run(params):
        p = plain(layer(params))
        return p.log_prob(x), p.mean()

    for jit_compile in (False, True):
        for got, expected in zip(tf.function(run, jit_compile=jit_compile)(params), run(params), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_finite_at_extreme_outputs():
    params = np.random.default_rng(0).choice([-1e4, 1e4], size=(50, SIZE))
    params, x = tf.constant(params, tf.float32), values(TABLE, 50, ITEM)
    with tf.GradientTape() as tape:
        tape.watch(params)
        log_prob = at(TABLE, params, ITEM).log_prob(x)
    assert np.isfinite(log_prob).all() and np.isfinite(tape.gradient(log_prob, params)).all()


def test_samples_lie_in_the_support_and_have_the_mean():
    p = at(TABLE, parameters(TABLE, 1, ITEM), ITEM)
    draws = p.sample(4_000, seed=(1, 2)).numpy()[:, 0]
    assert draws.shape == (4_000, 7) and TABLE.support(ITEM).contains(draws).all()
    ordered = [0, 1, 3, 4, 5]
    error = abs(draws.mean(0) - p.mean()[0].numpy())[ordered]
    np.testing.assert_array_less(error, 5 * draws.std(0)[ordered] / np.sqrt(4_000))


def test_named_parameters_are_those_of_each_kind():
    params = parameters(TABLE, 5, ITEM)
    found = named_parameters(at(TABLE, params, ITEM))
    expected = {f"{name}_{key}": v for name, _, own in parts(params) for key, v in named_parameters(own).items()}
    assert found.keys() == expected.keys() and "gaussian_loc" in found and "categorical_4_logits" in found
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name])
        assert value.shape[0] == 5 and value.dtype == tf.float32


def test_output_bias_gives_the_means_back():
    mean = np.array([3.0, -2.0, 1.0, 0.25, 55.0, 7.0, 2.0], np.float32)
    bias = TABLE.output_bias(mean)
    assert bias.shape == (SIZE,)
    ordered = [0, 1, 3, 4, 5]
    np.testing.assert_allclose(at(TABLE, bias[None], ITEM).mean()[0].numpy()[ordered], mean[ordered], rtol=1e-5)


def test_features_are_those_of_each_kind():
    x = values(TABLE, 5, ITEM)
    found = TABLE.features(ITEM)(x).numpy()
    one_hot = {size: x[:, [place]] == np.arange(size) for size, place in ((4, 2), (3, 6))}
    expected = [np.log1p(x[:, :1]), x[:, [1, 4]], one_hot[4], x[:, [3]], np.log1p(x[:, [5]]), one_hot[3]]
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), rtol=1e-6)


# What a table refuses ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "bad", "says"),
    [
        (0, -1, "received -1 for a poisson likelihood, expected whole numbers of at least 0"),
        (1, np.nan, "received nan for a gaussian likelihood, expected finite numbers"),
        (2, 4, "received 4 for a categorical:4 likelihood, expected whole numbers from 0 to 3"),
        (3, 0.5, "received 0.5 for a bernoulli likelihood, expected 0 or 1"),
        (5, 1.5, "received 1.5 for a negative_binomial likelihood, expected whole numbers of at least 0"),
    ],
)
def test_a_column_refuses_what_its_kind_does(column, bad, says):
    x = values(TABLE, 5, ITEM)
    TABLE.check(x)
    assert TABLE.support(ITEM).contains(x).all()
    x[3, column] = bad
    assert np.argwhere(~TABLE.support(ITEM).contains(x)).tolist() == [[3, column]]
    with pytest.raises(InputError) as error:
        TABLE.check(x, field="data.source")
    hint = "name the kind of each column in model.likelihood.columns"
    assert str(error.value) == f"data.source, column {column}: {says}: {hint}"


@pytest.mark.parametrize("item_shape", [(6,), (7, 1), ()])
def test_as_many_columns_as_the_data_has(item_shape):
    says = (
        "model.likelihood.columns: received 7 columns, expected as many as the data has: "
        f"its items are {list(item_shape)}"
    )
    calls = [
        lambda: TABLE.layer(item_shape),
        lambda: TABLE.params_shape(item_shape),
        lambda: TABLE.support(item_shape),
        lambda: TABLE.check(np.zeros((2, *item_shape))),
    ]
    for call in calls:
        with pytest.raises(InputError) as error:
            call()
        assert str(error.value) == says


@pytest.mark.parametrize(
    "column", ["gauss", "categorical", "categorical:1", "categorical:x", "poisson:3", "multinomial"]
)
def test_an_unknown_kind_of_column_is_refused(column):
    says = rf"^model\.likelihood\.columns: received '{column}', expected one of: bernoulli, .*, or categorical:<number"
    with pytest.raises(InputError, match=says):
        config.validate(Table(columns=("poisson", column)), "model.likelihood.")


def test_a_table_has_columns():
    with pytest.raises(InputError, match=r"^model\.likelihood\.columns: received \(\), expected for each column"):
        config.validate(Table(), "model.likelihood.")


def test_config_and_json():
    config.validate(TABLE, "model.likelihood.")
    assert config.from_dict(config.to_dict(TABLE), Likelihood, "model.likelihood") == TABLE
    assert TABLE.scale == "none" and dataclasses.asdict(TABLE) == {"columns": COLUMNS}
    assert set(GROUPS) <= {*LIKELIHOODS, "gaussian", "categorical_4", "categorical_3"}
