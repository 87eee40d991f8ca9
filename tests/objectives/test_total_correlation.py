import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import binary_data, small_vae
from tests.objectives.common import LATENT, assert_same, by_hand, losses, normal_log_prob, rows_of, spread, terms_of
from tfvae import posteriors
from tfvae.errors import InputError
from tfvae.objectives import SGVB_A, BetaTCVAE, decompose
from tfvae.objectives.base import draw_latents

N = 1234


def vae_for(size=N, **kwargs):
    vae = spread(small_vae(**kwargs))
    vae.num_examples = size
    return vae


def parts_by_hand(mean, scale, z, weights):
    """The three parts `[rows]`, pair by pair, in minibatch-weighted sampling."""
    num_samples, rows, _ = z.shape
    parts = np.zeros([3, rows])
    for i in range(rows):
        for sample in range(num_samples):
            point = z[sample, i]
            joint, marginals = 0.0, np.zeros(LATENT)
            for m in range(rows):
                densities = np.exp(normal_log_prob(point, mean[m], scale[m]))
                joint += weights[m] * np.prod(densities)
                marginals += weights[m] * densities
            # q(z) = 1/(N M) sum_m q(z|x_m)
            log_q = np.log(joint / (N * weights.sum()))
            log_q_dimensions = np.log(marginals / (N * weights.sum())).sum()
            log_posterior = normal_log_prob(point, mean[i], scale[i]).sum()
            parts[0, i] += log_posterior - log_q
            parts[1, i] += log_q - log_q_dimensions
            parts[2, i] += log_q_dimensions - normal_log_prob(point).sum()
    return parts / num_samples


def test_all_weights_one_is_the_sampled_elbo():
    assert_same(vae_for(), binary_data(7), BetaTCVAE(beta=1.0), SGVB_A(), atol=1e-4)


@pytest.mark.parametrize("num_samples", [1, 3])
def test_the_parts_equal_the_double_loop(num_samples):
    vae, x, rows = vae_for(), binary_data(6), rows_of(6)
    draws = draw_latents(vae, tf.constant(x), rows, num_samples)
    found = decompose(draws, vae.prior, draws.posterior.distribution, rows, num_examples=N)
    mean, scale, _, z, distortion = by_hand(vae, x, rows.keys, num_samples)
    expected = parts_by_hand(mean, scale, z, np.ones(6))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    terms = terms_of(vae, x, BetaTCVAE(num_samples=num_samples, alpha=0.5, beta=4.0, gamma=2.0), rows)
    weighted = distortion.mean(axis=0) + np.tensordot([0.5, 4.0, 2.0], expected, axes=1)
    np.testing.assert_allclose(terms.loss, weighted, rtol=1e-3)
    np.testing.assert_allclose(terms.rate, expected.sum(axis=0), rtol=1e-3, atol=1e-3)


def test_weights_of_rows_count_and_rows_without_weight_count_nothing():
    vae, x, rows = vae_for(), binary_data(5), rows_of(5)
    rows.weights = tf.constant([2.0, 0.0, 1.0, 0.0, 0.5])
    draws = draw_latents(vae, tf.constant(x), rows, 1)
    found = decompose(draws, vae.prior, draws.posterior.distribution, rows, num_examples=N)
    mean, scale, _, z, _ = by_hand(vae, x, rows.keys, 1)
    expected = parts_by_hand(mean, scale, z, rows.weights.numpy())
    real = [0, 2, 4]
    np.testing.assert_allclose(np.array(found)[:, real], expected[:, real], rtol=1e-3, atol=1e-3)


def test_it_needs_the_size_of_the_data_set():
    with pytest.raises(InputError, match="^objective: received beta_tcvae with num_examples=None, expected the size"):
        losses(vae_for(None), binary_data(3), BetaTCVAE())


def test_it_refuses_what_does_not_factorise():
    vae = vae_for(posterior=posteriors.FullNormal())
    with pytest.raises(InputError, match="^objective: received beta_tcvae for the posterior .*TriL and the prior I"):
        losses(vae, binary_data(3), BetaTCVAE())
