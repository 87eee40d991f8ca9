"""x = W z + b + s e: a model whose log p(x) and posterior are known, against all that estimates them."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests.linear_gaussian import COVARIANCE, GAIN, ITEM, LATENT, LOG_P, NOISE, RNG, WRONG, B, W, X, gap, make_vae
from tfvae import random
from tfvae.evaluation.importance import importance_estimate
from tfvae.objectives import IWAE, SGVB_B
from tfvae.rows import Rows


def estimate(vae, x, num_samples, chunk_size=1_000, seed=0):
    keys = random.row_keys(seed, random.EVALUATION, rows=tf.range(len(x)))
    return importance_estimate(
        vae, tf.constant(x), keys, num_samples=num_samples, chunk_size=min(chunk_size, num_samples)
    )


def terms(vae, x, num_samples, objective=None):
    rows = Rows(weights=tf.ones(len(x)), total=tf.constant(float(len(x))),
                keys=random.row_keys(0, random.TRAINING, rows=tf.range(len(x))))  # fmt: skip
    with rows.current():
        return (objective or SGVB_B(num_samples=num_samples)).terms(vae, tf.constant(x), rows)


def test_the_hand_built_model_is_the_model():
    vae = make_vae()
    q = vae.encode(X)
    np.testing.assert_allclose(q.mean(), (X - B) @ GAIN.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(q.covariance()[0], COVARIANCE, rtol=1e-4, atol=1e-6)
    z = RNG.normal(size=(6, LATENT)).astype(np.float32)
    expected = scipy.stats.norm.logpdf(X, z @ W.T + B, NOISE).sum(axis=1)
    np.testing.assert_allclose(vae.decode(z).log_prob(X), expected, rtol=1e-4)


@pytest.mark.parametrize("num_samples", [1, 2, 10, 500])
def test_with_the_exact_posterior_every_bound_is_exact(num_samples):
    """Each weight p(x, z_k) / q(z_k|x) is p(x), so nothing is left to chance."""
    result = estimate(make_vae(), X, num_samples, chunk_size=64)
    np.testing.assert_allclose(result.log_likelihood, LOG_P, rtol=2e-5)
    np.testing.assert_allclose(-(result.rate + result.distortion), LOG_P, rtol=2e-5)


def test_with_the_exact_posterior_the_elbo_is_log_p():
    found = terms(make_vae(), X, num_samples=20_000)
    np.testing.assert_allclose(-(found.rate + found.distortion), LOG_P, atol=0.05)


@pytest.mark.parametrize("gradient", ["plain", "dreg", "stl"])
@pytest.mark.parametrize("num_samples", [1, 5, 50])
def test_with_the_exact_posterior_the_iwae_is_log_p(num_samples, gradient):
    found = terms(make_vae(), X, num_samples, IWAE(num_samples=num_samples, gradient=gradient))
    np.testing.assert_allclose(-found.loss, LOG_P, rtol=2e-5)
    np.testing.assert_allclose(-(found.rate + found.distortion), LOG_P, rtol=2e-5)
    assert np.max(np.abs(terms(make_vae(**WRONG), X, 5, IWAE(num_samples=5)).loss + LOG_P)) > 0.1


def test_rate_and_distortion_are_their_closed_forms():
    found, mean = terms(make_vae(), X, num_samples=20_000), (X - B) @ GAIN.T
    trace, log_det = np.trace(COVARIANCE), np.linalg.slogdet(COVARIANCE)[1]
    np.testing.assert_allclose(found.rate, 0.5 * (trace + np.sum(mean**2, axis=1) - LATENT - log_det), rtol=1e-4)
    error = np.sum((X - B - mean @ W.T) ** 2, axis=1) + np.trace(W @ COVARIANCE @ W.T)
    np.testing.assert_allclose(
        found.distortion, error / (2 * NOISE**2) + ITEM / 2 * np.log(2 * np.pi * NOISE**2), rtol=0.02
    )
    # Of the sampled rate the expectation is the closed form.
    np.testing.assert_allclose(estimate(make_vae(), X, 20_000).rate, found.rate, atol=0.05)


def test_keras_evaluation_gives_the_exact_average():
    vae = make_vae()
    vae.compile(objective=SGVB_B(num_samples=5_000))
    logs = vae.evaluate(X, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["elbo"], LOG_P.mean(), atol=0.05)


def test_with_another_posterior_the_elbo_lies_below_by_its_kl():
    found = terms(make_vae(**WRONG), X, num_samples=20_000)
    np.testing.assert_allclose(-(found.rate + found.distortion), LOG_P - gap(**WRONG), atol=0.05)
    assert gap(**WRONG) > 0.3


def test_with_another_posterior_the_bound_grows_towards_log_p():
    x = np.tile(X[:1], (4_000, 1))  # the expectation of the bound, over 4,000 draws of its samples
    vae, means, errors = make_vae(**WRONG), [], []
    for num_samples in (1, 2, 8, 64):
        bound = estimate(vae, x, num_samples).log_likelihood.numpy()
        means.append(bound.mean())
        errors.append(bound.std() / np.sqrt(len(bound)))
    elbo = LOG_P[0] - gap(**WRONG)
    assert abs(means[0] - elbo) < 4 * errors[0], "with one sample the bound is the ELBO"
    assert np.all(np.diff(means) > 4 * np.array(errors[1:])), "it grows with K"
    assert means[-1] < LOG_P[0] + 4 * errors[-1] and LOG_P[0] - means[-1] < 0.1 * gap(**WRONG)


def test_with_many_samples_another_posterior_does_too():
    np.testing.assert_allclose(estimate(make_vae(**WRONG), X, 50_000).log_likelihood, LOG_P, atol=0.02)
