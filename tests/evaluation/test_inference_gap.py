import importlib
import json
import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tensorflow_probability import distributions as tfd
from tf_keras import layers

from tests.helpers import Examples, binary_data, small_vae
from tests.linear_gaussian import COVARIANCE, GAIN, ITEM, LATENT, LOG_P, WRONG, B, X, gap, inverse_softplus, make_vae
from tests.test_conditional import LABELS, conditional_vae
from tfvae import VAE, posteriors, priors, random
from tfvae.evaluation.common import NotApplicable
from tfvae.evaluation.importance import importance_estimate
from tfvae.evaluation.inference_gap import climb, inference_gap, posterior_of, posterior_parameters
from tfvae.regularizers import plain, rate
from tfvae.reparameterization import reparameterize
from tfvae.rows import plain_rows

module = importlib.import_module("tfvae.evaluation.inference_gap")  # the package's attribute may be the function
GAPS = ("inference_gap", "approximation_gap", "amortization_gap")
FIGURES = ("elbo", "local_elbo", "log_likelihood", *GAPS)


@pytest.fixture(autouse=True)
def without_xla(monkeypatch):
    """Compiling takes seconds each time."""
    monkeypatch.setattr(VAE, "use_jit", lambda self, jit_compile: False)


def gaps(vae, x, labels=None, *, graph=False, **kwargs):
    settings = {"batch_size": len(x), "num_samples": 500, "num_steps": 3, "num_pairs": 2} | kwargs
    # To make a graph takes longer than a few steps without one.
    tf.config.run_functions_eagerly(not graph and settings["num_steps"] < 50)
    try:
        return inference_gap(vae, None, Examples(np.asarray(x, np.float32), labels), **settings)
    finally:
        tf.config.run_functions_eagerly(False)


# Known gaps -------------------------------------------------------------------------


def test_with_the_exact_posterior_there_is_no_gap():
    found = gaps(make_vae(), X, num_steps=6)
    for name in ("elbo", "local_elbo", "log_likelihood"):
        assert found[name] == pytest.approx(LOG_P.mean(), abs=1e-3), name
    for name in GAPS:
        assert found[name] == pytest.approx(0.0, abs=1e-3), name
        assert found[f"{name}_standard_error"] < 1e-3
    assert found["effective_sample_size"] == pytest.approx(500, rel=1e-2)
    assert found["log_likelihood_standard_error"] == pytest.approx(np.std(LOG_P, ddof=1) / math.sqrt(6), rel=1e-3)


def test_what_is_wrong_in_the_encoder_alone_is_the_amortization_gap():
    """A full covariance has the true posterior in its family."""
    found, expected = gaps(make_vae(**WRONG), X, num_steps=300, num_pairs=4, num_samples=2_000), gap(**WRONG)
    assert expected > 0.2
    assert found["approximation_gap"] == pytest.approx(0.0, abs=0.005)
    assert found["amortization_gap"] == pytest.approx(expected, abs=0.05)
    assert found["inference_gap"] == pytest.approx(expected, abs=0.05)
    assert found["log_likelihood"] == pytest.approx(LOG_P.mean(), abs=0.005)
    assert found["num_improved"] == found["num_examples"] == 6


def diagonal_vae(layer):
    """The same decoder, and an encoder of a diagonal family that ignores x: N(0, I)."""
    encoder = tf_keras.Sequential([layers.InputLayer((ITEM,)), layers.Dense(2 * LATENT), layer])
    bias = np.concatenate([np.zeros(LATENT), np.full(LATENT, inverse_softplus(1.0))])
    encoder.layers[0].set_weights([np.zeros((ITEM, 2 * LATENT)), bias])
    return VAE(encoder, make_vae().decoder)


