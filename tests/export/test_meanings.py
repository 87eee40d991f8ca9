"""What signatures mean, held to a linear-Gaussian model in NumPy: x = W z + b + s e."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tests.helpers import small_vae
from tests.linear_gaussian import COVARIANCE, GAIN, ITEM, LATENT, NOISE, WRONG, B, W, X, make_vae
from tfvae import likelihoods
from tfvae.export import module, served, signatures
from tfvae.support import REAL

MASK = np.array([True, True, False, True, False])
ROWS = 400
_ALIVE = []


def traced(vae, shape, **settings):
    vae.support = settings.pop("support", vae.support)
    functions = module.trace(vae, shape, **{"num_samples": 4} | settings)[1]
    _ALIVE.append(vae)  # functions hold its variables by weak references
    return functions


@pytest.fixture(scope="module")
def linear():
    """The signatures of the model with its exact posterior."""
    return traced(make_vae(), (ITEM,), support=REAL)


def test_noise_becomes_scores_as_in_numpy():
    functions = traced(make_vae(**WRONG), (ITEM,), support=REAL)
    noise = np.random.default_rng(0).normal(size=(len(X), 7, LATENT))
    found = functions["score_noise"](tf.constant(X), tf.constant(noise, tf.float32))
    mean = (X - B) @ GAIN.T + WRONG["shift"]
    lower = np.linalg.cholesky(WRONG["covariance"])
    z = mean[:, None] + noise @ lower.T
    log_x = scipy.stats.norm.logpdf(X[:, None], z @ W.T + B, NOISE).sum(-1)
    log_q = scipy.stats.multivariate_normal.logpdf(z - mean[:, None], np.zeros(LATENT), WRONG["covariance"])
    log_z = scipy.stats.norm.logpdf(z).sum(-1)
    log_p = scipy.special.logsumexp(log_x + log_z - log_q, axis=1) - np.log(7)
    expected = {"distortion": -log_x.mean(1), "rate": (log_q - log_z).mean(1), "log_likelihood": log_p}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-4, atol=1e-3)
    np.testing.assert_allclose(found["elbo"], -(found["rate"] + found["distortion"]))
    none = functions["score_noise"](tf.constant(X), tf.zeros([len(X), 0, LATENT]))
    assert not none["valid"].numpy().any() and np.isfinite(none["elbo"]).all()


def test_what_is_missing_is_completed_by_what_is_seen(linear):
    x = np.where(MASK, X[0], np.nan)
    given = [np.repeat(one[None], ROWS, 0) for one in (x, MASK)]
    found = linear["complete"](tf.constant(given[0], tf.float32), tf.constant(given[1]), tf.range(ROWS, dtype=tf.int64))
    assert found["valid"].numpy().all()
    np.testing.assert_array_equal(found["completion"].numpy()[:, MASK], given[0][:, MASK].astype(np.float32))
    assert (found["stddev"].numpy()[:, MASK] == 0.0).all()
    # E and Var of x_missing given x_observed, of the joint normal
    joint = W @ W.T + NOISE**2 * np.eye(ITEM)
    gain = joint[~MASK][:, MASK] @ np.linalg.inv(joint[MASK][:, MASK])
    mean = B[~MASK] + gain @ (X[0] - B)[MASK]
    variance = np.diag(joint[~MASK][:, ~MASK] - gain @ joint[MASK][:, ~MASK])
    means, widths = (found[key].numpy()[:, ~MASK] for key in ("completion", "stddev"))
    error = means.std(axis=0) / np.sqrt(ROWS)
    assert (np.abs(means.mean(axis=0) - mean) < 4 * error).all() and (error < 0.02).all()
    # What the mean of the steps still varies by, is what their spread about it lacks.
    np.testing.assert_allclose((widths**2).mean(axis=0) + means.var(axis=0), variance, rtol=0.05)


def test_the_first_items_of_a_sample_are_the_same_however_many(linear):
    few, many = (linear["sample"](tf.constant(n, tf.int64), tf.constant(3, tf.int64)) for n in (3, 2_000))
    other = linear["sample"](tf.constant(3, tf.int64), tf.constant(4, tf.int64))
    for name in ("vector", "z"):
        np.testing.assert_allclose(few[name], many[name][:3], rtol=1e-5, atol=1e-6)
        assert not np.allclose(few[name], other[name], atol=1e-2)
    z = many["z"].numpy()
    np.testing.assert_allclose(many["vector"], z @ W.T + B, rtol=1e-4, atol=1e-4)
    assert np.abs(z.mean(axis=0)).max() < 4 / np.sqrt(2_000) and len(np.unique(z[:, 0])) > 1_990


def test_a_sample_asks_for_no_more_than_memory_has(linear, monkeypatch):
    monkeypatch.setattr(signatures, "MOST_NUMBERS", 20)
    functions = traced(make_vae(), (ITEM,), support=REAL)
    assert functions["sample"](tf.constant(4, tf.int64), tf.constant(0, tf.int64))["z"].shape[0] == 4
    with pytest.raises(tf.errors.InvalidArgumentError, match="n is above 4"):
        functions["sample"](tf.constant(5, tf.int64), tf.constant(0, tf.int64))


def test_numbers_of_z_that_are_none_spoil_nothing():
    """Of a Poisson, whose rate is an exponential: the largest numbers are beyond it."""
    vae, bad = small_vae((6,), likelihood=likelihoods.Poisson()), [np.nan, np.inf, -np.inf, 1e38, -3e38]
    functions = traced(vae, (6,))
    rows = len(bad) + 2
    z = np.random.default_rng(0).normal(size=(rows, vae.latent_size)).astype(np.float32)
    spoiled = z.copy()
    spoiled[1:-1, 0] = bad
    given = {"vector": np.ones((rows, 6)), "mask": np.ones((rows, 6), bool), "seed": np.arange(rows)}
    for name in ("decode", "decode_sample", "log_joint", "log_posterior", "prior"):
        run = functions[name]
        specs = run.structured_input_signature[0]
        found, expected = (
            run(*[tf.constant(given.get(spec.name, of_z), spec.dtype) for spec in specs]) for of_z in (spoiled, z)
        )
        for key, value in found.items():
            assert np.isfinite(value).all(), (name, key)
            np.testing.assert_allclose(value.numpy()[[0, -1]], expected[key].numpy()[[0, -1]], rtol=1e-5, atol=1e-5)
            if name in ("decode", "decode_sample"):  # NaN counts as 0
                assert np.abs(value[1] - expected[key][1]).max() < 10.0


def test_a_jpeg_is_scored_as_its_pixels():
    vae = small_vae((16, 16, 3))
    functions = traced(vae, (16, 16, 3))
    ramp = np.linspace(0, 255, 16 * 16 * 3).reshape(16, 16, 3).astype(np.uint8)
    jpeg = tf.io.encode_jpeg(ramp, quality=95)
    pixels = tf.cast(tf.io.decode_jpeg(jpeg), tf.float32)[None] / 255.0
    found, expected = functions["score_bytes"](jpeg[None]), functions["serving_default"](pixels)
    assert found["valid"].numpy().all() and np.abs(pixels[0] - ramp / 255.0).max() > 0.0
    for name in ("anomaly_score", "elbo"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)


def test_the_default_draws_nothing(linear):
    """Then other formats can hold it: see `portable`."""
    for name in ("serving_default", "encode", "reconstruct", "score_noise"):
        assert "Bitcast" not in {node.op for node in nodes(linear[name])}


def nodes(function):
    """Of the graph, with the functions that it calls in their places."""
    return convert_variables_to_constants_v2(function).graph.as_graph_def().node


def test_large_items_take_a_pattern_again(monkeypatch):
    monkeypatch.setattr(served, "_MAX_CONSTANT", 16)
    functions = traced(small_vae((5, 7, 1)), (5, 7, 1))
    grey = functions["encode"](tf.fill([2, 5, 7, 1], 0.3))
    assert np.isfinite(grey["mean"]).all() and (grey["mean"][0].numpy() == grey["mean"][1].numpy()).all()
    assert "Bitcast" not in {node.op for node in nodes(functions["encode"])}


def test_the_covariance_is_the_posteriors(linear):
    found = linear["encode"](tf.constant(X))
    np.testing.assert_allclose(found["mean"], (X - B) @ GAIN.T, rtol=1e-3, atol=1e-4)
    covariance = found["scale_tril"] @ tf.linalg.matrix_transpose(found["scale_tril"])
    np.testing.assert_allclose(covariance, np.broadcast_to(COVARIANCE, covariance.shape), rtol=1e-3)
