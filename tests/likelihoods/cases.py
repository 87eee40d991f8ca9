"""Every likelihood, at sizes that are quick, and what tests ask of one."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfvae.likelihoods import (
    AutoregressiveBernoulli,
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Gaussian,
    GaussianIdentity,
    GaussianShared,
    Multinomial,
    NegativeBinomial,
    Poisson,
)
from tfvae.regularizers import plain

ITEM, SIZE = (2, 3, 2), 12
LIKELIHOODS = {
    "autoregressive": AutoregressiveBernoulli(filters=4, num_layers=1),
    "bernoulli": Bernoulli(),
    "continuous_bernoulli": ContinuousBernoulli(),
    "linear": Gaussian(),
    "sigmoid": Gaussian(mean="sigmoid"),
    "real": Gaussian(domain="real"),
    "shared": GaussianShared(),
    "shared_sigmoid": GaussianShared(mean="sigmoid"),
    "identity": GaussianIdentity(),
    "discretized": DiscretizedLogistic(num_mixtures=3, num_levels=17),
    "codes": Categorical(num_categories=5),
    "ordered": Categorical(num_categories=5, ordered=True),
    "poisson": Poisson(),
    "negative_binomial": NegativeBinomial(),
    "multinomial": Multinomial(),
}


def each(*without):
    """Runs a test for every likelihood but these."""
    chosen = [name for name in LIKELIHOODS if name not in without]
    return pytest.mark.parametrize("likelihood", [LIKELIHOODS[name] for name in chosen], ids=chosen)


def at(likelihood, params, item_shape=ITEM):
    """p(x|z) of decoder outputs `[rows, num_params]`."""
    return plain(likelihood.layer(item_shape)(tf.convert_to_tensor(params, tf.float32)))


def num_params(likelihood, item_shape=ITEM):
    return likelihood.params_per_dim * math.prod(likelihood.params_shape(item_shape))


def parameters(likelihood, rows=4, item_shape=ITEM):
    return np.random.default_rng(2).normal(size=(rows, num_params(likelihood, item_shape))).astype(np.float32)


def values(likelihood, rows=4, item_shape=ITEM):
    """Numbers of the support, `[rows, *item_shape]`."""
    rng, support = np.random.default_rng(3), likelihood.support(item_shape)
    low, high, step = (np.broadcast_to(a, item_shape) for a in (support.low, support.high, support.step))
    low, high = np.where(np.isfinite(low), low, -2.0), np.where(np.isfinite(high), high, 9.0)
    places = rng.random((rows, *item_shape)) * (high - low)
    steps = np.where(step > 0, step, 1.0)
    return (low + np.where(step > 0, np.round(places / steps) * steps, places)).astype(np.float32)