@pytest.mark.parametrize("layer", [tfp.layers.IndependentNormal, posteriors.IndependentNormal])
def test_what_the_family_lacks_is_the_approximation_gap(layer):
    """The best diagonal normal has the diagonal of the true precision."""
    precision, mean = np.linalg.inv(COVARIANCE), (X - B) @ GAIN.T
    best = 0.5 * (np.linalg.slogdet(COVARIANCE)[1] + np.log(np.diag(precision)).sum())
    # KL(N(0, I) || p(z|x))
    start = 0.5 * (np.trace(precision) + np.einsum("ni,ij,nj->n", mean, precision, mean) - LATENT)
    start += 0.5 * np.linalg.slogdet(COVARIANCE)[1]
    assert best > 0.02
    found = gaps(diagonal_vae(layer(LATENT)), X, num_steps=500, num_pairs=4, num_samples=5_000)
    # By the known log p(x): the weights of a proposal that is too narrow have heavy tails, and their mean an error.
    assert LOG_P.mean() - found["local_elbo"] == pytest.approx(best, abs=0.01)
    assert LOG_P.mean() - found["elbo"] == pytest.approx(start.mean(), rel=0.02)
    assert found["log_likelihood"] == pytest.approx(LOG_P.mean(), abs=0.03)
    assert found["approximation_gap"] == pytest.approx(best, abs=0.03)
    assert found["amortization_gap"] == pytest.approx(start.mean() - best, rel=0.02)


# Bookkeeping ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vae():
    made = small_vae()
    made.decoder.set_weights([3.0 * weight for weight in made.decoder.get_weights()])
    return made


def test_what_it_says(vae):
    found = gaps(vae, binary_data(5))
    assert found == json.loads(json.dumps(found, allow_nan=False))
    assert (found["num_examples"], found["num_steps"], found["num_samples"]) == (5, 3, 500)
    assert "The first 5 examples" in found["method"] and "3 steps" in found["method"] and "500" in found["method"]
    assert found["inference_gap"] == pytest.approx(found["log_likelihood"] - found["elbo"], abs=1e-9)
    assert found["amortization_gap"] == pytest.approx(found["local_elbo"] - found["elbo"], abs=1e-9)
    assert found["approximation_gap"] + found["amortization_gap"] == pytest.approx(found["inference_gap"], abs=1e-9)
    assert found["approximation_gap"] > 0
    one = gaps(vae, binary_data(5), max_examples=1)
    assert one["num_examples"] == 1 and all(one[f"{name}_standard_error"] is None for name in FIGURES)


def test_the_elbo_is_that_of_the_encoder(vae):
    x = binary_data(5)
    keys = random.row_keys(7, random.EVALUATION, rows=tf.range(5))
    expected = importance_estimate(vae, tf.constant(x), keys, num_samples=500, chunk_size=500)
    found = gaps(vae, x, seed=7)
    assert found["elbo"] == pytest.approx(-np.mean(expected.rate + expected.distortion), rel=1e-5)
    assert gaps(vae, x, seed=7) == found
    assert abs(gaps(vae, x, seed=8)["elbo"] - found["elbo"]) > 1e-4


@pytest.mark.parametrize("batch_size", [3, 10])
def test_results_do_not_depend_on_the_batch_size(vae, batch_size):
    x = binary_data(7)
    whole, other = (gaps(vae, x, num_steps=6, num_samples=100, batch_size=size) for size in (7, batch_size))
    for name in FIGURES:
        np.testing.assert_allclose(other[name], whole[name], rtol=1e-4, atol=1e-4, err_msg=name)
    assert other["num_examples"] == 7 and whole["num_improved"] == other["num_improved"] > 0


