import numpy as np
import pytest
import tensorflow as tf

from tests import test_linear_gaussian as linear
from tests.helpers import binary_data, small_vae
from tests.objectives.common import (
    LATENT,
    by_hand,
    kl_by_hand,
    losses,
    normal_log_prob,
    rows_of,
    sampled_gradients,
    spread,
    z_scores,
)
from tests.objectives.common import terms_of as terms_of_objective
from tfvae import likelihoods, networks, random, schedules
from tfvae.objectives import SGVB_A, SGVB_B, Terms
from tfvae.reparameterization import reparameterize


def terms_of(vae, x, rows, **kwargs):
    return terms_of_objective(vae, x, SGVB_B(**kwargs), rows)


@pytest.mark.parametrize("num_samples", [1, 2, 7])
def test_terms_equal_the_computation_by_hand(num_samples):
    vae, x, rows = small_vae(), binary_data(5), rows_of(5, seed=3, step=11)
    terms = terms_of(vae, x, rows, num_samples=num_samples)
    mean, scale, _, _, distortion = by_hand(vae, x, rows.keys, num_samples)
    assert isinstance(terms, Terms) and distortion.shape == (num_samples, 5)
    np.testing.assert_allclose(terms.distortion, distortion.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(terms.rate, kl_by_hand(mean, scale).sum(axis=1), rtol=1e-4)
    # The KL enters the loss through the regularizer and nowhere else.
    np.testing.assert_array_equal(terms.loss, terms.distortion)
    assert {t.dtype for t in (terms.loss, terms.distortion, terms.rate)} == {tf.float32}


def test_samples_average_the_distortions_of_each():
    """A row drawn L times is the average of its L samples, not of L other rows."""
    vae, x, rows = small_vae(), binary_data(4), rows_of(4)
    average = terms_of(vae, x, rows, num_samples=6).distortion
    z = reparameterize(vae.encode(x), random.normals(rows.keys, LATENT, num_samples=6))
    single = [-vae.decode(z[i]).log_prob(x) for i in range(6)]
    np.testing.assert_allclose(average, np.mean(single, axis=0), rtol=1e-5)
    assert np.std(single, axis=0).min() > 1e-3


def test_the_kl_weight_does_not_touch_the_terms():
    vae, x = small_vae(), binary_data(4)
    plain, weighted = terms_of(vae, x, rows_of(4)), terms_of(vae, x, rows_of(4), kl_weight=9.0)
    for name in ("loss", "distortion", "rate"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(weighted, name))


def test_the_weight_of_the_rate_is_weight_times_schedule():
    objective = SGVB_B(kl_weight=4.0, kl_schedule=schedules.Linear(num_steps=10))
    vae, x = small_vae(), binary_data(4)
    vae.compile("sgd", objective=objective, jit_compile=False)
    seen = []
    for _ in range(12):
        vae.train_on_batch(x)
        seen.append(float(vae.regularizer.weight))
    np.testing.assert_allclose(seen, [4.0 * min(step / 10, 1) for step in range(12)], rtol=1e-6)


@pytest.mark.parametrize("num_samples", [1, 5])
def test_the_distortion_is_unbiased(num_samples):
    """Against E_q[-log p(x|z)] of a linear decoder: 1/2 (|x - m|^2 + tr(W S W^T) + D log 2 pi)."""
    vae = small_vae((4,), likelihood=likelihoods.GaussianIdentity(), network=networks.MLP(hidden=()))
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(LATENT, 4)), rng.normal(size=4)
    vae.decoder.set_weights([kernel, bias])
    x = rng.normal(size=4).astype(np.float32)
    q = vae.encode(x[None])
    mean, scale = q.mean().numpy()[0], q.stddev().numpy()[0]
    error = np.sum((x - mean @ kernel - bias) ** 2) + np.sum((scale[:, None] * kernel) ** 2)
    expected = 0.5 * (error + 4 * np.log(2 * np.pi))
    # Rows of one batch and steps of one run all have noise of their own.
    estimates = np.concatenate([
        terms_of(vae, np.tile(x, (500, 1)), rows_of(500, seed=seed, step=step), num_samples=num_samples).distortion
        for seed in range(4) for step in range(3)
    ])  # fmt: skip
    assert len(np.unique(estimates)) > 5_900
    standard_error = estimates.std() / np.sqrt(len(estimates))
    assert abs(estimates.mean() - expected) < 4 * standard_error < 0.05 * expected
    # More samples, less variance: as 1 / L.
    exact = np.var(_quadratic(x, mean, scale, kernel, bias, rng))
    np.testing.assert_allclose(estimates.var(), exact / num_samples, rtol=0.15)


