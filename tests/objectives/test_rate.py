import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.helpers import binary_data, small_vae
from tests.objectives.common import (
    assert_same,
    by_hand,
    kl_by_hand,
    losses,
    rows_of,
    spread,
    terms_of,
    value_and_gradient,
)
from tfvae import posteriors, schedules
from tfvae.errors import InputError
from tfvae.objectives import SGVB_A, SGVB_B, Capacity, FreeBits


def test_no_capacity_at_the_price_of_one_is_the_elbo():
    vae, x = spread(small_vae()), binary_data(7)
    assert_same(vae, x, Capacity(gamma=1.0, capacity=0.0), SGVB_B())


@pytest.mark.parametrize("share", [0.9, 1.1])
@pytest.mark.parametrize("factor", [0.25, 1.0])
def test_the_batch_pays_for_its_distance_from_the_capacity(share, factor):
    vae, x, rows = spread(small_vae()), binary_data(7), rows_of(7)
    mean, scale, _, _, distortion = by_hand(vae, x, rows.keys, 2)
    rates = kl_by_hand(mean, scale).sum(axis=1)
    rate, capacity = rates.mean(), share * rates.mean() / factor
    # Single rows lie on both sides, whatever their mean does.
    assert rates.min() < capacity * factor < rates.max()
    rows.step = tf.constant(int(8 * factor), tf.int64)
    objective = Capacity(gamma=3.0, capacity=capacity, capacity_schedule=schedules.Linear(num_steps=8), num_samples=2)
    loss, gradient = value_and_gradient(vae, x, objective, rows)
    # distortion + gamma |KL - C|
    np.testing.assert_allclose(loss, distortion.mean() + 3.0 * abs(rate - capacity * factor), rtol=1e-5)
    # Above the capacity the rate costs gamma, below it it earns gamma.
    with tf.GradientTape() as tape:
        terms = terms_of(vae, x, SGVB_B(num_samples=2))
        side = tf.sign(tf.constant(rate - capacity * factor, tf.float32))
        expected = tf.reduce_mean(terms.distortion + 3.0 * side * terms.rate)
    for ours, theirs in zip(gradient, tape.gradient(expected, vae.trainable_variables), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_without_free_bits_it_is_the_elbo():
    vae, x = spread(small_vae()), binary_data(7)
    assert_same(vae, x, FreeBits(free_nats=0.0), SGVB_B())


def test_a_dimension_costs_no_less_than_its_free_nats():
    vae, x, rows = spread(small_vae()), binary_data(7), rows_of(7)
    mean, scale, _, _, distortion = by_hand(vae, x, rows.keys, 2)
    rates = kl_by_hand(mean, scale)
    free = float(np.sort(rates.mean(axis=0))[:2].mean())  # one dimension below it, two above
    objective = FreeBits(free_nats=free, num_samples=2)
    loss, gradient = value_and_gradient(vae, x, objective, rows)
    # distortion + sum_j max(lambda, mean_i KL_ij)
    np.testing.assert_allclose(loss, distortion.mean() + np.maximum(free, rates.mean(axis=0)).sum(), rtol=1e-5)
    # The rate stays that of the ELBO.
    np.testing.assert_allclose(terms_of(vae, x, objective).rate, rates.sum(axis=1), rtol=1e-4)
    with tf.GradientTape() as tape:
        distortion = terms_of(vae, x, SGVB_B(num_samples=2)).distortion
        q = vae.encode(x).distribution
        kl = 0.5 * (q.loc**2 + q.scale**2 - tf.math.log(q.scale**2) - 1)
        paid = tf.constant(rates.mean(axis=0) > free, tf.float32)
        expected = tf.reduce_mean(distortion) + tf.reduce_sum(paid * tf.reduce_mean(kl, axis=0))
    for ours, theirs in zip(gradient, tape.gradient(expected, vae.trainable_variables), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_without_a_closed_form_the_rates_come_from_the_draws():
    vae, x = spread(small_vae(posterior=posteriors.Logistic())), binary_data(4)
    vae.regularizer.prior = tfp.distributions.Independent(tfp.distributions.Laplace(tf.zeros(3), 1.0), 1)
    assert vae.kl_estimator == "monte_carlo"
    sampled = terms_of(vae, x, SGVB_A(num_samples=3)).rate
    for objective in (FreeBits(num_samples=3), Capacity(num_samples=3)):
        np.testing.assert_allclose(terms_of(vae, x, objective).rate, sampled, rtol=1e-4)


@pytest.mark.parametrize("objective", [Capacity(gamma=3.0, capacity=0.5), FreeBits(free_nats=0.6)])
def test_the_users_weights_weigh_the_mean_of_the_batch(objective):
    """A row of weight 2 is that row twice."""
    vae, x, rows = spread(small_vae()), binary_data(3), rows_of(3)
    rows.weights = tf.constant([2.0, 0.0, 1.0])
    twice, repeated = rows_of(3), np.array([0, 0, 2])
    twice.keys = tf.gather(rows.keys, repeated)
    weighted = value_and_gradient(vae, x, objective, rows)
    repeated = value_and_gradient(vae, x[repeated], objective, twice)
    np.testing.assert_allclose(weighted[0], repeated[0], rtol=1e-5)
    for ours, theirs in zip(weighted[1], repeated[1], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_free_bits_refuse_what_does_not_factorise():
    vae = small_vae(posterior=posteriors.FullNormal())
    with pytest.raises(InputError, match="^objective: received free_bits for the posterior .*TriL and the prior Indep"):
        losses(vae, binary_data(3), FreeBits())
