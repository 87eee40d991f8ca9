"""A linear decoder with one variance is probabilistic PCA, whose optimum is known (Tipping & Bishop 1999).

Training must come within 1 % of the log-likelihood that there is to gain, and of the plane.
"""

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import tf_keras

from tests.helpers import small_vae
from tfvae.likelihoods import GaussianShared
from tfvae.networks import MLP
from tfvae.objectives import IWAE, SGVB_A, SGVB_B
from tfvae.posteriors import FullNormal, Normal

LATENT, ITEM, ROWS = 2, 5, 400
RNG = np.random.default_rng(3)
# Columns of different length, not orthogonal to each other, so that a diagonal posterior cannot simply have them.
MIXING = RNG.normal(size=(LATENT, ITEM)) * [[0.9], [0.6]]
X = (RNG.normal(size=(ROWS, LATENT)) @ MIXING + [1, -1, 0, 2, 0.5] + 0.6 * RNG.normal(size=(ROWS, ITEM))).astype("f")


def maximum_likelihood():
    """Equations 7 and 8: the noise variance is the mean of the small eigenvalues, W spans the large ones."""
    values, vectors = np.linalg.eigh(np.cov(X.T, bias=True))
    noise = values[:-LATENT].mean()
    weights = vectors[:, -LATENT:] * np.sqrt(values[-LATENT:] - noise)
    return weights, X.mean(axis=0), noise


def log_likelihood(weights, mean, noise):
    return scipy.stats.multivariate_normal.logpdf(X, mean, weights @ weights.T + noise * np.eye(ITEM)).mean()


def trained(posterior, objective, *, steps=2_500):
    vae = small_vae(
        (ITEM,),
        latent_size=LATENT,
        posterior=posterior,
        likelihood=GaussianShared(domain="real"),
        network=MLP(hidden=()),
    )
    rate = tf_keras.optimizers.schedules.CosineDecay(0.03, steps)
    vae.compile(tf_keras.optimizers.Adam(rate), objective=objective, steps_per_execution=50)
    vae.fit(np.tile(X, (50, 1)), batch_size=ROWS, shuffle=False, epochs=steps // 50, verbose=0)
    weights, mean = vae.decode(np.eye(LATENT, dtype="f")).mean(), vae.decode(np.zeros((1, LATENT), "f"))
    offset, noise = mean.mean().numpy()[0], float(mean.variance().numpy()[0, 0])
    return vae, (np.asarray(weights) - offset).T, offset, noise


@pytest.mark.parametrize(
    ("posterior", "objective"),
    [
        (FullNormal(), SGVB_B(num_samples=4)),
        pytest.param(FullNormal(), SGVB_A(num_samples=4), marks=pytest.mark.slow),
        pytest.param(Normal(), SGVB_B(num_samples=4), marks=pytest.mark.slow),
        pytest.param(FullNormal(), IWAE(num_samples=4, gradient="dreg"), marks=pytest.mark.slow),
    ],
    ids=["full, B", "full, A", "diagonal, B", "full, DReG"],
)
def test_training_reaches_the_maximum_likelihood_solution(posterior, objective):
    vae, weights, offset, noise = trained(posterior, objective)
    best_weights, best_mean, best_noise = maximum_likelihood()
    best = log_likelihood(best_weights, best_mean, best_noise)
    reached = log_likelihood(weights, offset, noise)
    # The distance to the best is small beside what there is to learn, from one Gaussian without latents.
    nothing = log_likelihood(np.zeros((ITEM, LATENT)), best_mean, X.var(axis=0).mean())
    assert best >= reached > best - 0.01 * (best - nothing)
    np.testing.assert_allclose(noise, best_noise, rtol=0.02)
    np.testing.assert_allclose(
        weights @ weights.T, best_weights @ best_weights.T, atol=0.06 * np.linalg.norm(best_weights) ** 2
    )
    assert scipy.linalg.subspace_angles(weights, best_weights).max() < 0.01 * np.pi
    # At the optimum q(z|x) is the exact posterior, and the ELBO is log p(x).
    logs = vae.evaluate(X, verbose=0, return_dict=True)
    assert abs(logs["elbo"] - best) < 0.05
