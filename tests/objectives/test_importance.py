import numpy as np
import pytest
import scipy.special

from tests import test_linear_gaussian as linear
from tests.helpers import binary_data, small_vae
from tests.objectives.common import (
    assert_same,
    by_hand,
    losses,
    normal_log_prob,
    rows_of,
    sampled_gradients,
    spread,
    terms_of,
    value_and_gradient,
    z_scores,
)
from tfvae import posteriors
from tfvae.objectives import IWAE, SGVB_A

GRADIENTS = ("plain", "dreg", "stl")
POSTERIORS = [posteriors.Normal(), posteriors.FullNormal(), posteriors.CouplingFlow(num_flows=2, hidden=(4,))]


def encoder_gradients(vae, x, num_samples, gradient, num_draws):
    return sampled_gradients(vae, x, IWAE(num_samples=num_samples, gradient=gradient), num_draws)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("num_samples", [1, 5])
def test_the_loss_equals_the_formula(num_samples, gradient):
    vae, x, rows = spread(small_vae()), binary_data(5), rows_of(5, seed=2)
    terms = terms_of(vae, x, IWAE(num_samples=num_samples, gradient=gradient), rows)
    mean, scale, _, z, distortion = by_hand(vae, x, rows.keys, num_samples)
    log_ratio = np.sum(normal_log_prob(z, mean, scale) - normal_log_prob(z), axis=-1)
    # -log 1/K sum_k p(x, z_k) / q(z_k|x)
    expected = -(scipy.special.logsumexp(-distortion - log_ratio, axis=0) - np.log(num_samples))
    np.testing.assert_allclose(terms.loss, expected, rtol=1e-4)
    # The ELBO of the same draws
    np.testing.assert_allclose(terms.distortion, distortion.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(terms.rate, log_ratio.mean(axis=0), rtol=1e-4)
    assert np.all(terms.loss <= terms.distortion + terms.rate + 1e-4)


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_one_sample_is_the_elbo_of_one_sample(posterior):
    vae, x = spread(small_vae(posterior=posterior)), binary_data(7)
    assert_same(vae, x, IWAE(num_samples=1), SGVB_A())


def test_more_samples_do_not_lower_the_bound():
    vae = linear.make_vae(covariance=linear.COVARIANCE * 2.0, shift=0.4)
    x = np.tile(linear.X[:1], (3000, 1))
    estimates = [losses(vae, x, IWAE(num_samples=k)).numpy().astype(np.float64) for k in (1, 2, 5, 20, 100)]
    bounds = [-e.mean() for e in estimates]
    errors = [e.std() / np.sqrt(len(e)) for e in estimates]
    for i in range(4):
        assert bounds[i + 1] > bounds[i] - 4 * np.hypot(errors[i], errors[i + 1])
    assert bounds[2] - bounds[0] > 10 * errors[0]
    # It comes to log p(x) from below.
    assert linear.LOG_P[0] - 0.05 < bounds[-1] < linear.LOG_P[0] + 4 * errors[-1]


@pytest.mark.parametrize("gradient", ["dreg", "stl"])
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_the_decoder_has_the_same_gradient_with_each(posterior, gradient):
    vae, x = spread(small_vae(posterior=posterior)), binary_data(7)
    variables = vae.decoder.trainable_variables
    plain = value_and_gradient(vae, x, IWAE(num_samples=5), variables=variables)
    other = value_and_gradient(vae, x, IWAE(num_samples=5, gradient=gradient), variables=variables)
    np.testing.assert_allclose(plain[0], other[0], rtol=1e-5)
    for ours, theirs in zip(plain[1], other[1], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(("num_samples", "posterior"), [(1, POSTERIORS[0])] + [(5, p) for p in POSTERIORS])
def test_the_doubly_reparameterized_gradient_is_unbiased(num_samples, posterior):
    vae, x = spread(small_vae(posterior=posterior)), binary_data(2)
    plain, dreg = (encoder_gradients(vae, x, num_samples, gradient, 6_000) for gradient in ("plain", "dreg"))
    scores = z_scores(plain, dreg)
    assert np.abs(scores).max() < 4.5
    # The scores tell them apart from zero, and so from each other if they were not the same.
    assert np.abs(z_scores(dreg, 0 * dreg)).max() > 20


def test_without_the_score_one_sample_is_unbiased_and_five_are_not():
    vae = linear.make_vae(covariance=linear.COVARIANCE * 2.0, shift=0.2)
    for num_samples, biased in ((1, False), (5, True)):
        plain, stl = (
            encoder_gradients(vae, linear.X[:2], num_samples, gradient, 8_000) for gradient in ("plain", "stl")
        )
        worst = np.abs(z_scores(plain, stl)).max()
        assert worst > 8 if biased else worst < 4.5


@pytest.mark.parametrize("num_samples", [1, 5])
def test_at_the_exact_posterior_only_the_plain_gradient_has_variance(num_samples):
    """log w is the same for every z there, so what goes by z is zero for each draw and not only in the mean."""
    vae = linear.make_vae()
    deviation = {g: encoder_gradients(vae, linear.X, num_samples, g, 100).std(axis=0).max() for g in GRADIENTS}
    assert deviation["dreg"] < 1e-3 and deviation["stl"] < 1e-3 < 0.05 < deviation["plain"]


def test_the_doubly_reparameterized_gradient_varies_less():
    vae = linear.make_vae(covariance=linear.COVARIANCE * 1.2, shift=0.05)
    plain, dreg = (encoder_gradients(vae, linear.X, 20, gradient, 1000) for gradient in ("plain", "dreg"))
    assert dreg.var(axis=0).sum() < 0.5 * plain.var(axis=0).sum()
