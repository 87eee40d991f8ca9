import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tfvae import posteriors, priors, random
from tfvae.posteriors import FullNormal, Normal
from tfvae.regularizers import kl_divergence, plain
from tfvae.reparameterization import log_prob_of_draw, reparameterize
from tfvae.rows import Rows

tfd = tfp.distributions
RNG = np.random.default_rng(1)


def layer(component, size, **kwargs):
    """The distribution over `size` latents as a function of the parameters."""
    made = component.layer(size, None)
    return lambda params: plain(made(tf.convert_to_tensor(params, tf.float32)))


def softplus(x):
    return np.logaddexp(x, 0.0)


def triangle(raw, size, floor):
    """L of a posterior with these raw numbers, by the clockwise spiral of `fill_triangular`."""
    # TFP fills the rows of concat(raw[size:], reversed raw), and keeps the lower triangle.
    square = np.tril(np.concatenate([raw[size:], raw[::-1]])[: size * size].reshape(size, size))
    diagonal = softplus(np.diag(square)) + floor
    return np.tril(square, -1) + np.diag(diagonal)


@pytest.mark.parametrize("size", [1, 3])
def test_normal_is_the_normal_of_its_parameters(size):
    component = Normal(scale_floor=0.01)
    params = RNG.normal(size=(4, component.params_size(size)))
    assert params.shape[1] == 2 * size
    q = layer(component, size)(params)
    z = RNG.normal(size=(4, size)).astype(np.float32)
    scale = softplus(params[:, size:]) + 0.01
    expected = scipy.stats.norm.logpdf(z, params[:, :size], scale).sum(axis=1)
    np.testing.assert_allclose(q.log_prob(z), expected, rtol=1e-4)
    np.testing.assert_allclose(q.stddev(), scale, rtol=1e-5)
    assert q.batch_shape == [4] and q.event_shape == [size]


@pytest.mark.parametrize("size", [1, 3, 4])
def test_full_normal_is_the_normal_of_its_parameters(size):
    component = FullNormal(scale_floor=0.01)
    params = RNG.normal(size=(4, component.params_size(size)))
    assert params.shape[1] == size + size * (size + 1) // 2
    q = layer(component, size)(params)
    z = RNG.normal(size=(4, size)).astype(np.float32)
    for row in range(4):
        lower = triangle(params[row, size:], size, 0.01)
        expected = scipy.stats.multivariate_normal.logpdf(z[row], params[row, :size], lower @ lower.T)
        np.testing.assert_allclose(q.log_prob(z)[row], expected, rtol=1e-3)
        np.testing.assert_allclose(q.covariance()[row], lower @ lower.T, rtol=1e-4, atol=1e-5)


def test_full_normal_with_zero_corners_is_the_normal():
    size, rows = 3, 5
    mean, raw = RNG.normal(size=(2, rows, size))
    wide = np.zeros((rows, 6))
    # The diagonal of fill_triangular(a) for 3 are a[3], a[4], a[0].
    wide[:, [3, 4, 0]] = raw
    diagonal = layer(Normal(scale_floor=0.1), size)(np.concatenate([mean, raw], axis=1))
    full = layer(FullNormal(scale_floor=0.1), size)(np.concatenate([mean, wide], axis=1))
    noise = tf.constant(RNG.normal(size=(2, rows, size)), tf.float32)
    z = reparameterize(diagonal, noise)
    np.testing.assert_allclose(reparameterize(full, noise), z, rtol=1e-5)
    np.testing.assert_allclose(full.log_prob(z), diagonal.log_prob(z), rtol=1e-4)
    prior = priors.standard_normal(size)
    np.testing.assert_allclose(kl_divergence(full, prior), kl_divergence(diagonal, prior), rtol=1e-5)


# Reparameterization -----------------------------------------------------------


def unit_noise(size, rows):
    """2 `size` points `[2 size, rows, size]` of mean 0 and covariance I: expectations of quadratics are exact."""
    points = np.sqrt(size) * np.concatenate([np.eye(size), -np.eye(size)])
    return tf.constant(np.repeat(points[:, None, :], rows, axis=1), tf.float32)


