import json
import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tests.helpers import Examples, binary_data, small_vae
from tests.linear_gaussian import COVARIANCE, GAIN, LATENT, NOISE, B, W, X, inverse_softplus, make_vae
from tests.objectives.common import spread
from tests.test_conditional import LABELS, conditional_vae
from tfvae import VAE, posteriors, priors, random, regularizers
from tfvae.evaluation.decomposition import decomposition, marginals
from tfvae.reparameterization import log_prob_of_draw, reparameterize

PARTS = ("elbo", "distortion", "rate", "mutual_information", "marginal_kl", "total_correlation", "dimension_wise_kl")
FLOATS = (*PARTS, *(f"{name}_standard_error" for name in PARTS))
LISTS = ("kl_per_dimension", "posterior_mean_variance", "aggregate_mean", "aggregate_stddev")


@pytest.fixture(autouse=True, scope="module")
def eagerly():
    """Making a graph takes longer than running it once."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def decompose(vae, x, labels=None, **kwargs):
    examples = Examples(np.asarray(x, np.float32), labels)
    return decomposition(vae, None, examples, **{"batch_size": 4} | kwargs)


def assert_same(ours, theirs, **tolerance):
    for name in (*FLOATS, *LISTS):
        if theirs[name] is None:
            assert ours[name] is None, name
        else:
            np.testing.assert_allclose(ours[name], theirs[name], err_msg=name, **tolerance)


def error_of(per_example):
    return np.std(per_example, ddof=1) / math.sqrt(len(per_example))


# Against formulas -------------------------------------------------------------------


def gaussian_draws(mean, covariance, num_samples, seed=0):
    """float64 `[rows, num_samples, LATENT]` from the noise of the rows."""
    keys = random.row_keys(seed, random.EVALUATION, rows=tf.range(len(mean)))
    noise = random.normals(keys, LATENT, num_samples=num_samples).numpy().astype(np.float64)
    return mean[:, None] + np.swapaxes(noise, 0, 1) @ np.linalg.cholesky(covariance).T


@pytest.mark.parametrize("num_samples", [1, 3])
def test_every_number_by_hand(num_samples):
    """A full covariance, pair by pair with SciPy."""
    mean, sigma = (X - B) @ GAIN.T, np.sqrt(np.diag(COVARIANCE))
    z = gaussian_draws(mean, COVARIANCE, num_samples, seed=3)
    pairs = [scipy.stats.multivariate_normal(m, COVARIANCE).logpdf(z).reshape(z.shape[:2]) for m in mean]
    each = np.array([scipy.stats.norm(m, sigma).logpdf(z) for m in mean])
    log_q = scipy.special.logsumexp(pairs, axis=0) - math.log(6)
    log_product = (scipy.special.logsumexp(each, axis=0) - math.log(6)).sum(axis=-1)
    own = np.array([pairs[i][i] for i in range(6)])
    prior = scipy.stats.norm.logpdf(z).sum(axis=-1)
    distortion = -scipy.stats.norm.logpdf(X[:, None], z @ W.T + B, NOISE).sum(axis=-1)
    expected = {
        "elbo": prior - own - distortion,
        "distortion": distortion,
        "rate": own - prior,
        "mutual_information": own - log_q,
        "marginal_kl": log_q - prior,
        "total_correlation": log_q - log_product,
        "dimension_wise_kl": log_product - prior,
    }
    found = decompose(make_vae(), X, num_samples=num_samples, seed=3)
    for name, figures in expected.items():
        np.testing.assert_allclose(found[name], figures.mean(), rtol=2e-4, atol=1e-4, err_msg=name)
        error = error_of(figures.mean(axis=1))
        np.testing.assert_allclose(found[f"{name}_standard_error"], error, rtol=1e-3, atol=1e-5, err_msg=name)
    kl = 0.5 * (mean**2 + sigma**2 - 1) - np.log(sigma)
    np.testing.assert_allclose(found["kl_per_dimension"], kl.mean(axis=0), rtol=1e-4)
    errors = [error_of(column) for column in kl.T]
    np.testing.assert_allclose(found["kl_per_dimension_standard_error"], errors, rtol=1e-4)
    np.testing.assert_allclose(found["posterior_mean_variance"], mean.var(axis=0), rtol=1e-4)
    np.testing.assert_allclose(found["aggregate_mean"], mean.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["aggregate_stddev"], np.sqrt(sigma**2 + mean.var(axis=0)), rtol=1e-4)
    assert (found["prior_mean"], found["prior_stddev"]) == ([0.0, 0.0], [1.0, 1.0])
    assert found["mutual_information_limit"] == pytest.approx(math.log(6))
    assert (found["num_examples"], found["num_samples"], found["active_units"]) == (6, num_samples, 2)


def test_of_one_example_the_aggregate_is_its_posterior():
    """The total correlation of a normal is -1/2 log det of its correlations."""
    found = decompose(make_vae(), X[:1], num_samples=4_000, batch_size=500)
    sigma, mean = np.sqrt(np.diag(COVARIANCE)), (X[0] - B) @ GAIN.T
    assert found["mutual_information"] == 0.0 == found["mutual_information_limit"]
    assert found["marginal_kl"] == found["rate"]
    expected = -0.5 * np.linalg.slogdet(COVARIANCE / np.outer(sigma, sigma))[1]
    assert expected > 0.02
    assert found["total_correlation"] == pytest.approx(expected, abs=0.02)
    kl = 0.5 * (mean**2 + sigma**2 - 1) - np.log(sigma)
    assert found["dimension_wise_kl"] == pytest.approx(kl.sum(), rel=0.02)
    assert all(found[f"{name}_standard_error"] is None for name in PARTS)
    assert found["posterior_mean_variance"] == [0.0, 0.0] and found["active_units"] == 0


def test_examples_far_apart_tell_all_that_can_be_told():
    far = np.stack([B + 20 * W[:, 0], B - 20 * W[:, 0], B + 20 * W[:, 1], B - 20 * W[:, 1]])
    for count in (2, 4):
        found = decompose(make_vae(), far[:count], num_samples=5, batch_size=20)
        assert found["mutual_information"] == pytest.approx(math.log(count), abs=1e-6)
        assert found["mutual_information_standard_error"] < 1e-6


def test_copies_of_an_example_tell_nothing():
    found = decompose(make_vae(), np.repeat(X[:1], 7, axis=0))
    assert found["mutual_information"] == pytest.approx(0.0, abs=1e-5)


def test_a_posterior_that_is_the_prior_has_no_part_above_zero():
    found = decompose(make_vae(gain=0.0 * GAIN, covariance=np.eye(LATENT)), X)
    for name in PARTS[2:]:
        assert found[name] == pytest.approx(0.0, abs=1e-5), name
    assert found["active_units"] == 0
    np.testing.assert_allclose(found["kl_per_dimension"], 0.0, atol=1e-6)
    np.testing.assert_allclose([found["aggregate_mean"], found["prior_mean"]], 0.0, atol=1e-5)
    np.testing.assert_allclose([found["aggregate_stddev"], found["prior_stddev"]], 1.0, rtol=1e-5)


def test_a_unit_is_active_where_its_mean_moves():
    """The variance of the means is set to one side of 0.01 and to the other."""
    spread_of = ((X - B) @ GAIN.T).std(axis=0)
    gain = GAIN * (np.array([0.11, 0.09]) / spread_of)[:, None]
    found = decompose(make_vae(gain=gain), X)
    np.testing.assert_allclose(found["posterior_mean_variance"], [0.0121, 0.0081], rtol=1e-3)
    assert found["active_units"] == 1


def test_scales_that_are_small_beside_the_mean_lose_no_digits():
    """Found again behind z, which is rounded, the noise would be off by its own size."""
    vae = make_vae(gain=1e5 * GAIN, covariance=4e-8 * np.eye(LATENT))
    found = decompose(vae, X, num_samples=20, batch_size=60)
    assert found["mutual_information"] == pytest.approx(math.log(6), abs=1e-6)
    # A prior as far away makes of the rate what is left of the density.
    keys = random.row_keys(0, random.EVALUATION, rows=tf.range(6))
    noise = random.normals(keys, LATENT, num_samples=20).numpy()
    z = (X - B) @ GAIN.T * 1e5 + 2e-4 * noise
    own = scipy.stats.norm.logpdf(noise).sum(axis=-1) - 2 * math.log(2e-4)
    expected = (own - scipy.stats.norm.logpdf(z).sum(axis=-1)).mean()
    assert found["rate"] == pytest.approx(expected, rel=1e-5)
    assert abs(found["total_correlation"] - (-math.log(6) + 2 * math.log(6))) < 1e-3


# How it is computed does not matter --------------------------------------------------


@pytest.fixture(scope="module")
def vae():
    return spread(small_vae())


@pytest.fixture(scope="module")
def whole(vae):
    return decompose(vae, binary_data(23), num_samples=2, batch_size=23)


@pytest.mark.parametrize("batch_size", [9, 22, 100])
def test_results_do_not_depend_on_the_size_of_blocks(vae, whole, batch_size):
    found = decompose(vae, binary_data(23), num_samples=2, batch_size=batch_size)
    assert_same(found, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("jit", [False, True])
def test_results_do_not_depend_on_how_it_runs(vae, whole, jit, monkeypatch):
    tf.config.run_functions_eagerly(False)
    try:
        monkeypatch.setattr(VAE, "use_jit", lambda self, jit_compile: jit)
        found = decompose(vae, binary_data(23), num_samples=2, batch_size=8)
    finally:
        tf.config.run_functions_eagerly(True)
    assert_same(found, whole, rtol=1e-5, atol=1e-5)


def test_the_seed_counts_and_repeats(vae, whole):
    first, again, other = (
        decompose(vae, binary_data(23), num_samples=2, batch_size=23, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert all(abs(other[name] - whole[name]) > 1e-4 for name in PARTS)
    assert other["kl_per_dimension"] == pytest.approx(whole["kl_per_dimension"])


def test_the_first_examples_are_a_data_set_of_their_own(vae):
    x = binary_data(23)
    found = decompose(vae, x, max_examples=10)
    assert found["num_examples"] == 10 and found["mutual_information_limit"] == pytest.approx(math.log(10))
    assert_same(found, decompose(vae, x[:10]), rtol=1e-6)


# Every part -------------------------------------------------------------------------

WITH_ALL, WITHOUT_PRIOR, WITH_NONE = "kl_per_dimension is", "does not factorise", "no known densities"
MODELS = [
    (posteriors.Normal(), priors.StandardNormal(), WITH_ALL),
    (posteriors.FullNormal(), priors.StandardNormal(), WITH_ALL),
    (posteriors.Laplace(), priors.StandardNormal(), WITH_ALL),
    (posteriors.LogNormal(), priors.Gamma(), WITH_ALL),
    (posteriors.Kumaraswamy(), priors.Beta(), WITH_ALL),
    (posteriors.Normal(), priors.MixtureOfNormals(num_components=3), WITHOUT_PRIOR),
    (posteriors.FullNormal(), priors.VampPrior(num_pseudo_inputs=4), WITHOUT_PRIOR),
    (posteriors.InverseAutoregressiveFlow(hidden=(6,), context_size=2), priors.StandardNormal(), WITH_NONE),
    (posteriors.CouplingFlow(num_flows=2, hidden=(6,)), priors.CouplingFlow(num_flows=2, hidden=(6,)), WITH_NONE),
    (posteriors.Dirichlet(), priors.SymmetricDirichlet(), WITH_NONE),
]


@pytest.mark.parametrize(("posterior", "prior", "says"), MODELS, ids=lambda p: getattr(p, "tag", ""))
def test_every_posterior_and_prior(posterior, prior, says):
    vae = small_vae(posterior=posterior, prior=prior)
    for variable in vae.encoder.trainable_variables:
        variable.assign(2.0 * variable)
    x, count = binary_data(11), 11
    found = decompose(vae, x, num_samples=2, batch_size=12)
    assert found == json.loads(json.dumps(found, allow_nan=False))
    assert says in found["method"] and "11 examples" in found["method"] and "2 draws" in found["method"]

    # Pair by pair, in one piece.
    keys = random.row_keys(0, random.EVALUATION, rows=tf.range(count))
    noise = random.normals(keys, 3, num_samples=2)
    q = vae.encode(x)
    z = reparameterize(q, noise)
    pairs = q.log_prob(tf.tile(z[:, :, None, :], [1, 1, count, 1])).numpy().astype(np.float64)
    own, log_prior = log_prob_of_draw(q, noise, z).numpy(), vae.prior.log_prob(z).numpy()
    pairs[:, range(count), range(count)] = own
    log_q = scipy.special.logsumexp(pairs, axis=-1) - math.log(count)
    tolerance = {"rel": 1e-3, "abs": 2e-3}
    assert found["rate"] == pytest.approx(float((own - log_prior).mean()), **tolerance)
    assert found["mutual_information"] == pytest.approx((own - log_q).mean(), **tolerance)
    assert found["marginal_kl"] == pytest.approx((log_q - log_prior).mean(), **tolerance)
    assert found["distortion"] == pytest.approx(-float(tf.reduce_mean(vae.log_likelihood(tf.constant(x), z))), rel=1e-5)

    # What adds up.
    assert found["elbo"] == pytest.approx(-(found["distortion"] + found["rate"]), abs=1e-9)
    assert found["mutual_information"] + found["marginal_kl"] == pytest.approx(found["rate"], abs=1e-9)
    assert 0.01 < found["mutual_information"] < math.log(count)
    assert (found["total_correlation"] is None) == (says is WITH_NONE)
    assert (found["dimension_wise_kl"] is None) == (found["kl_per_dimension"] is None) == (says is not WITH_ALL)
    if says is WITH_ALL:
        parts = found["total_correlation"] + found["dimension_wise_kl"]
        assert parts == pytest.approx(found["marginal_kl"], abs=1e-9)
    assert (found["prior_mean"] is None) == isinstance(prior, priors.VampPrior | priors.CouplingFlow)


def test_one_latent_has_no_total_correlation():
    found = decompose(spread(small_vae(latent_size=1)), binary_data(9), num_samples=3)
    assert found["total_correlation"] == pytest.approx(0.0, abs=1e-6)
    assert found["dimension_wise_kl"] == pytest.approx(found["marginal_kl"], abs=1e-6) and found["marginal_kl"] > 0.1


@pytest.mark.parametrize(("prior", "says"), [(priors.StandardUniform(), "closed form"), (priors.Beta(), "the draws")])
def test_the_kl_of_dimensions_adds_up_to_that_of_all(prior, says):
    vae, x = spread(small_vae(posterior=posteriors.Kumaraswamy(), prior=prior)), binary_data(9)
    found = decompose(vae, x, num_samples=4, batch_size=18)
    assert f"kl_per_dimension is {'in' if says == 'closed form' else 'by'} {says}" in found["method"]
    known = regularizers.closed_form(vae.encode(x), vae.prior)
    expected = found["rate"] if known is None else float(tf.reduce_mean(known))
    assert sum(found["kl_per_dimension"]) == pytest.approx(expected, rel=1e-4)


def test_a_mixture_prior_has_moments():
    vae = spread(small_vae(prior=priors.MixtureOfNormals(num_components=3)))
    found = decompose(vae, binary_data(5))
    components = vae.prior.components_distribution.distribution
    weights = scipy.special.softmax(vae.prior.mixture_distribution.logits.numpy())
    loc, scale = components.loc.numpy(), tf.convert_to_tensor(components.scale).numpy()
    np.testing.assert_allclose(found["prior_mean"], weights @ loc, rtol=1e-5)
    second = weights @ (loc**2 + scale**2)
    np.testing.assert_allclose(found["prior_stddev"], np.sqrt(second - (weights @ loc) ** 2), rtol=1e-4)


def test_a_mean_by_draws_makes_no_unit_active():
    """A flow has no closed form of its mean, and the mean of 100 draws of stddev 1.5 has the variance 0.0225."""
    vae = small_vae(posterior=posteriors.InverseAutoregressiveFlow(hidden=(6,), context_size=2))
    kernel, bias = vae.encoder.layers[-2].get_weights()
    bias[3:6] = inverse_softplus(1.5)
    vae.encoder.layers[-2].set_weights([0.0 * kernel, bias])
    found = decompose(vae, binary_data(200), batch_size=200)
    assert found["active_units"] == 0 and found["mutual_information"] == pytest.approx(0.0, abs=1e-4)
    assert min(found["aggregate_stddev"]) > 1.2


def test_a_diagonal_normal_of_tfp_is_as_good_as_independent_ones():
    first = decompose(make_vae(), X)
    vae = make_vae()
    vae.regularizer.prior = tfd.MultivariateNormalDiag(tf.zeros(LATENT), tf.ones(LATENT))
    assert_same(decompose(vae, X), first, rtol=1e-5, atol=1e-6)
    vae.regularizer.prior = tfd.MultivariateNormalTriL(tf.zeros(LATENT), tf.linalg.eye(LATENT))
    assert decompose(vae, X)["dimension_wise_kl"] is None


def test_a_density_that_float32_loses_is_left_out():
    """Of z = 1 - 2^-24 the power z^a rounds to 1, and (1 - z^a)^(b - 1) to 0 or infinity."""
    vae = small_vae(posterior=posteriors.Kumaraswamy(), prior=priors.StandardUniform())
    for variable in vae.encoder.trainable_variables:
        variable.assign(3.0 * variable)
    x = binary_data(11)
    keys = random.row_keys(0, random.EVALUATION, rows=tf.range(11))
    q = vae.encode(x)
    z = reparameterize(q, random.normals(keys, 3, num_samples=2))
    assert np.any(q.log_prob(z[:, :, None, :]).numpy() == math.inf)
    found = decompose(vae, x, num_samples=2, batch_size=22)
    assert all(math.isfinite(found[name]) for name in FLOATS)
    assert 0.01 < found["mutual_information"] < math.log(11)


def test_marginals_of_a_full_covariance():
    q, noise = make_vae().encode(X), tf.constant(np.random.default_rng(0).normal(size=(7, 6, LATENT)), tf.float32)
    each, own = marginals(q, noise)
    np.testing.assert_allclose(each.stddev()[0], np.sqrt(np.diag(COVARIANCE)), rtol=1e-4)
    np.testing.assert_allclose(reparameterize(each, own), reparameterize(q, noise), rtol=1e-4, atol=1e-5)


# Labels -----------------------------------------------------------------------------


def test_the_aggregate_of_a_conditional_model_is_over_pairs():
    vae, count = spread(conditional_vae()), 13
    x, labels = binary_data(count), np.arange(count) % LABELS
    found = decompose(vae, x, labels, batch_size=7)
    keys = random.row_keys(0, random.EVALUATION, rows=tf.range(count))
    q = vae.encode(x, labels)
    z = reparameterize(q, random.normals(keys, 2))[0]
    pairs = q.log_prob(z[:, None, :]).numpy().astype(np.float64)
    expected = np.diag(pairs) - scipy.special.logsumexp(pairs, axis=1) + math.log(count)
    assert found["mutual_information"] == pytest.approx(expected.mean(), rel=1e-4)
    assert found["distortion"] == pytest.approx(-np.mean(vae.decode(z, labels).log_prob(x)), rel=1e-5)
    other = decompose(vae, x, (labels + 1) % LABELS, batch_size=13)
    assert abs(other["mutual_information"] - found["mutual_information"]) > 1e-3
