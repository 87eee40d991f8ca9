"""A posterior over weights: its moments, its divergence, its noise."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorflow_probability import distributions as tfd

from tfvae import random
from tfvae.networks import MLP, BayesianMLP, VariationalDense, weight_divergence
from tfvae.rows import Rows

layers = tf_keras.layers
UNITS, INPUTS = 3, 4


def drawing(num_rows, *, seed=0, places=None, draw_weights=True):
    """Rows of a step whose weights are drawn."""
    keys = random.row_keys(seed, random.TRAINING, rows=tf.range(num_rows) if places is None else places)
    return Rows(weights=tf.ones([num_rows]), total=tf.constant(float(num_rows)), keys=keys, draw_weights=draw_weights)


def layer_with(*, scale=0.3, **kwargs):
    """A layer with weights that are nowhere zero, and what they are: M, m, S, s."""
    layer, rng = VariationalDense(UNITS, initial_scale=scale, **kwargs), np.random.default_rng(0)
    layer.build((None, INPUTS))
    layer.set_weights([rng.normal(scale=0.8, size=w.shape).astype(np.float32) for w in layer.get_weights()])
    softplus = [np.log1p(np.exp(w.astype(np.float64))) for w in layer.get_weights()[2:]]
    return layer, (*layer.get_weights()[:2], *(1e-5 + scale for scale in softplus))


def test_starts_with_the_given_scale():
    layer = VariationalDense(UNITS, initial_scale=0.02)
    layer.build((None, INPUTS))
    np.testing.assert_allclose(layer.kernel_scale, np.full((INPUTS, UNITS), 0.02), rtol=1e-4)
    np.testing.assert_allclose(layer.bias_scale, np.full(UNITS, 0.02), rtol=1e-4)
    assert len(layer.trainable_weights) == 4


def test_moments_of_outputs():
    layer, (mean, bias_mean, scale, bias_scale) = layer_with()
    num_samples, h = 20_000, np.random.default_rng(1).normal(size=(2, INPUTS)).astype(np.float32)
    with drawing(2).current():
        draws = layer(np.tile(h, (num_samples, 1))).numpy().reshape(num_samples, 2, UNITS)
    expected, variance = h @ mean + bias_mean, h**2 @ scale**2 + bias_scale**2
    error = np.sqrt(variance / num_samples)
    assert np.all(abs(draws.mean(axis=0) - expected) < 4.5 * error)
    np.testing.assert_allclose(draws.var(axis=0), variance, rtol=5 * np.sqrt(2 / num_samples))
    # One row's outputs share nothing, nor do two rows.
    flat = ((draws - expected) / np.sqrt(variance)).reshape(num_samples, -1)
    assert abs(np.corrcoef(flat.T) - np.eye(2 * UNITS)).max() < 5 / np.sqrt(num_samples)


def test_gradients_of_outputs():
    """d b / d s = s zeta / sqrt(delta): they reach means and scales alike."""
    layer, (mean, bias_mean, scale, bias_scale) = layer_with()
    h = np.random.default_rng(1).normal(size=(5, INPUTS)).astype(np.float32)
    with drawing(5).current(), tf.GradientTape() as tape:
        outputs = layer(h)
        total = tf.reduce_sum(outputs)
    deviation = np.sqrt(h**2 @ scale**2 + bias_scale**2)
    zeta = (outputs - h @ mean - bias_mean) / deviation
    raw = layer.bias_raw_scale.numpy()
    expected = (bias_scale * zeta / deviation).numpy().sum(axis=0) / (1 + np.exp(-raw))
    gradients = tape.gradient(total, layer.trainable_weights)
    np.testing.assert_allclose(gradients[0], h.T @ np.ones((5, UNITS)), rtol=1e-4)
    np.testing.assert_allclose(gradients[3], expected, rtol=1e-3, atol=1e-5)


def test_without_a_step_weights_are_their_means():
    layer, (mean, bias_mean, _, _) = layer_with(activation="tanh")
    h = np.random.default_rng(1).normal(size=(5, INPUTS)).astype(np.float32)
    expected = np.tanh(h @ mean + bias_mean)
    np.testing.assert_allclose(layer(h), expected, rtol=1e-5, atol=1e-6)
    with drawing(5, draw_weights=False).current():
        np.testing.assert_allclose(layer(h), expected, rtol=1e-5, atol=1e-6)
    with drawing(5).current():
        assert abs(layer(h) - expected).numpy().mean() > 0.05


def test_without_variance_it_is_a_dense_layer():
    layer, (mean, bias_mean, scale, bias_scale) = layer_with()
    layer.set_weights([mean, bias_mean, np.full_like(scale, -1e4), np.full_like(bias_scale, -1e4)])
    dense = layers.Dense(UNITS)
    h = np.random.default_rng(1).normal(size=(5, INPUTS)).astype(np.float32)
    dense(h)
    dense.set_weights([mean, bias_mean])
    with drawing(5).current(), tf.GradientTape() as tape:
        outputs = layer(h)
    np.testing.assert_allclose(outputs, dense(h), atol=3e-4)
    assert all(np.all(np.isfinite(g)) for g in tape.gradient(outputs, layer.trainable_weights))


@pytest.mark.parametrize("prior_scale", [1.0, 0.2])
def test_divergence_is_the_closed_form(prior_scale):
    layer, (mean, bias_mean, scale, bias_scale) = layer_with(prior_scale=prior_scale)
    prior = tfd.Normal(0.0, prior_scale)
    expected = sum(
        tf.reduce_sum(tfd.kl_divergence(tfd.Normal(m, tf.cast(s, tf.float32)), prior))
        for m, s in ((mean, scale), (bias_mean, bias_scale))
    )
    np.testing.assert_allclose(layer.divergence(), expected, rtol=1e-5)
    raw = np.log(np.expm1(prior_scale - 1e-5))
    layer.set_weights([0 * mean, 0 * bias_mean, np.full_like(scale, raw), np.full_like(bias_scale, raw)])
    np.testing.assert_allclose(layer.divergence(), 0.0, atol=1e-5)


@pytest.mark.parametrize("extreme", [-1e4, 1e4])
def test_divergence_is_finite_at_extremes(extreme):
    layer, weights = layer_with()
    layer.set_weights([np.full_like(w, extreme) for w in weights])
    with tf.GradientTape() as tape:
        divergence = layer.divergence()
    assert np.isfinite(divergence) and divergence > 0
    assert all(np.all(np.isfinite(g)) for g in tape.gradient(divergence, layer.trainable_weights))


# Noise --------------------------------------------------------------------------


def decoder(**kwargs):
    tf_keras.utils.set_random_seed(0)
    network = BayesianMLP(hidden=(6,), **({"initial_scale": 0.3} | kwargs))
    return network.decoder(2, (4, 3), 2)


def test_noise_belongs_to_the_row():
    model, z = decoder(), np.random.default_rng(0).normal(size=(3, 5, 2)).astype(np.float32)
    with drawing(5).current():
        whole = model(z.reshape(-1, 2)).numpy().reshape(3, 5, -1)
    order = [3, 0, 4, 1, 2]
    with drawing(5, places=order).current():
        permuted = model(z[:, order].reshape(-1, 2)).numpy().reshape(3, 5, -1)
    np.testing.assert_allclose(permuted, whole[:, order], rtol=1e-4, atol=1e-5)
    # Fewer samples and fewer rows are a part of the whole.
    with drawing(2, places=[1, 2]).current():
        np.testing.assert_allclose(model(z[0, 1:3]), whole[0, 1:3], rtol=1e-4, atol=1e-5)
    with drawing(5, seed=1).current():
        assert abs(model(z.reshape(-1, 2)).numpy().reshape(3, 5, -1) - whole).mean() > 0.1


def test_each_sample_row_and_layer_has_noise_of_its_own():
    model = decoder()
    first, last = (layer for layer in model.layers if isinstance(layer, VariationalDense))
    assert first.stream != last.stream and min(first.stream, last.stream) > random.PICTURES
    with drawing(5).current():
        outputs = model(np.ones((15, 2), np.float32)).numpy()
    assert len(np.unique(outputs[:, 0])) == 15


@pytest.mark.parametrize("jit_compile", [False, True])
def test_in_a_graph_and_under_xla(jit_compile):
    model, z = decoder(), np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)

    @tf.function(jit_compile=jit_compile)
    def compiled(z):
        with drawing(5).current(), tf.GradientTape() as tape:
            outputs = model(z)
            loss = tf.reduce_mean(outputs**2) + weight_divergence(model)
        return outputs, tape.gradient(loss, model.trainable_variables)

    with drawing(5).current():
        np.testing.assert_allclose(compiled(z)[0], model(z), rtol=1e-4, atol=1e-5)
    assert all(np.all(np.isfinite(t)) for t in tf.nest.flatten(compiled(1e4 * z)))


def test_any_number_of_rows_in_a_graph():
    model, z = decoder(), np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec([None, 2]), tf.TensorSpec([None, 2], tf.uint32)])
    def compiled(z, keys):
        rows = Rows(weights=tf.ones([tf.shape(keys)[0]]), total=tf.ones([]), keys=keys, draw_weights=True)
        with rows.current():
            return model(z)

    rows = drawing(5)
    with rows.current():
        np.testing.assert_allclose(compiled(z, rows.keys), model(z), rtol=1e-4, atol=1e-5)
    assert compiled(z[:0], rows.keys[:0]).shape == (0, 24)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(policy):
    tf_keras.utils.set_random_seed(0)
    model = BayesianMLP(hidden=(6,)).decoder(2, (4, 3), 2, policy=policy)
    plain = decoder(initial_scale=0.01)
    model.set_weights(plain.get_weights())
    z = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    with drawing(5).current(), tf.GradientTape() as tape:
        outputs, divergence = model(z), weight_divergence(model)
        total = tf.reduce_sum(tf.cast(outputs, tf.float32)) + divergence
        np.testing.assert_allclose(tf.cast(outputs, tf.float32), plain(z), atol=0.05)
    assert divergence.dtype == tf.float32 and all(layer.dtype_policy.name == policy for layer in model.layers[1:])
    np.testing.assert_allclose(divergence, weight_divergence(plain), rtol=1e-5)
    assert all(np.all(np.isfinite(g)) for g in tape.gradient(total, model.trainable_variables))


# The network --------------------------------------------------------------------


def test_the_decoder_alone_has_a_posterior_over_its_weights():
    network = BayesianMLP(hidden=(6, 5), prior_scale=0.5, activation="relu")
    kinds = [[type(layer) for layer in model.layers if layer.weights]
             for model in (network.encoder((4,), 3), network.decoder(2, (4,), 2))]  # fmt: skip
    assert kinds == [[layers.Dense] * 3, [VariationalDense] * 3]
    inner = [layer for layer in network.decoder(2, (4,), 2).layers if layer.weights]
    assert [layer.activation.__name__ for layer in inner] == ["relu", "relu", "linear"]
    assert [layer.units for layer in inner] == [5, 6, 8] and {layer.prior_scale for layer in inner} == {0.5}


def test_means_are_those_of_an_mlp():
    """Where nothing is drawn it is an `MLP` of the same weights."""
    bayesian, plain = decoder(), MLP(hidden=(6,)).decoder(2, (4, 3), 2)
    weights = bayesian.get_weights()  # M, m, raw S, raw s of each layer
    plain.set_weights(weights[:2] + weights[4:6])
    z = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    np.testing.assert_allclose(bayesian(z), plain(z), rtol=1e-5, atol=1e-6)


def test_weight_divergence_sums_over_layers():
    model = decoder()
    parts = [layer.divergence() for layer in model.layers if isinstance(layer, VariationalDense)]
    assert len(parts) == 2
    nested = tf_keras.Sequential([layers.InputLayer((2,)), model])
    for whole in (model, nested):
        np.testing.assert_allclose(weight_divergence(whole), sum(parts), rtol=1e-6)
    assert weight_divergence(MLP(hidden=(3,)).decoder(2, (4,), 1)) == 0.0