def test_with_xla(vae, monkeypatch):
    x = binary_data(4)
    eager = gaps(vae, x, num_samples=20)
    monkeypatch.setattr(VAE, "use_jit", lambda self, jit_compile: True)
    compiled = gaps(vae, x, num_samples=20, graph=True)
    for name in FIGURES:
        np.testing.assert_allclose(compiled[name], eager[name], rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("learning_rate", [30.0, math.nan])
def test_a_climb_that_goes_wrong_makes_nothing_worse(vae, learning_rate):
    found = gaps(vae, binary_data(5), learning_rate=learning_rate)
    assert found["num_improved"] == 0 and found["amortization_gap"] == 0.0
    assert found["local_elbo"] == found["elbo"]


def test_each_example_keeps_the_better_by_other_draws():
    """Of bad posteriors and exact ones only the bad ones move, far as the steps are."""
    vae = make_vae()
    inputs, layer = layers.Input((ITEM,)), posteriors.MultivariateNormalTriL(LATENT)
    dense = layers.Dense(vae.encoder.layers[0].units)
    # The posteriors of what lies far away are off: the encoder clips x.
    encoder = tf_keras.Model(inputs, layer(dense(layers.Lambda(lambda x: tf.minimum(x, 20.0))(inputs))))
    dense.set_weights(vae.encoder.layers[0].get_weights())
    vae, bad = VAE(encoder, vae.decoder), X[3:] + 100.0 * np.eye(ITEM)[0]
    settings = {"num_steps": 5, "learning_rate": 0.5}
    both, alone = gaps(vae, np.concatenate([bad, X[:3]]), **settings), gaps(vae, bad, **settings)
    assert both["num_improved"] == alone["num_improved"] == 3
    assert alone["amortization_gap"] > 1.0
    assert both["amortization_gap"] == pytest.approx(alone["amortization_gap"] / 2, rel=1e-4)


# The climb --------------------------------------------------------------------------


def test_the_climb_is_adam_of_keras(vae):
    """Step by step with the optimizer, and the ELBO written out."""
    x, num_steps, num_pairs = tf.constant(binary_data(4)), 6, 3
    keys = random.row_keys(1, random.EVALUATION, rows=tf.range(4))
    with plain_rows(4).current():
        start = posterior_parameters(vae, x)
        found = climb(vae, x, keys, start, num_steps=num_steps, num_pairs=num_pairs, learning_rate=0.1)
    variable = tf.Variable(start)
    schedule = tf_keras.optimizers.schedules.CosineDecay(0.1, num_steps)
    optimizer = tf_keras.optimizers.Adam(schedule, epsilon=1e-8)
    noise = random.normals(keys, 3, num_samples=num_steps * num_pairs)
    for step in range(num_steps):
        half = noise[step * num_pairs : (step + 1) * num_pairs]
        with tf.GradientTape() as tape:
            mean, scale = variable[:, :3], tf.math.softplus(variable[:, 3:]) + 1e-4
            z = tf.concat([mean + scale * half, mean - scale * half], axis=0)
            kl = 0.5 * tf.reduce_sum(mean**2 + scale**2 - 2.0 * tf.math.log(scale) - 1.0, axis=-1)
            log_likelihood = tf.reduce_mean(vae.log_likelihood(x, z), axis=0)
            loss = -tf.reduce_sum(log_likelihood - kl)
        optimizer.apply_gradients([(tape.gradient(loss, variable), variable)])
    assert np.abs(found - start).max() > 0.2
    np.testing.assert_allclose(found, variable, rtol=1e-4, atol=2e-5)


def test_a_gradient_that_is_no_number_moves_nothing(vae):
    x = binary_data(4)
    keys = random.row_keys(1, random.EVALUATION, rows=tf.range(4))
    settings = {"num_steps": 3, "num_pairs": 2, "learning_rate": 0.1}
    with plain_rows(4).current():
        start = posterior_parameters(vae, tf.constant(x))
        expected = climb(vae, tf.constant(x), keys, start, **settings).numpy()
        x[1] = math.nan
        found = climb(vae, tf.constant(x), keys, start, **settings).numpy()
    np.testing.assert_array_equal(found[1], start[1])
    np.testing.assert_allclose(found[[0, 2, 3]], expected[[0, 2, 3]], rtol=1e-4, atol=1e-5)


def test_climb_choice_and_figures_have_draws_of_their_own(vae, monkeypatch):
    seen = []

    def noted(function):
        def call(vae, x, keys, *args, **kwargs):
            seen.append(keys.numpy().tolist())
            return function(vae, x, keys, *args, **kwargs)

        return call

    for name in ("climb", "importance_estimate"):
        monkeypatch.setattr(module, name, noted(getattr(module, name)))
    gaps(vae, binary_data(3), num_samples=4)
    steps, before, after, encoder, local = seen
    assert before == after and encoder == local
    assert steps != before and before != encoder and encoder != steps


def test_the_parameters_make_the_posterior(vae):
    x, noise = tf.constant(binary_data(4)), tf.constant(np.random.default_rng(0).normal(size=(2, 4, 3)), tf.float32)
    parameters = posterior_parameters(vae, x)
    assert parameters.shape == [4, 6]
    made = posterior_of(vae, parameters)
    np.testing.assert_allclose(reparameterize(made, noise), reparameterize(vae.encode(x), noise))
    assert float(tf.reduce_sum(rate(made, vae.prior, noise, noise))) > 0
    # The layer is again what it was.
    assert vae.posterior_layer.function.__name__ != "function"


# Encoders and parts -----------------------------------------------------------------

MODELS = [
    (posteriors.FullNormal(), priors.VampPrior(num_pseudo_inputs=3)),
    (posteriors.InverseAutoregressiveFlow(hidden=(6,), context_size=2), priors.StandardNormal()),
    (posteriors.Dirichlet(), priors.SymmetricDirichlet()),
    (posteriors.Weibull(), priors.Gamma()),
]


@pytest.mark.parametrize(("posterior", "prior"), MODELS, ids=lambda part: part.tag)
def test_other_families(posterior, prior):
    vae = small_vae(posterior=posterior, prior=prior)
    vae.decoder.set_weights([3.0 * weight for weight in vae.decoder.get_weights()])
    found = gaps(vae, binary_data(6), num_steps=6, num_samples=200, learning_rate=0.3)
    assert found["num_improved"] >= 5
    assert found["amortization_gap"] > 0.05 and found["approximation_gap"] > 0
    assert 1 <= found["effective_sample_size"] <= 200


def test_a_conditional_model():
    vae, x, labels = conditional_vae(), binary_data(5), np.array([0, 2, 1, 1, 2])
    keys = random.row_keys(0, random.EVALUATION, rows=tf.range(5))
    with plain_rows(5, labels=labels).current():
        expected = importance_estimate(vae, tf.constant(x), keys, num_samples=500, chunk_size=500)
    found = gaps(vae, x, labels, num_steps=5)
    assert found["elbo"] == pytest.approx(-np.mean(expected.rate + expected.distortion), rel=1e-5)
    assert found["amortization_gap"] > 0
    assert abs(gaps(vae, x, (labels + 1) % LABELS)["elbo"] - found["elbo"]) > 1e-3


def test_a_posterior_layer_inside_a_layer():
    inner = tf_keras.Sequential([layers.InputLayer((4,)), layers.Dense(2 * LATENT), tfp.layers.IndependentNormal(2)])
    inputs = layers.Input((ITEM,))
    vae = VAE(tf_keras.Model(inputs, inner(layers.Dense(4)(inputs))), make_vae().decoder)
    hidden = vae.encoder.layers[1](X)
    np.testing.assert_allclose(posterior_parameters(vae, tf.constant(X)), inner.layers[0](hidden), rtol=1e-5)


class Widened(tf_keras.Model):
    """Its posterior is not that of its layer."""

    def call(self, inputs, training=None, mask=None):
        inside = plain(super().call(inputs, training=training, mask=mask))
        return tfd.Independent(tfd.Normal(inside.mean(), 2.0 * inside.stddev()), 1)


def test_encoders_without_parameters_are_refused():
    inputs = layers.Input((ITEM,))
    loc, raw = layers.Dense(LATENT)(inputs), layers.Dense(LATENT, "softplus")(inputs)
    pair = tfp.layers.DistributionLambda(lambda both: tfd.Independent(tfd.Normal(*both), 1))([loc, raw])
    with pytest.raises(NotApplicable, match="takes something else than one tensor"):
        gaps(VAE(tf_keras.Model(inputs, pair), make_vae().decoder), X)
    layer = posteriors.IndependentNormal(LATENT)
    widened = VAE(Widened(inputs, layer(layers.Dense(2 * LATENT)(inputs))), make_vae().decoder)
    assert np.all(widened.encode(X).stddev() > 0)
    with pytest.raises(NotApplicable, match="is not what its last tfp.layers layer makes"):
        gaps(widened, X)
