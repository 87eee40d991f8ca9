"""Each factorised posterior: its density, its draws, and the gradients that pass through them."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tests.posteriors.families import FAMILIES, NATURAL, by_tags, clamp, posterior_of, softplus
from tfvae import posteriors, random
from tfvae.posteriors.gamma_quantile import log_gamma_quantile
from tfvae.regularizers import rate
from tfvae.reparameterization import center, log_prob_of_draw, moments, reparameterize

ids = [f.posterior.tag for f in FAMILIES]
RAW = np.array([0.7, -0.3])


def noise_of(rows, size, *, num_samples=1, seed=0):
    return random.normals(random.row_keys(seed, 1, rows=tf.range(rows)), size, num_samples=num_samples)


def quadrature(num_points):
    """Noise `[num_points, 1, 1]` at the middles of equal parts of probability."""
    points = scipy.special.ndtri((np.arange(num_points) + 0.5) / num_points)
    return tf.constant(points[:, None, None], tf.float32)


@pytest.mark.parametrize("family", FAMILIES, ids=ids)
def test_the_density_is_the_one_documented(family):
    size, rows = 3, 4
    params = np.random.default_rng(0).normal(size=(rows, family.posterior.params_size(size)))
    assert params.shape[1] == size * family.raw_params
    q = posterior_of(family.posterior, size)(params)
    assert q.batch_shape == [rows] and q.event_shape == [size]
    noise = noise_of(rows, size, num_samples=50)
    z = reparameterize(q, noise)
    reference = family.reference(*np.split(params, family.raw_params, axis=1))
    # Where z is near 1, its float32 value alone does not say 1 - z.
    wide = np.minimum(z.numpy().astype(np.float64), 1 - 1e-3 if family.posterior.support == "unit" else np.inf)
    expected = reference.logpdf(wide).sum(axis=-1)
    np.testing.assert_allclose(q.log_prob(wide.astype(np.float32)), expected, rtol=1e-4, atol=1e-4)
    inside = np.all(wide == z, axis=-1)
    np.testing.assert_allclose(log_prob_of_draw(q, noise, z)[inside], expected[inside], rtol=1e-4, atol=2e-4)
    assert inside.mean() > 0.5


@pytest.mark.parametrize("family", FAMILIES, ids=ids)
def test_draws_follow_the_distribution(family):
    raw = RAW[: family.raw_params]
    q = posterior_of(family.posterior, 1)([raw])
    z = reparameterize(q, noise_of(1, 1, num_samples=5000))[:, 0, 0].numpy().astype(np.float64)
    assert scipy.stats.kstest(z, family.reference(*raw).cdf).pvalue > 0.01
    # Increasing in the noise: the quantile at Phi(noise), to the ends of float32.
    ends = reparameterize(q, tf.constant([-5.2, -2.0, 2.0, 5.2])[:, None, None])[:, 0, 0].numpy().astype(np.float64)
    at = family.reference(*raw)
    np.testing.assert_allclose(at.cdf(ends)[:2], scipy.special.ndtr([-5.2, -2.0]), rtol=1e-3)
    # Near 1 a float32 number has few digits of 1 - z.
    high = 1 if family.posterior.support == "unit" else 2
    np.testing.assert_allclose(at.sf(ends)[2:][:high], scipy.special.ndtr([-2.0, -5.2])[:high], rtol=1e-3)


def test_logistic_by_location_and_scale_is_logistic_by_inverse_cdf():
    loc, scale = np.array([[0.5, -2.0]]), np.array([[0.3, 2.0]])
    q = tfd.Independent(tfd.Logistic(tf.constant(loc, tf.float32), tf.constant(scale, tf.float32)), 1)
    noise = noise_of(1, 2, num_samples=200)
    z = reparameterize(q, noise)
    # F^-1(u) = mu - s log(1 / u - 1)
    u = scipy.special.ndtr(noise.numpy().astype(np.float64))
    inverse = loc - scale * np.log(1 / u - 1)
    np.testing.assert_allclose(z, inverse, rtol=1e-5, atol=1e-5)
    # q(z) = du/dz = u (1 - u) / s
    np.testing.assert_allclose(log_prob_of_draw(q, noise, z), np.log(u * (1 - u) / scale).sum(axis=-1), atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES, ids=ids)
def test_gradients_of_known_expectations(family):
    raw = RAW[: family.raw_params]
    make = posterior_of(family.posterior, 1)
    expectations = [(lambda z: z, lambda *p: family.reference(*p).mean())]
    expectations += [(tf.square, lambda *p: family.reference(*p).moment(2))]
    if family.mean_log:
        expectations += [(tf.math.log, family.mean_log)]
    noise = quadrature(40_000)
    for function, known in expectations:
        params = tf.constant([raw], tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(params)
            value = tf.reduce_mean(function(reparameterize(make(params), noise)))
        step = 1e-4 * np.eye(len(raw))
        gradient = [(known(*(raw + d)) - known(*(raw - d))) / 2e-4 for d in step]
        np.testing.assert_allclose(value, known(*raw), rtol=1e-2, atol=2e-3)
        np.testing.assert_allclose(tape.gradient(value, params)[0], gradient, rtol=2e-2, atol=5e-3)


@pytest.mark.parametrize("pair", NATURAL, ids=by_tags)
def test_all_is_finite_at_extreme_outputs(pair):
    component, prior = pair
    corners = np.random.default_rng(1).choice([-1e4, 1e4], size=(20, component.params_size(4)))
    params = tf.constant(np.concatenate([np.full_like(corners[:1], -1e4), np.full_like(corners[:1], 1e4), corners]))
    params, make, p = tf.cast(params, tf.float32), posterior_of(component, 4), prior.build(4)
    noise = noise_of(22, 4, num_samples=2)
    # The largest noise there is in either direction, too.
    noise = tf.concat([noise, tf.fill([1, 22, 4], 5.3), tf.fill([1, 22, 4], -5.3)], axis=0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(params)
        q = make(params)
        z = reparameterize(q, noise)
        values = [z, log_prob_of_draw(q, noise, z), p.log_prob(z), rate(q, p, noise, z), *moments(q, noise)]
        mean_draw = tf.reduce_mean(z)
    for value in values:
        assert np.all(np.isfinite(value))
    for value in [mean_draw, values[1], values[2], values[3]]:
        assert np.all(np.isfinite(tape.gradient(value, params)))
    assert np.all(values[3] > -1e-3)
    if component.support != "real":
        assert np.all(z > 0)
    if component.support == "unit":
        assert np.all(z < 1)


# The Dirichlet is left out: its quantile is that of the gamma, which takes long to compile.
@pytest.mark.parametrize("pair", [p for p in NATURAL if p[0].tag != "dirichlet"], ids=by_tags)
def test_eager_and_xla_agree(pair):
    component, _ = pair
    make = posterior_of(component, 2)
    params = tf.constant(np.random.default_rng(2).normal(size=(3, component.params_size(2))), tf.float32)
    noise = noise_of(3, 2, num_samples=2)

    def draw(params):
        with tf.GradientTape() as tape:
            tape.watch(params)
            q = make(params)
            z = reparameterize(q, noise)
            log_prob = log_prob_of_draw(q, noise, z)
        return z, log_prob, tape.gradient(log_prob, params)

    eager = draw(params)
    for ours, expected in zip(tf.function(draw, jit_compile=True)(params), eager, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=2e-4, atol=2e-5)


def test_the_density_of_a_draw_keeps_its_digits_where_the_scale_is_small_beside_the_mean():
    noise, u = tf.constant([[0.5]]), scipy.special.ndtr(0.5)
    logistic = np.log(u * (1 - u)) - np.log(1e-4)
    for family, expected in [(tfd.Logistic, logistic), (tfd.Laplace, np.log(1 - u) - np.log(1e-4))]:
        q = tfd.Independent(family([[1e4]], [[1e-4]]), 1)
        np.testing.assert_allclose(log_prob_of_draw(q, noise, reparameterize(q, noise)), [expected], rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES, ids=ids)
def test_moments_and_center_are_those_of_the_distribution(family):
    raw = RAW[: family.raw_params]
    q, reference = posterior_of(family.posterior, 1)([raw]), family.reference(*raw)
    mean, stddev = moments(q, noise_of(1, 1, num_samples=3))
    np.testing.assert_allclose(mean, [[reference.mean()]], rtol=1e-4)
    np.testing.assert_allclose(stddev, [[reference.std()]], rtol=1e-3)
    np.testing.assert_allclose(center(q), mean)


def test_a_variance_that_is_not_finite_is_taken_from_draws():
    q = tfd.Independent(tfd.StudentT(1.5, [[0.7]], [[2.0]]), 1)
    assert np.all(np.isinf(q.stddev()))
    noise = noise_of(1, 1, num_samples=500)
    mean, stddev = moments(q, noise)
    np.testing.assert_allclose(mean, [[0.7]])
    np.testing.assert_allclose(stddev, tf.math.reduce_std(reparameterize(q, noise), axis=0), rtol=1e-5)


# Gamma and Dirichlet ----------------------------------------------------------


def exact_log_quantile(a, noise):
    lower, upper = scipy.special.ndtr(noise), scipy.special.ndtr(-noise)
    return np.log(np.where(noise < 0, scipy.stats.gamma.ppf(lower, a), scipy.stats.gamma.isf(upper, a)))


@pytest.mark.parametrize("a", [0.05, 0.2, 0.9, 1.0, 3.0, 50.0, 1000.0])
def test_the_gamma_quantile_is_exact_in_both_tails(a):
    noise = np.linspace(-5.3, 5.3, 201).astype(np.float32)
    a64, noise64 = np.float64(np.float32(a)), noise.astype(np.float64)
    shape = tf.fill([201], np.float32(a))
    with tf.GradientTape() as tape:
        tape.watch(shape)
        log_z = log_gamma_quantile(shape, tf.constant(noise))
    expected, h = exact_log_quantile(a64, noise64), 1e-5 * a64
    # SciPy's own quantile underflows where the shape is small.
    known = expected > -600
    assert known.sum() > 100
    np.testing.assert_allclose(log_z[known], expected[known], atol=1e-4, rtol=1e-5)
    gradient = (exact_log_quantile(a64 + h, noise64) - exact_log_quantile(a64 - h, noise64)) / (2 * h)
    np.testing.assert_allclose(tape.gradient(log_z, shape)[known], gradient[known], rtol=1e-3, atol=1e-6)


def dirichlet(alpha):
    return tfd.Dirichlet(tf.constant([alpha], tf.float32))


def test_the_dirichlet_posterior_is_the_dirichlet_of_its_parameters():
    params = np.random.default_rng(3).normal(size=(4, 3))
    q = posterior_of(posteriors.Dirichlet(concentration_floor=0.3), 3)(params)
    noise = noise_of(4, 3, num_samples=20)
    z = reparameterize(q, noise)
    np.testing.assert_allclose(tf.reduce_sum(z, axis=-1), np.ones([20, 4]), rtol=1e-5)
    alpha = clamp(softplus(params), 1000) + 0.3
    expected = [[scipy.stats.dirichlet.logpdf(p / p.sum(), a) for p, a in zip(row, alpha, strict=True)]
                for row in z.numpy().astype(np.float64)]  # fmt: skip
    np.testing.assert_allclose(log_prob_of_draw(q, noise, z), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("alpha", [[0.3, 1.0, 4.0], [20.0, 7.0]])
def test_dirichlet_draws_have_beta_marginals(alpha):
    z = reparameterize(dirichlet(alpha), noise_of(1, len(alpha), num_samples=5000))[:, 0].numpy().astype(np.float64)
    for j, a in enumerate(alpha):
        assert scipy.stats.kstest(z[:, j], scipy.stats.beta(a, sum(alpha) - a).cdf).pvalue > 0.01


def test_the_gradient_of_an_expectation_through_the_dirichlet():
    alpha = np.array([0.5, 1.0, 3.0])
    params, factors = tf.constant([alpha], tf.float32), tf.constant([1.0, -2.0, 3.0])
    noise = noise_of(1, 3, num_samples=20_000)
    with tf.GradientTape() as tape:
        tape.watch(params)
        value = tf.reduce_mean(tf.reduce_sum(factors * tf.math.log(reparameterize(tfd.Dirichlet(params), noise)), -1))
    # E log z_j = psi(alpha_j) - psi(sum alpha)
    total = alpha.sum()
    digamma, trigamma = scipy.special.digamma, lambda a: scipy.special.polygamma(1, a)
    np.testing.assert_allclose(value, np.sum(factors * (digamma(alpha) - digamma(total))), atol=0.1)
    expected = factors * trigamma(alpha) - np.sum(factors) * trigamma(total)
    np.testing.assert_allclose(tape.gradient(value, params)[0], expected, rtol=0.03, atol=0.03)


def test_a_draw_of_small_concentrations_stays_in_the_simplex():
    z = reparameterize(dirichlet([0.05] * 5), noise_of(1, 5, num_samples=1000)).numpy()
    assert np.all(z > 0) and np.all(np.isfinite(z))
    np.testing.assert_allclose(z.sum(axis=-1), 1.0, rtol=1e-5)