def _quadratic(x, mean, scale, kernel, bias, rng):
    """-log p(x|z) at 100,000 draws of z, without its constant."""
    z = mean + scale * rng.normal(size=(100_000, LATENT))
    return 0.5 * np.sum((x - z @ kernel - bias) ** 2, axis=1)


@pytest.mark.parametrize("num_samples", [1, 4])
def test_estimator_a_equals_the_computation_by_hand(num_samples):
    vae, x, rows = spread(small_vae()), binary_data(5), rows_of(5, seed=3, step=11)
    terms = terms_of_objective(vae, x, SGVB_A(num_samples=num_samples), rows)
    mean, scale, _, z, distortion = by_hand(vae, x, rows.keys, num_samples)
    # log q(z|x) - log p(z)
    rate = np.sum(normal_log_prob(z, mean, scale) - normal_log_prob(z), axis=-1)
    np.testing.assert_allclose(terms.distortion, distortion.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(terms.rate, rate.mean(axis=0), rtol=1e-4)
    np.testing.assert_array_equal(terms.loss, terms.distortion + terms.rate)


def test_a_and_b_agree_in_the_mean():
    vae, x = spread(small_vae()), np.tile(binary_data(1), (4000, 1, 1, 1))
    a, b = (losses(vae, x, objective).numpy().astype(np.float64) for objective in (SGVB_A(), SGVB_B()))
    error = np.std(a - b) / np.sqrt(len(a))
    assert abs(np.mean(a - b)) < 4 * error < 0.01 * abs(b.mean())
    # 4000 draws for one row are as good as one draw for 4000 rows.
    many = losses(vae, x[:1], SGVB_A(num_samples=4000))
    assert abs(float(many[0]) - a.mean()) < 6 * a.std() / np.sqrt(len(a))


def test_gradients_of_a_and_b_agree_in_the_mean():
    vae, x = spread(small_vae()), binary_data(3)
    a, b = (sampled_gradients(vae, x, objective, 4000) for objective in (SGVB_A(), SGVB_B()))
    assert np.abs(z_scores(a, b)).max() < 4 and np.abs(z_scores(a, 0 * b)).max() > 20


def test_b_varies_less_until_the_posterior_is_nearly_exact():
    x = binary_data(1)
    pair = SGVB_A(), SGVB_B()
    untrained = [losses(small_vae(), np.tile(x, (4000, 1, 1, 1)), objective).numpy().var() for objective in pair]
    gradients = [sampled_gradients(small_vae(), x, objective, 4000).var(axis=0).sum() for objective in pair]
    assert untrained[1] < 0.7 * untrained[0] and gradients[1] < 0.7 * gradients[0]
    # Where q(z|x) is p(z|x), log p(x, z) - log q(z|x) is log p(x) at every z: nothing of A varies.
    exact = [losses(linear.make_vae(), np.tile(linear.X[:1], (100, 1)), objective).numpy().var() for objective in pair]
    assert exact[0] < 1e-8 < 0.1 < exact[1]


@pytest.mark.parametrize("objective", [SGVB_A(num_samples=2), SGVB_B(num_samples=2)])
def test_the_loss_times_n_is_the_estimator_of_the_data_set(objective):
    """Equation 8: L(X) ~ N/M sum_i L(x_i) over a minibatch; the mean over all minibatches is that of the data set."""
    vae, x = spread(small_vae()), binary_data(12)
    total, estimates = 0.0, []
    for start in range(0, 12, 3):
        batch, rows = x[start : start + 3], rows_of(3, step=start)
        mean, scale, _, z, distortion = by_hand(vae, batch, rows.keys, 2)
        if isinstance(objective, SGVB_A):
            rate = np.sum(normal_log_prob(z, mean, scale) - normal_log_prob(z), axis=-1).mean(axis=0)
        else:
            rate = kl_by_hand(mean, scale).sum(axis=1)
        bounds = -(distortion.mean(axis=0) + rate)
        total += bounds.sum()
        estimates.append(12 * -float(rows.mean(losses(vae, batch, objective, rows))))
        # N/M sum_i L(x_i)
        np.testing.assert_allclose(estimates[-1], 12 / 3 * bounds.sum(), rtol=1e-5)
    np.testing.assert_allclose(np.mean(estimates), total, rtol=1e-5)
