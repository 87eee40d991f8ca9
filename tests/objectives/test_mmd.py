import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import binary_data, small_vae
from tests.objectives.common import LATENT, assert_same, losses, rows_of, spread, terms_of, value_and_gradient
from tfvae import config, random
from tfvae.errors import InputError
from tfvae.objectives import SGVB_B, InfoVAE, mmd
from tfvae.objectives.base import draw_latents

KERNELS = {
    "inverse_multiquadratic": lambda a, b, c: c / (c + np.sum((a - b) ** 2)),
    "rbf": lambda a, b, c: np.exp(-np.sum((a - b) ** 2) / c),
}


def by_loops(z, p, weights, kernel, bandwidth):
    """E k(z, z') + E k(p, p') - 2 E k(z, p) over pairs, a row of weight 0 left out."""
    k = KERNELS[kernel]
    total, count = np.zeros(3), np.zeros(3)
    for i in range(len(z)):
        for j in range(len(z)):
            if weights[i] == 0 or weights[j] == 0:
                continue
            if i != j:
                total[:2] += weights[i] * weights[j] * k(z[i], z[j], bandwidth), k(p[i], p[j], bandwidth)
                count[:2] += weights[i] * weights[j], 1
            total[2] += weights[i] * k(z[i], p[j], bandwidth)
            count[2] += weights[i]
    return np.dot(total / count, [1, 1, -2])


def draws(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("weights", [np.ones(7), np.array([1, 0, 2, 1, 0, 0.5, 1])])
@pytest.mark.parametrize("bandwidth", [0.0, 0.7])
@pytest.mark.parametrize("kernel", KERNELS)
def test_mmd_equals_the_double_loop(kernel, bandwidth, weights):
    z, p = 2.0 * draws(3, 7, LATENT) + 1.0, draws(7, LATENT, seed=1)
    found = mmd(z, p, tf.constant(weights, tf.float32), kernel=kernel, bandwidth=bandwidth)
    # By default C = 2 latent_size.
    expected = [by_loops(one, p, weights, kernel, bandwidth or 2 * LATENT) for one in z]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_mmd_is_zero_in_the_mean_between_equal_distributions_only():
    one = tf.ones(20)
    same = np.array([mmd(draws(20, 2, seed=i), draws(20, 2, seed=1000 + i), one) for i in range(200)])
    shifted = np.array([mmd(draws(20, 2, seed=i) + 1.0, draws(20, 2, seed=1000 + i), one) for i in range(200)])
    assert abs(same.mean()) < 4 * same.std() / np.sqrt(200)
    assert shifted.mean() > 0.05 > 20 * same.std() / np.sqrt(200)
    # Among equal samples the pairs (i, i) are 1: -2/M (1 - mean of the others).
    z = draws(20, 2)
    others = by_loops(z, z + 1e3, np.ones(20), "rbf", 4.0) - by_loops(z + 1e3, z, np.ones(20), "rbf", 4.0)
    assert others == pytest.approx(0.0, abs=1e-6)
    off = np.mean([KERNELS["rbf"](z[i], z[j], 4.0) for i in range(20) for j in range(20) if i != j])
    np.testing.assert_allclose(mmd(z, z, one, kernel="rbf"), -2 / 20 * (1 - off), rtol=1e-4)


@pytest.mark.parametrize("count", [0, 1])
def test_a_batch_of_fewer_than_two_rows_has_no_discrepancy(count):
    weights = tf.cast(tf.range(4) < count, tf.float32)
    assert mmd(draws(4, 2), draws(4, 2, seed=1), weights) == 0.0


def test_without_the_discrepancy_it_is_the_elbo():
    assert_same(spread(small_vae()), binary_data(7), InfoVAE(alpha=0.0, scale=1.0), SGVB_B())


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 0.5, 1.0])
def test_the_loss_equals_the_formula(alpha):
    vae, x, rows = spread(small_vae()), binary_data(6), rows_of(6)
    terms = terms_of(vae, x, InfoVAE(alpha=alpha, scale=10.0, num_samples=2, kernel="rbf"), rows)
    z = draw_latents(vae, tf.constant(x), rows, 2).z.numpy()
    p = random.normals(random.fold_in(rows.keys, random.PRIOR), LATENT)[0].numpy()
    discrepancy = np.mean([by_loops(one, p, np.ones(6), "rbf", 2 * LATENT) for one in z])
    # distortion + (1 - alpha) KL + (alpha + lambda - 1) MMD
    expected = terms.distortion + (1 - alpha) * terms.rate + (alpha + 9.0) * discrepancy
    np.testing.assert_allclose(terms.loss, expected, rtol=1e-4)
    elbo = terms_of(vae, x, SGVB_B(num_samples=2), rows_of(6))
    np.testing.assert_allclose(terms.distortion, elbo.distortion, rtol=1e-5)
    np.testing.assert_allclose(terms.rate, elbo.rate, rtol=1e-5)


def test_with_alpha_one_no_kl_is_left():
    """The gradient of the WAE is that of its distortion and its discrepancy: the latter pulls q(z) to p(z)."""
    vae, x = spread(small_vae()), binary_data(6)
    with_penalty, without = (
        value_and_gradient(vae, x, InfoVAE(alpha=1.0, scale=scale), variables=vae.encoder.trainable_variables)
        for scale in (50.0, 0.0)
    )
    with tf.GradientTape() as tape:
        distortion = tf.reduce_mean(terms_of(vae, x, SGVB_B()).distortion)
    for ours, theirs in zip(without[1], tape.gradient(distortion, vae.encoder.trainable_variables), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert max(np.abs(a - b).max() for a, b in zip(with_penalty[1], without[1], strict=True)) > 0.1


def test_a_scale_that_would_reward_the_discrepancy_is_refused():
    with pytest.raises(InputError, match=r"objective.scale: received 0.2, expected at least 1 - alpha, 0.5"):
        config.validate(InfoVAE(alpha=0.5, scale=0.2), "objective.")
    assert losses(spread(small_vae()), binary_data(2), InfoVAE(alpha=0.5, scale=0.5)).shape == [2]
