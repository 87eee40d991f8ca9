import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import binary_data, small_vae
from tfvae import likelihoods, networks, posteriors, random, schedules
from tfvae.objectives import SGVB_B, Terms
from tfvae.rows import Rows

LATENT = 3


def rows_of(count, *, seed=0, step=0):
    keys = random.row_keys(seed, random.TRAINING, step=step, rows=tf.range(count))
    return Rows(weights=tf.ones(count), total=tf.constant(float(count)), keys=keys)


def terms_of(vae, x, rows, **kwargs):
    with rows.current():
        return SGVB_B(**kwargs).terms(vae, tf.convert_to_tensor(x), rows)


def by_hand(vae, x, keys, num_samples):
    """Distortions `[num_samples, rows]` and rates `[rows]` from weights, noise and formulas, in NumPy."""
    encoder = [layer.get_weights() for layer in vae.encoder.layers if layer.get_weights()]
    decoder = [layer.get_weights() for layer in vae.decoder.layers if layer.get_weights()]
    flat = x.reshape(len(x), -1).astype(np.float64)
    params = np.tanh(flat @ encoder[0][0] + encoder[0][1]) @ encoder[1][0] + encoder[1][1]
    mean, scale = params[:, :LATENT], np.logaddexp(params[:, LATENT:], 0) + 1e-4
    z = mean + scale * random.normals(keys, LATENT, num_samples=num_samples).numpy()
    logits = np.tanh(z @ decoder[0][0] + decoder[0][1]) @ decoder[1][0] + decoder[1][1]
    p = 1 / (1 + np.exp(-logits))
    distortion = -np.sum(flat * np.log(p) + (1 - flat) * np.log(1 - p), axis=-1)
    return distortion, 0.5 * np.sum(mean**2 + scale**2 - np.log(scale**2) - 1, axis=1)


@pytest.mark.parametrize("num_samples", [1, 2, 7])
def test_terms_equal_the_computation_by_hand(num_samples):
    vae, x, rows = small_vae(), binary_data(5), rows_of(5, seed=3, step=11)
    terms = terms_of(vae, x, rows, num_samples=num_samples)
    distortion, rate = by_hand(vae, x, rows.keys, num_samples)
    assert isinstance(terms, Terms) and distortion.shape == (num_samples, 5)
    np.testing.assert_allclose(terms.distortion, distortion.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(terms.rate, rate, rtol=1e-4)
    # The KL enters the loss through the regularizer and nowhere else.
    np.testing.assert_array_equal(terms.loss, terms.distortion)
    assert {t.dtype for t in (terms.loss, terms.distortion, terms.rate)} == {tf.float32}


def test_samples_average_the_distortions_of_each():
    """A row drawn L times is the average of its L samples, not of L other rows."""
    vae, x, rows = small_vae(), binary_data(4), rows_of(4)
    average = terms_of(vae, x, rows, num_samples=6).distortion
    z = posteriors.reparameterize(vae.encode(x), random.normals(rows.keys, LATENT, num_samples=6))
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
