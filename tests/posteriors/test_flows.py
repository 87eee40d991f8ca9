"""The normalizing flows: their base, their determinants, their order, and who owns their variables."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tests.posteriors.families import posterior_of
from tfvae import posteriors, random
from tfvae.reparameterization import center, log_prob_of_draw, moments, reparameterize

ROWS, SIZE, CONTEXT = 3, 4, 5
FLOWS = [
    posteriors.InverseAutoregressiveFlow(num_flows=3, hidden=(12, 10), context_size=CONTEXT),
    posteriors.CouplingFlow(num_flows=3, hidden=(12,), context_size=CONTEXT),
]
flows = pytest.mark.parametrize("component", FLOWS, ids=lambda c: c.tag)


def built(component, *, stddev=0.5, size=SIZE):
    """A layer whose weights are drawn with `stddev`."""
    made = component.layer(size, None)
    made.build([None, component.params_size(size)])
    rng = np.random.default_rng(0)
    made.set_weights([rng.normal(size=w.shape) * stddev for w in made.get_weights()])
    return made


def params_of(component, *, size=SIZE, seed=1):
    return tf.constant(np.random.default_rng(seed).normal(size=(ROWS, component.params_size(size))), tf.float32)


def noise_of(num_samples=1, size=SIZE):
    return random.normals(random.row_keys(0, 1, rows=tf.range(ROWS)), size, num_samples=num_samples)


def distribution(layer, params):
    return layer(params).tensor_distribution


@flows
def test_with_zero_weights_it_is_its_base(component):
    params, noise = params_of(component), noise_of(2)
    q = distribution(built(component, stddev=0.0), params)
    normal = tfd.Independent(tfd.Normal(params[:, :SIZE], tf.nn.softplus(params[:, SIZE : 2 * SIZE]) + 1e-4), 1)
    z = reparameterize(normal, noise)
    np.testing.assert_allclose(reparameterize(q, noise), z, rtol=1e-6)
    np.testing.assert_allclose(log_prob_of_draw(q, noise, z), log_prob_of_draw(normal, noise, z), rtol=1e-6)
    np.testing.assert_allclose(q.log_prob(z), normal.log_prob(z), rtol=1e-5)


@flows
def test_it_begins_near_its_base(component):
    params, noise = params_of(component), noise_of()
    q = posterior_of(component, SIZE)(params)
    base = reparameterize(q.distribution, noise)
    difference = np.abs(reparameterize(q, noise) - base)
    assert 0 < difference.max() < 0.3


@flows
@pytest.mark.parametrize("size", [2, 3])
def test_the_density_has_the_determinant_of_the_jacobian(component, size):
    q, noise = distribution(built(component, size=size), params_of(component, size=size)), noise_of(size=size)[0]
    # The Jacobian of the whole map from noise to z, by central differences.
    step = 3e-3
    columns = [
        (reparameterize(q, noise + d) - reparameterize(q, noise - d)).numpy() / (2 * step)
        for d in step * np.eye(size, dtype=np.float32)
    ]
    jacobian = np.stack(columns, axis=-1)
    expected = -0.5 * np.sum(noise**2, axis=-1) - 0.5 * size * np.log(2 * np.pi) - np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(log_prob_of_draw(q, noise, reparameterize(q, noise)), expected, atol=2e-2)


@flows
def test_the_density_of_a_draw_is_the_density_of_its_inverse(component):
    q, noise = distribution(built(component), params_of(component)), noise_of(3)
    z = reparameterize(q, noise)
    ours = log_prob_of_draw(q, noise, z)
    assert ours.shape == [3, ROWS]
    # Other tensors, so that TFP's cache does not answer.
    np.testing.assert_allclose(ours, q.log_prob(tf.constant(z.numpy())), atol=2e-3)


@flows
def test_several_samples_are_each_drawn_under_their_own_context(component):
    made, params, noise = built(component), params_of(component), noise_of(3)
    z = reparameterize(distribution(made, params), noise)
    for row in range(ROWS):
        alone = distribution(made, params[row : row + 1])
        np.testing.assert_allclose(
            reparameterize(alone, noise[:, row : row + 1])[:, 0], z[:, row], rtol=1e-4, atol=1e-5
        )
    # The context alone, without the base, changes the draw.
    other = tf.concat([params[:, : 2 * SIZE], params[:, 2 * SIZE :] + 1.0], axis=1)
    assert np.all(np.abs(reparameterize(distribution(made, other), noise) - z) > 1e-6)


def test_each_step_of_iaf_sees_the_dimensions_before():
    q = distribution(built(posteriors.InverseAutoregressiveFlow(num_flows=1)), params_of(FLOWS[0].__class__()))
    start = noise_of()[0]
    with tf.GradientTape() as tape:
        tape.watch(start)
        z = q.bijector.forward(start)
    jacobian = tape.batch_jacobian(z, start).numpy()
    assert np.all(np.triu(jacobian, 1) == 0.0)
    lower = np.tril(np.ones([SIZE, SIZE], bool))
    assert np.all(jacobian[:, lower] != 0.0)
    # Neither the shift nor the scale of a dimension sees that dimension itself: the diagonal is the scale.
    scales = np.log(np.diagonal(jacobian, axis1=1, axis2=2)).sum(axis=1)
    np.testing.assert_allclose(q.bijector.forward_log_det_jacobian(start, event_ndims=1), scales, rtol=1e-4, atol=1e-5)


def test_steps_of_iaf_reverse_the_order():
    q = distribution(built(posteriors.InverseAutoregressiveFlow(num_flows=2)), params_of(FLOWS[0].__class__()))
    start = noise_of()[0]
    with tf.GradientTape() as tape:
        tape.watch(start)
        z = q.bijector.forward(start)
    assert np.all(tape.batch_jacobian(z, start).numpy() != 0.0)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_iaf_of_any_size(size):
    component = posteriors.InverseAutoregressiveFlow(hidden=(6,), context_size=0)
    q, noise = distribution(built(component, size=size), params_of(component, size=size)), noise_of(2, size)
    z = reparameterize(q, noise)
    np.testing.assert_allclose(log_prob_of_draw(q, noise, z), q.log_prob(tf.constant(z.numpy())), atol=2e-3)


@flows
def test_the_layer_owns_its_variables(component, tmp_path):
    made = built(component)
    kernels = component.num_flows * (len(component.hidden) + 1)
    assert len(made.trainable_variables) == 2 * kernels
    params, noise = params_of(component), noise_of()
    with tf.GradientTape() as tape:
        q = distribution(made, params)
        z = reparameterize(q, noise)
        value = tf.reduce_sum(z**2) + tf.reduce_sum(log_prob_of_draw(q, noise, z))
    for gradient in tape.gradient(value, made.trainable_variables):
        assert np.any(gradient.numpy() != 0.0)
    path = tf.train.Checkpoint(layer=made).save(str(tmp_path / "flow"))
    restored = built(component, stddev=0.1)
    assert not np.allclose(reparameterize(distribution(restored, params), noise), z)
    tf.train.Checkpoint(layer=restored).restore(path).assert_consumed()
    np.testing.assert_array_equal(reparameterize(distribution(restored, params), noise), z)


@flows
def test_moments_and_center_come_from_draws(component):
    q, noise = distribution(built(component), params_of(component)), noise_of(50)
    z = reparameterize(q, noise).numpy()
    mean, stddev = moments(q, noise)
    np.testing.assert_allclose(mean, z.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(stddev, z.std(axis=0), rtol=1e-4)
    np.testing.assert_allclose(center(q), reparameterize(q, tf.zeros([ROWS, SIZE])), rtol=1e-6)


# Transformed distributions in general -----------------------------------------


def test_a_bijector_over_vectors():
    base = tfd.Independent(tfd.Normal(tf.constant([[1.0, 2.0]] * ROWS), 0.3), 1)
    q = tfd.TransformedDistribution(base, tfb.ScaleMatvecTriL([[2.0, 0.0], [0.7, 0.5]]))
    noise = noise_of(3, 2)
    expected = tf.reduce_sum(tfd.Normal(0.0, 1.0).log_prob(noise), axis=-1) - np.log(0.3 * 0.3 * 2.0 * 0.5)
    np.testing.assert_allclose(log_prob_of_draw(q, noise, reparameterize(q, noise)), expected, rtol=1e-4)


def test_a_bijector_of_single_numbers_over_independent_ones():
    scalar = tfd.TransformedDistribution(tfd.Normal(tf.zeros([ROWS, 2]), 0.3), tfb.Exp())
    vector = tfd.TransformedDistribution(tfd.Independent(tfd.Normal(tf.zeros([ROWS, 2]), 0.3), 1), tfb.Exp())
    noise = noise_of(3, 2)
    for q in (tfd.Independent(scalar, 1), vector, tfd.Independent(tfd.LogNormal(tf.zeros([ROWS, 2]), 0.3), 1)):
        z = reparameterize(q, noise)
        np.testing.assert_allclose(z, np.exp(0.3 * noise), rtol=1e-5)
        np.testing.assert_allclose(log_prob_of_draw(q, noise, z), q.log_prob(tf.constant(z.numpy())), rtol=1e-4)


@flows
def test_gradients_of_known_expectations(component):
    # A flow that scales and shifts by constants: E sum z^2 of such a z is known, through every step.
    made, params = built(component), params_of(component)
    for variable in made.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    last = [conditioner.biases[-1] for conditioner in made.conditioners]
    noise = noise_of(20_000)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(params)
        q = distribution(made, params)
        z = reparameterize(q, noise)
        first, second = tf.reduce_sum(tf.reduce_mean(z, axis=0)), tf.reduce_sum(tf.reduce_mean(z**2, axis=0))
    loc, scale = params[:, :SIZE].numpy(), q.distribution.stddev().numpy()
    # With no shift and no scale E z = mu and E z^2 = mu^2 + sigma^2.
    np.testing.assert_allclose(tape.gradient(first, params)[:, :SIZE], np.ones_like(loc), rtol=1e-3)
    np.testing.assert_allclose(tape.gradient(second, params)[:, :SIZE], 2 * loc, atol=0.1)
    raw = tape.gradient(second, params)[:, SIZE : 2 * SIZE] / (1 - np.exp(-scale))
    np.testing.assert_allclose(raw, 2 * scale, rtol=0.1)
    # d E z^2 / d log scale of the last step is 2 E z^2 or its negative (an inverse), for the dimensions that it moves.
    moved = last[-1].shape[0] // 2
    slope = np.abs(tape.gradient(second, last[-1]).numpy()[moved:])
    total = np.sum(loc**2 + scale**2, axis=0)
    order = total[::-1] if len(made.conditioners) % 2 == 0 else total
    np.testing.assert_allclose(slope, 2 * order[-moved:], rtol=0.05)
