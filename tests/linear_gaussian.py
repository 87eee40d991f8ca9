"""The linear-Gaussian VAE x = W z + b + s e: log p(x), posterior and gaps are known in closed form."""

import numpy as np
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfvae import VAE
from tfvae.posteriors import MultivariateNormalTriL

tfpl, layers = tfp.layers, tf_keras.layers
LATENT, ITEM, NOISE = 2, 5, 0.6
RNG = np.random.default_rng(0)
W, B = RNG.normal(size=(ITEM, LATENT)), RNG.normal(size=ITEM)
X = (RNG.normal(size=(6, LATENT)) @ W.T + B + NOISE * RNG.normal(size=(6, ITEM))).astype(np.float32)
FLOOR = 1e-4

# p(z|x) = N(S W^T (x - b) / s^2, S), S = (I + W^T W / s^2)^-1
COVARIANCE = np.linalg.inv(np.eye(LATENT) + W.T @ W / NOISE**2)
GAIN = COVARIANCE @ W.T / NOISE**2
LOG_P = scipy.stats.multivariate_normal.logpdf(X, B, W @ W.T + NOISE**2 * np.eye(ITEM))


def inverse_softplus(y):
    return np.log(np.expm1(y))


def make_vae(gain=GAIN, covariance=COVARIANCE, shift=0.0):
    """The VAE of this model with posterior N(gain (x - b) + shift, covariance)."""
    lower = np.linalg.cholesky(covariance)
    raw = lower.copy()
    raw[np.diag_indices(LATENT)] = inverse_softplus(np.diag(lower) - FLOOR)
    triangle = tfp.math.fill_triangular_inverse(tf.constant(raw, tf.float32)).numpy()
    posterior = MultivariateNormalTriL(LATENT, scale_floor=FLOOR)
    encoder = tf_keras.Sequential([layers.InputLayer((ITEM,)), layers.Dense(LATENT + len(triangle)), posterior])
    kernel = np.concatenate([gain, np.zeros((len(triangle), ITEM))]).T
    encoder.layers[0].set_weights([kernel, np.concatenate([shift - gain @ B, triangle])])
    decoder = tf_keras.Sequential([layers.InputLayer((LATENT,)), layers.Dense(2 * ITEM), tfpl.IndependentNormal(ITEM)])
    kernel = np.concatenate([W, np.zeros((ITEM, LATENT))]).T
    decoder.layers[0].set_weights([kernel, np.concatenate([B, np.full(ITEM, inverse_softplus(NOISE))])])
    return VAE(encoder, decoder)


WRONG = {"covariance": COVARIANCE * 2.0, "shift": 0.2}


def gap(covariance, shift):
    """KL(q || p(z|x)), the distance from the ELBO to log p(x), the same for every x."""
    precision = np.linalg.inv(COVARIANCE)
    ratio = np.linalg.slogdet(COVARIANCE)[1] - np.linalg.slogdet(covariance)[1]
    shift = np.full(LATENT, shift)
    return 0.5 * (np.trace(precision @ covariance) + shift @ precision @ shift - LATENT + ratio)
