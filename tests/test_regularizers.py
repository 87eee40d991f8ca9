"""The KL against formulas in NumPy and Monte Carlo, and the regularizer inside and outside a step."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfvae import posteriors, priors, random
from tfvae.regularizers import KLRegularizer, closed_form, kl_divergence, log_ratio, plain, rate
from tfvae.reparameterization import reparameterize
from tfvae.rows import Rows

tfd, tfpl = tfp.distributions, tfp.layers
SIZE = 3
RNG = np.random.default_rng(0)
MEAN = RNG.normal(size=(4, SIZE)).astype(np.float32)
SCALE = RNG.uniform(0.2, 2.0, size=(4, SIZE)).astype(np.float32)
TRIL = (np.tril(RNG.normal(size=(4, SIZE, SIZE)), -1) + np.einsum("ni,ij->nij", SCALE, np.eye(SIZE))).astype(np.float32)
PRIOR_MEAN, PRIOR_SCALE = np.array([0.5, -1.0, 0.0], np.float32), np.array([1.0, 0.5, 3.0], np.float32)


def normal(mean, scale):
    return tfd.Independent(tfd.Normal(mean, scale), 1)


def full_kl(mean, cov, prior_mean, prior_cov):
    """KL between two multivariate normals: 1/2 (tr S1^-1 S0 + d^T S1^-1 d - k + ln det S1 / det S0)."""
    precision, difference = np.linalg.inv(prior_cov), prior_mean - mean
    ratio = np.linalg.slogdet(prior_cov)[1] - np.linalg.slogdet(cov)[1]
    return 0.5 * (np.trace(precision @ cov) + difference @ precision @ difference - len(mean) + ratio)


POSTERIORS = {
    "diagonal": (normal(MEAN, SCALE), np.einsum("ni,ij->nij", SCALE**2, np.eye(SIZE))),
    "full": (tfd.MultivariateNormalTriL(MEAN, TRIL), TRIL @ TRIL.swapaxes(1, 2)),
}
PRIORS = {
    "standard": (priors.standard_normal(SIZE), np.zeros(SIZE), np.eye(SIZE)),
    "diagonal": (normal(PRIOR_MEAN, PRIOR_SCALE), PRIOR_MEAN, np.diag(PRIOR_SCALE**2)),
}


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_kl_equals_the_formula_and_monte_carlo(posterior, prior):
    q, covariances = POSTERIORS[posterior]
    p, prior_mean, prior_cov = PRIORS[prior]
    kl = kl_divergence(q, p)
    expected = [full_kl(m, c, prior_mean, prior_cov) for m, c in zip(MEAN, covariances, strict=True)]
    np.testing.assert_allclose(kl, expected, rtol=1e-5)
    z = reparameterize(q, random.normals(random.row_keys(0, 1, rows=tf.range(4)), SIZE, num_samples=20_000))
    log_ratio = (q.log_prob(z) - p.log_prob(z)).numpy()
    error = log_ratio.std(axis=0) / np.sqrt(len(log_ratio))
    assert np.all(np.abs(log_ratio.mean(axis=0) - expected) < 4 * error)
    assert np.all(error < 0.05 * np.array(expected))


def test_kl_of_a_full_posterior_from_a_full_prior():
    prior = tfd.MultivariateNormalTriL(PRIOR_MEAN, TRIL[0])
    kl = kl_divergence(POSTERIORS["full"][0], prior)
    expected = [full_kl(m, t @ t.T, PRIOR_MEAN, TRIL[0] @ TRIL[0].T) for m, t in zip(MEAN, TRIL, strict=True)]
    np.testing.assert_allclose(kl, expected, rtol=1e-4)


@pytest.mark.parametrize("full", [False, True])
def test_kl_is_zero_for_the_prior_itself(full):
    zeros, ones = np.zeros((2, SIZE), np.float32), np.ones((2, SIZE), np.float32)
    q = tfd.MultivariateNormalTriL(zeros, np.eye(SIZE, dtype=np.float32)[None]) if full else normal(zeros, ones)
    np.testing.assert_allclose(kl_divergence(q, priors.standard_normal(SIZE)), 0.0, atol=1e-6)


@pytest.mark.parametrize(
    "prior",
    [
        tfd.Independent(tfd.Laplace(tf.zeros(SIZE), 1.0), 1),
        tfd.MixtureSameFamily(tfd.Categorical([0.0, 0.0]), normal(MEAN[:2], SCALE[:2])),
    ],
    ids=["laplace", "mixture"],
)
def test_a_kl_without_a_closed_form_is_refused(prior):
    with pytest.raises(NotImplementedError, match=f"no closed-form KL against {prior.name}"):
        kl_divergence(POSTERIORS["full"][0], prior)


# The regularizer --------------------------------------------------------------

KL = 0.5 * np.sum(MEAN**2 + SCALE**2 - np.log(SCALE**2) - 1, axis=1)  # from N(0, I)
PARAMS = np.concatenate([MEAN, np.log(np.expm1(SCALE))], axis=1).astype(np.float32)


def encoder(weight=1.0, layer=posteriors.IndependentNormal, **kwargs):
    """Parameters in, posterior out; with its regularizer."""
    regularizer = KLRegularizer(priors.standard_normal(SIZE), weight)
    kwargs = {"scale_floor": 1e-7} | kwargs if layer is posteriors.IndependentNormal else kwargs
    inputs = tf_keras.layers.Input([2 * SIZE])
    outputs = layer(SIZE, activity_regularizer=regularizer, **kwargs)(inputs)
    return tf_keras.Model(inputs, outputs), regularizer


def added(model, params=PARAMS):
    """What the regularizers add to the loss."""
    model(params)
    return float(tf.add_n(model.losses))


def rows_of(weights, total, **kwargs):
    weights = tf.constant(weights, tf.float32)
    keys = random.row_keys(0, random.TRAINING, rows=tf.range(len(weights)))
    return Rows(weights=weights, total=tf.constant(total, tf.float32), keys=keys, **kwargs)


SAMPLE_10 = {"convert_to_tensor_fn": lambda q: q.sample(10)}
LAYERS = {
    "own": {},
    "own, ten samples": SAMPLE_10,
    "own, mean": {"convert_to_tensor_fn": tfd.Distribution.mean},
    "stock": {"layer": tfpl.IndependentNormal},
    "stock, ten samples": {"layer": tfpl.IndependentNormal} | SAMPLE_10,
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("weight", [1.0, 4.0])
def test_outside_a_step_the_mean_kl_is_added_once(name, weight):
    model, _ = encoder(weight, **LAYERS[name])
    np.testing.assert_allclose(added(model), weight * KL.mean(), rtol=1e-5)
    np.testing.assert_allclose(added(model, PARAMS[:1]), weight * KL[0], rtol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_in_a_step_it_is_the_mean_over_the_global_batch(name):
    model, _ = encoder(**LAYERS[name])
    rows = rows_of([1, 1, 1, 1], total=4)
    with rows.current():
        np.testing.assert_allclose(added(model), KL.mean(), rtol=1e-5)
    np.testing.assert_allclose(rows.rate, KL, rtol=1e-5)
    # A part of a batch adds its share.
    with rows_of([1, 1, 1, 1], total=10).current():
        np.testing.assert_allclose(added(model), KL.sum() / 10, rtol=1e-5)


# Where there is no closed form ---------------------------------------------------

MIXTURE = tfd.MixtureSameFamily(
    tfd.Categorical([0.3, -0.2]), normal(np.stack([PRIOR_MEAN, -PRIOR_MEAN]), np.stack([PRIOR_SCALE, 2 * PRIOR_SCALE]))
)


def mixture_encoder():
    inputs = tf_keras.layers.Input([2 * SIZE])
    layer = posteriors.IndependentNormal(SIZE, scale_floor=1e-7, activity_regularizer=KLRegularizer(MIXTURE))
    return tf_keras.Model(inputs, layer(inputs))


def test_without_a_closed_form_the_rate_comes_from_the_rows_own_draws():
    rows = rows_of([1, 1, 0, 1], total=3, num_samples=5)
    with rows.current():
        share = added(mixture_encoder())
    q = normal(MEAN, SCALE)
    noise = random.normals(rows.keys, SIZE, num_samples=5)
    z = MEAN + SCALE * noise.numpy()
    expected = (q.log_prob(z) - MIXTURE.log_prob(z)).numpy().mean(axis=0)
    np.testing.assert_allclose(rows.rate, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(share, (expected[0] + expected[1] + expected[3]) / 3, rtol=1e-3, atol=1e-4)


def test_outside_a_step_it_is_estimated_too():
    shares = [added(mixture_encoder()) for _ in range(60)]
    z = normal(MEAN, SCALE).sample(50_000, seed=1)
    expected = float(tf.reduce_mean(normal(MEAN, SCALE).log_prob(z) - MIXTURE.log_prob(z)))
    assert abs(np.mean(shares) - expected) < 4 * np.std(shares) / np.sqrt(len(shares))


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_both_estimates_agree_where_both_exist(posterior):
    q, p = POSTERIORS[posterior][0], PRIORS["diagonal"][0]
    noise = random.normals(random.row_keys(0, 1, rows=tf.range(4)), SIZE, num_samples=20_000)
    z = reparameterize(q, noise)
    ratio = log_ratio(q, p, noise, z).numpy()
    assert np.all(np.abs(ratio.mean(axis=0) - kl_divergence(q, p)) < 4 * ratio.std(axis=0) / np.sqrt(len(ratio)))
    np.testing.assert_array_equal(rate(q, p, noise, z), kl_divergence(q, p))  # and the closed form is preferred
    assert closed_form(q, MIXTURE) is None
    np.testing.assert_allclose(rate(q, MIXTURE, noise, z), log_ratio(q, MIXTURE, noise, z).numpy().mean(0), rtol=1e-4)


def test_a_log_normal_is_no_normal():
    q = tfd.LogNormal(MEAN, SCALE)  # has a normal inside
    assert closed_form(tfd.Independent(q, 1), PRIORS["standard"][0]) is None
    assert closed_form(q, PRIORS["standard"][0]) is None


def test_weights_of_rows_count():
    model, regularizer = encoder()
    regularizer.weight.assign(0.5)
    rows = rows_of([2, 0, 1, 0.5], total=4)
    with rows.current():
        np.testing.assert_allclose(added(model), 0.5 * (2 * KL[0] + KL[2] + 0.5 * KL[3]) / 4, rtol=1e-5)
    np.testing.assert_allclose(rows.rate, KL, rtol=1e-5)  # unweighted


def test_padding_counts_nothing_even_where_it_is_not_finite():
    model, _ = encoder()
    params = PARAMS.copy()
    params[2], params[3] = np.nan, np.inf
    with rows_of([1, 1, 0, 0], total=2).current():
        np.testing.assert_allclose(added(model, params), KL[:2].mean(), rtol=1e-5)
    with rows_of([1, 1, 1, 0], total=3).current():
        assert np.isnan(added(model, params)), "a real row that is not finite must show"


def test_no_rows_at_all_add_zero():
    model, _ = encoder()
    with rows_of([0, 0, 0, 0], total=0).current():
        assert added(model) == 0.0


def test_an_objective_may_keep_the_regularizer_out():
    model, _ = encoder()
    with rows_of([1, 1, 1, 1], total=4, regularize=False).current():
        assert added(model) == 0.0


def test_gradients_reach_the_parameters_once():
    model, _ = encoder(3.0)
    params = tf.Variable(PARAMS)
    with tf.GradientTape() as tape, rows_of([1, 1, 1, 0], total=3).current():
        model(params)
        loss = tf.add_n(model.losses)
    gradient = tape.gradient(loss, params).numpy()
    # d KL / d mu = mu; d KL / d sigma = sigma - 1 / sigma
    expected = np.concatenate([MEAN, (SCALE - 1 / SCALE) / (1 + np.exp(-PARAMS[:, SIZE:]))], axis=1)
    np.testing.assert_allclose(gradient[:3], 3.0 * expected[:3] / 3, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(gradient[3], 0.0)


def test_plain_gives_the_distribution_inside():
    model, _ = encoder()
    inside = plain(model(PARAMS))
    assert type(inside) is tfd.Independent and plain(inside) is inside


def test_the_regularizer_is_not_serialised():
    with pytest.raises(NotImplementedError, match="export"):
        KLRegularizer(priors.standard_normal(2)).get_config()
