"""Completions of the linear-Gaussian VAE, whose p(x|y) is a known normal, by every method."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tests.helpers import binary_data, small_vae
from tests.linear_gaussian import ITEM, NOISE, WRONG, B, W, X, inverse_softplus, make_vae
from tfvae import VAE, export, posteriors, priors
from tfvae.errors import InputError
from tfvae.inference.completion import (
    HMC,
    BernoulliNoise,
    Downsampled,
    GaussianNoise,
    Importance,
    Masked,
    Metropolis,
    Optimise,
    Problem,
    PseudoGibbs,
    complete,
)  # fmt: skip
from tfvae.inference.model import Model
from tfvae.support import REAL

MASK = np.array([True, True, False, True, False])
SIGMA = 0.5
SHAPE = (2, 4, 1)  # of the images: two blocks of four pixels
SIZE = 8
RNG = np.random.default_rng(1)
IMAGE_W, IMAGE_B = RNG.normal(size=(SIZE, 2)), RNG.normal(size=SIZE)
IMAGES = RNG.normal(size=(4, 2)) @ IMAGE_W.T + IMAGE_B + NOISE * RNG.normal(size=(4, SIZE))
# Without the first, which is so far out that its estimated log-likelihood varies by a third of a nat.
IMAGES = IMAGES[1:].astype(np.float32).reshape(-1, *SHAPE)

# More than enough that a Monte Carlo error is a third of the tolerance.
SETTINGS = {
    "pseudo_gibbs": PseudoGibbs(num_samples=2_000, num_chains=40, num_burnin_steps=10),
    "metropolis": Metropolis(num_samples=8_000, num_chains=130, num_burnin_steps=20),
    "hmc": HMC(num_samples=2_000, num_chains=50, num_burnin_steps=30),
    "importance": Importance(num_samples=2_000, num_proposals=6_000),
}


def exact(x, y, matrix, noise, *, w=W, b=B):
    """Mean, standard deviations and covariance of p(x|y) of y = matrix x + N(0, noise), and log p(y)."""
    joint = w @ w.T + NOISE**2 * np.eye(len(b))
    of_y = matrix @ joint @ matrix.T + noise
    gain = joint @ matrix.T @ np.linalg.inv(of_y)
    covariance = joint - gain @ matrix @ joint
    log_p = scipy.stats.multivariate_normal.logpdf(y, matrix @ b, of_y)
    return b + (y - matrix @ b) @ gain.T, covariance, log_p, scipy.stats.multivariate_normal.logpdf(x, b, joint)


def check(found, mean, covariance, log_likelihood):
    np.testing.assert_allclose(found.mean.reshape(mean.shape), mean, atol=0.06)
    stddev = np.broadcast_to(np.sqrt(np.maximum(np.diag(covariance), 0.0)), mean.shape)
    np.testing.assert_allclose(found.stddev.reshape(mean.shape), stddev, atol=0.05)
    np.testing.assert_allclose(found.log_likelihood, log_likelihood, atol=0.2)
    assert abs(np.mean(found.log_likelihood - log_likelihood)) < 0.08


def linear(**wrong):
    """The linear-Gaussian VAE; that it is of any numbers, layers of TFP do not tell."""
    vae = make_vae(**wrong)
    vae.support = REAL
    return vae


def masked(vae=None, **kwargs):
    observation = Masked(MASK)
    return Problem(Model.of(vae or linear(**WRONG)), observation, observation.observe(X), **kwargs)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "pseudo_gibbs" else name for name in SETTINGS]
)
def test_what_is_behind_a_mask(name):
    """With a wrong q(z|x), which only pseudo-Gibbs needs to be right."""
    vae = linear() if name == "pseudo_gibbs" else None
    found = complete(masked(vae), SETTINGS[name], truth=X, num_draws=400)
    mean, covariance, _, _ = exact(X, X[:, MASK], np.eye(ITEM)[MASK], 0.0)
    missing = ~MASK
    own = scipy.stats.multivariate_normal(cov=covariance[np.ix_(missing, missing)])
    check(found, mean, covariance, own.logpdf(X[:, missing] - mean[:, missing]))
    assert (found.draws[:, :, MASK] == X[:, MASK]).all(), "what was observed stays"
    drawn = found.draws[:, :, missing]
    np.testing.assert_allclose(drawn.mean(axis=0), mean[:, missing], atol=0.2)
    np.testing.assert_allclose(np.cov((drawn - drawn.mean(axis=0)).reshape(-1, 2).T),
                               covariance[np.ix_(missing, missing)], atol=0.12)  # fmt: skip


@pytest.mark.slow
def test_pseudo_gibbs_is_off_where_q_is_wrong_and_metropolis_knows():
    _, covariance, _, _ = exact(X, X[:, MASK], np.eye(ITEM)[MASK], 0.0)
    found = complete(masked(), SETTINGS["pseudo_gibbs"])
    assert np.abs(found.stddev - np.sqrt(np.maximum(np.diag(covariance), 0.0))).max() > 0.06
    acceptance = Metropolis(num_samples=200, num_chains=20).latents(masked()).diagnostics["acceptance"]
    assert (acceptance > 0.3).all() and (acceptance < 0.9).all()
    exactly = Metropolis(num_samples=20, num_burnin_steps=2).latents(masked(linear())).diagnostics["acceptance"]
    np.testing.assert_allclose(exactly, 1.0, atol=1e-3)  # where q is p(z|x)


@pytest.mark.parametrize("name", [pytest.param("hmc", marks=pytest.mark.slow), "importance"])
def test_gaussian_noise(name):
    observation = GaussianNoise(sigma=SIGMA)
    y = observation.observe(X, seed=3)
    found = complete(Problem(Model.of(linear(**WRONG)), observation, y), SETTINGS[name], truth=X)
    mean, covariance, _, _ = exact(X, y, np.eye(ITEM), SIGMA**2 * np.eye(ITEM))
    check(found, mean, covariance, scipy.stats.multivariate_normal(cov=covariance).logpdf(X - mean))


def image_model():
    """x = W z + b + s e as images, with an encoder that knows nothing but the prior."""
    layers = tf_keras.layers
    posterior = posteriors.IndependentNormal(2)
    encoder = tf_keras.Sequential([layers.InputLayer(SHAPE), layers.Flatten(), layers.Dense(4), posterior])
    encoder.layers[1].set_weights([np.zeros((SIZE, 4)), np.repeat([0.0, inverse_softplus(1.0)], 2)])
    likelihood = tfp.layers.IndependentNormal(SHAPE)
    decoder = tf_keras.Sequential([layers.InputLayer((2,)), layers.Dense(2 * SIZE), likelihood])
    kernel = np.concatenate([IMAGE_W, np.zeros((SIZE, 2))]).T
    decoder.layers[0].set_weights([kernel, np.concatenate([IMAGE_B, np.full(SIZE, inverse_softplus(NOISE))])])
    return Model.of(VAE(encoder, decoder, support=REAL))


@pytest.mark.parametrize("name", ["hmc", pytest.param("importance", marks=pytest.mark.slow)])
def test_block_means(name):
    observation = Downsampled(2)
    y = observation.observe(IMAGES)
    np.testing.assert_allclose(y[:, 0, :, 0], IMAGES.reshape(-1, 2, 2, 2).mean(axis=(1, 3)), rtol=1e-5)
    found = complete(Problem(image_model(), observation, y), SETTINGS[name], truth=IMAGES, num_draws=50)
    matrix = np.zeros((2, SIZE))
    matrix[0, [0, 1, 4, 5]] = matrix[1, [2, 3, 6, 7]] = 0.25
    x, y = IMAGES.reshape(-1, SIZE), y.reshape(-1, 2)
    mean, covariance, log_y, log_x = exact(x, y, matrix, 0.0, w=IMAGE_W, b=IMAGE_B)
    check(found, mean, covariance, log_x - log_y)
    np.testing.assert_allclose(
        found.draws.reshape(50, -1, SIZE) @ matrix.T, np.broadcast_to(y, (50, *y.shape)), atol=1e-4
    )


def test_the_most_probable_z():
    problem = masked()
    seen, w = MASK, W[MASK]
    precision = np.eye(2) + w.T @ w / NOISE**2
    expected = np.linalg.solve(precision, w.T @ (X[:, seen] - B[seen]).T / NOISE**2).T
    found = Optimise().latents(problem)
    np.testing.assert_allclose(found.z[0], expected, atol=2e-3)
    log_joint = scipy.stats.norm.logpdf(X[:, seen], expected @ w.T + B[seen], NOISE).sum(axis=1)
    log_joint += scipy.stats.norm.logpdf(expected).sum(axis=1)
    np.testing.assert_allclose(found.diagnostics["log_joint"], log_joint, rtol=1e-4)


def test_importance_tells_its_evidence_and_effective_sample_size():
    diagnostics = Importance(num_proposals=6_000, num_samples=10).latents(masked()).diagnostics
    _, _, log_y, _ = exact(X, X[:, MASK], np.eye(ITEM)[MASK], 0.0)
    np.testing.assert_allclose(diagnostics["log_evidence"], log_y, atol=0.05)
    assert (diagnostics["effective_sample_size"] > 100).all() and (diagnostics["effective_sample_size"] < 6_000).all()


@pytest.mark.parametrize(
    ("posterior", "prior", "mean", "variance"),
    [
        (posteriors.Exponential(), priors.Exponential(), 1.0, 1.0),
        (posteriors.Kumaraswamy(), priors.StandardUniform(), 0.5, 1 / 12),
    ],
)
def test_hmc_where_nothing_was_observed_draws_from_a_prior_of_any_support(posterior, prior, mean, variance):
    model = Model.of(small_vae(posterior=posterior, prior=prior, latent_size=2))
    y = np.full((3, *model.item_shape), np.nan, np.float32)
    settings = HMC(num_samples=4_000, num_chains=80, num_burnin_steps=40)
    z = settings.latents(Problem(model, Masked(), y)).z
    np.testing.assert_allclose(z.mean(axis=(0, 1)), mean, atol=0.08 * np.sqrt(variance))
    np.testing.assert_allclose(z.var(axis=(0, 1)), variance, rtol=0.12)


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(HMC(num_samples=8, num_burnin_steps=3, num_proposals=20), marks=pytest.mark.slow),
        Metropolis(num_samples=8, num_burnin_steps=3),
    ],
)
def test_the_same_seed_gives_the_same(method):
    first, again, other = (method.latents(masked(seed=seed)).z for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_an_export_completes_as_its_model_does(tmp_path):
    vae, x = small_vae(), binary_data(3)
    path = export.export_saved_model(vae, str(tmp_path / "export"), item_shape=vae.item_shape)
    observation = Masked(np.arange(30).reshape(6, 5, 1) < 15)
    found = []
    for model in (Model.of(vae), Model.load(path)):
        problem = Problem(model, observation, observation.observe(x))
        found.append(complete(problem, HMC(num_samples=8, num_burnin_steps=5), truth=x, num_draws=2))
    np.testing.assert_allclose(found[0].mean, found[1].mean, atol=1e-3)
    np.testing.assert_allclose(found[0].log_likelihood, found[1].log_likelihood, atol=1e-2)


@pytest.mark.parametrize("method", [PseudoGibbs(), Metropolis()])
@pytest.mark.parametrize("observation", [GaussianNoise(sigma=1.0), BernoulliNoise(), Downsampled(2)])
def test_methods_for_masks_refuse_what_is_none(method, observation):
    with pytest.raises(
        InputError, match=f"--method: received {method.name}.*expected one of: hmc, optimise|importance"
    ):
        method.latents(Problem(Model.of(small_vae()), observation, binary_data(2)))


def test_a_blocks_last_rows_are_not_counted_twice():
    problem = masked()
    found = problem.by_blocks(lambda y, labels, i: {"i": i, "first": y[:, 0]}, {"i": np.arange(6)}, rows=4)
    np.testing.assert_array_equal(found["i"], np.arange(6))
    np.testing.assert_array_equal(found["first"], problem.y[:, 0])


def test_labels_reach_encoder_and_decoder():
    vae = small_vae(num_labels=3)
    model = Model.of(vae)
    observation = Masked(np.arange(30).reshape(6, 5, 1) < 15)
    y = observation.observe(np.tile(binary_data(1), (3, 1, 1, 1)))
    problem = Problem(model, observation, y, np.arange(3))
    found = complete(problem, Optimise(num_steps=3), num_draws=1, values="mean")
    expected = model.decode(found.z[0], np.arange(3))
    np.testing.assert_allclose(found.mean, np.where(np.isnan(y), expected, y), rtol=1e-4)
    assert tf.reduce_max(tf.abs(model.decode(found.z[0], np.zeros(3, int)) - expected)) > 1e-4