def mean_square_gradients(make, *parameters, noise):
    """E sum_i i z_i^2, i = 1, 2, ..., and its gradients, where z is drawn through `reparameterize`."""
    parameters = [tf.Variable(value, dtype=tf.float32) for value in parameters]
    with tf.GradientTape() as tape:
        z = reparameterize(make(*parameters), noise)
        value = tf.reduce_sum(tf.reduce_mean(z**2, axis=0) * tf.range(1.0, z.shape[-1] + 1))
    return float(value), [tf.convert_to_tensor(g).numpy() for g in tape.gradient(value, parameters)]


@pytest.mark.parametrize("independent", [False, True])
def test_gradients_of_a_mean_square_through_the_normal(independent):
    mean, scale = np.array([[0.5, -2.0], [0.0, 3.0]]), np.array([[0.1, 1.0], [2.0, 0.7]])

    def make(loc, scale):
        q = tfd.Normal(loc, scale)
        return tfd.Independent(q, 1) if independent else q

    # E z^2 = mu^2 + sigma^2
    factors = np.array([1, 2])
    value, (d_mean, d_scale) = mean_square_gradients(make, mean, scale, noise=unit_noise(2, 2))
    np.testing.assert_allclose(value, np.sum(factors * (mean**2 + scale**2)), rtol=1e-5)
    np.testing.assert_allclose(d_mean, 2 * factors * mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(d_scale, 2 * factors * scale, rtol=1e-5)


def test_gradients_of_a_mean_square_through_the_full_normal():
    mean = np.array([[0.5, -2.0, 1.0]])
    lower = np.array([[[0.5, 0, 0], [-1.0, 0.3, 0], [2.0, 0.7, 1.5]]])
    value, (d_mean, d_lower) = mean_square_gradients(tfd.MultivariateNormalTriL, mean, lower, noise=unit_noise(3, 1))
    # E z_i^2 = mu_i^2 + sum_j L_ij^2
    factors = np.array([1, 2, 3])
    np.testing.assert_allclose(value, np.sum(factors * (mean**2 + np.sum(lower**2, axis=2))), rtol=1e-5)
    np.testing.assert_allclose(d_mean, 2 * factors * mean, rtol=1e-5)
    np.testing.assert_allclose(np.tril(d_lower[0]), 2 * factors[:, None] * lower[0], rtol=1e-5, atol=1e-5)


def test_draws_have_the_moments_of_the_posterior():
    q = layer(FullNormal(), 2)(np.array([[1.0, -2.0, 0.5, 1.0, -1.0]]))
    z = reparameterize(q, random.normals(random.row_keys(0, 1, rows=[0]), 2, num_samples=50_000))[:, 0].numpy()
    np.testing.assert_allclose(z.mean(axis=0), q.mean()[0], atol=0.03)
    np.testing.assert_allclose(np.cov(z.T), q.covariance()[0], atol=0.05)


def test_a_distribution_without_a_way_is_named():
    with pytest.raises(TypeError, match="Cauchy has no registered reparameterization"):
        reparameterize(tfd.Cauchy([0.0], 1.0), tf.zeros([1, 1]))


@pytest.mark.parametrize("component", [Normal(), FullNormal()], ids=lambda c: c.tag)
def test_in_a_step_a_draw_belongs_to_its_row(component):
    params = RNG.normal(size=(5, component.params_size(2)))
    keys = random.row_keys(3, random.TRAINING, step=1, rows=tf.range(5))
    made = component.layer(2, None)

    def draw(which):
        rows = Rows(weights=tf.ones(len(which)), total=tf.constant(5.0), keys=tf.gather(keys, which))
        with rows.current():
            return tf.convert_to_tensor(made(tf.constant(params[which], tf.float32))).numpy()

    whole = draw([0, 1, 2, 3, 4])
    np.testing.assert_allclose(draw([3, 1]), whole[[3, 1]], rtol=1e-6)
    noise = random.normals(keys, 2)[0]
    np.testing.assert_allclose(whole, reparameterize(layer(component, 2)(params), noise), rtol=1e-5)


def test_outside_a_step_a_draw_follows_tensorflows_seed():
    q, params = Normal().layer(2, None), tf.zeros([4, 4])
    draws = []
    for seed in (1, 1, 2):
        tf.random.set_seed(seed)
        draws.append(tf.convert_to_tensor(q(params)).numpy())
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


# Extremes ---------------------------------------------------------------------


@pytest.mark.parametrize("floor", [1e-4, 0.25])
def test_the_scale_never_falls_below_its_floor(floor):
    q = layer(Normal(scale_floor=floor), 2)(np.array([[0, 0, -1e4, -np.inf]]))
    np.testing.assert_allclose(q.stddev(), floor, rtol=1e-6)
    q = layer(FullNormal(scale_floor=floor), 2)(np.array([[0, 0, -1e4, -1e4, 0.0]]))
    np.testing.assert_allclose(tf.linalg.diag_part(q.scale.to_dense())[0, 1], floor, rtol=1e-6)
    np.testing.assert_allclose(
        posteriors.positive(tf.constant([-200.0, 0.0]), floor), [floor, np.log(2) + floor], rtol=1e-6
    )


def extremes(num_params):
    """Rows of encoder outputs at the ends: all low, all high, and random corners."""
    corners = RNG.choice([-1e4, 1e4], size=(30, num_params))
    return np.concatenate([np.full((1, num_params), -1e4), np.full((1, num_params), 1e4), corners])


@pytest.mark.parametrize("size", [1, 2, 4, 20])
@pytest.mark.parametrize("component", [Normal(), FullNormal()], ids=lambda c: c.tag)
def test_the_kl_is_finite_at_extreme_outputs(component, size):
    params = tf.Variable(extremes(component.params_size(size)), dtype=tf.float32)
    with tf.GradientTape() as tape:
        kl = kl_divergence(layer(component, size)(params), priors.standard_normal(size))
    assert np.all(np.isfinite(kl)) and np.all(kl >= 0)
    assert np.all(np.isfinite(tape.gradient(kl, params)))


@pytest.mark.parametrize("size", [1, 2, 4, 20])
@pytest.mark.parametrize("component", [Normal(), FullNormal()], ids=lambda c: c.tag)
def test_the_density_of_a_draw_is_finite_at_extreme_outputs(component, size):
    params = tf.Variable(extremes(component.params_size(size)), dtype=tf.float32)
    noise = random.normals(random.row_keys(0, 1, rows=tf.range(params.shape[0])), size)[0]
    with tf.GradientTape() as tape:
        q = layer(component, size)(params)
        log_density = log_prob_of_draw(q, noise, reparameterize(q, noise))
    assert np.all(np.isfinite(log_density))
    assert np.all(np.isfinite(tape.gradient(log_density, params)))


@pytest.mark.parametrize("component", [Normal(), FullNormal()], ids=lambda c: c.tag)
def test_the_density_of_a_draw_is_that_of_the_distribution(component):
    params = np.random.default_rng(0).normal(size=(6, component.params_size(4))).astype(np.float32)
    q = layer(component, 4)(tf.constant(params))
    noise = random.normals(random.row_keys(0, 1, rows=tf.range(6)), 4, num_samples=3)
    z = reparameterize(q, noise)
    ours = log_prob_of_draw(q, noise, z)
    assert ours.shape == (3, 6)
    np.testing.assert_allclose(ours, q.log_prob(z), rtol=1e-3)
    # A distribution that registers no way of its own is asked for its density at z.
    uniform = tfd.Independent(tfd.Uniform(tf.zeros([6, 4]), 2.0), 1)
    np.testing.assert_allclose(log_prob_of_draw(uniform, noise, 0.0 * z + 1.0), np.full((3, 6), -4 * np.log(2)))


def test_the_density_of_a_draw_keeps_its_digits_where_the_scale_is_small_beside_the_mean():
    q = tfd.Independent(tfd.Normal([[1e4]], [[1e-4]]), 1)
    noise = tf.constant([[0.5]])
    exact = -0.5 * 0.25 - 0.5 * np.log(2 * np.pi) - np.log(1e-4)
    np.testing.assert_allclose(log_prob_of_draw(q, noise, reparameterize(q, noise)), [exact], rtol=1e-6)
