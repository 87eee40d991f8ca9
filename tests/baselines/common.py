"""Probabilistic PCA as a model to train, whose maximum likelihood is known: see tests/test_probabilistic_pca.py."""

import numpy as np
import tensorflow as tf

from tests import test_probabilistic_pca as pca
from tests.helpers import small_vae
from tfvae import likelihoods, networks, posteriors

X, ROWS = pca.X, pca.ROWS


def linear_vae():
    """A VAE that holds the exact solution, and whose encoder begins at N(0, softplus(0)^2) for every x.

    Narrow posteriors would begin with gradients so large that Adam's averages of them hold it back for long.
    """
    vae = small_vae(
        (pca.ITEM,), latent_size=pca.LATENT, posterior=posteriors.FullNormal(), network=networks.MLP(hidden=()),
        likelihood=likelihoods.GaussianShared(domain="real"),
    )  # fmt: skip
    for variable in vae.encoder.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    return vae


def against_the_best(vae):
    """The share missing of the log p(x) that there is to gain; the noise variance over the best one; the best log p."""
    weights, mean = vae.decode(np.eye(pca.LATENT, dtype="f")).mean(), vae.decode(np.zeros((1, pca.LATENT), "f"))
    offset, noise = mean.mean().numpy()[0], float(mean.variance().numpy()[0, 0])
    best_weights, best_mean, best_noise = pca.maximum_likelihood()
    best = pca.log_likelihood(best_weights, best_mean, best_noise)
    reached = pca.log_likelihood((np.asarray(weights) - offset).T, offset, noise)
    nothing = pca.log_likelihood(np.zeros((pca.ITEM, pca.LATENT)), best_mean, X.var(axis=0).mean())
    return (best - reached) / (best - nothing), noise / best_noise, best
