"""KL divergences in closed form that TFP lacks, for families that posteriors and priors here have."""

import math

import tensorflow as tf
from tensorflow_probability import distributions as tfd

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


def _kl_to_normal(q: tfd.Distribution, p: tfd.Normal, name: str | None = None) -> tf.Tensor:
    """KL(q || N(m, s^2)) of any q with an entropy, a mean and a variance."""
    # -H(q) + 1/2 log(2 pi s^2) + (Var z + (E z - m)^2) / (2 s^2)
    square = (q.variance() + tf.math.squared_difference(q.mean(), p.loc)) / p.scale**2
    return -q.entropy() + _HALF_LOG_TWO_PI + tf.math.log(p.scale) + 0.5 * square


for _family in (tfd.Laplace, tfd.Logistic, tfd.StudentT, tfd.Gumbel):
    tfd.RegisterKL(_family, tfd.Normal)(_kl_to_normal)


@tfd.RegisterKL(tfd.LogNormal, tfd.Gamma)
def _kl_log_normal_gamma(q: tfd.LogNormal, p: tfd.Gamma, name: str | None = None) -> tf.Tensor:
    # E log z = mu,  E z = exp(mu + sigma^2 / 2)
    log_density = (
        p.concentration * tf.math.log(p.rate) - tf.math.lgamma(p.concentration)
        + (p.concentration - 1.0) * q.loc - p.rate * q.mean()
    )  # fmt: skip
    return -q.entropy() - log_density


@tfd.RegisterKL(tfd.Gamma, tfd.LogNormal)
def _kl_gamma_log_normal(q: tfd.Gamma, p: tfd.LogNormal, name: str | None = None) -> tf.Tensor:
    # E log z = psi(a) - log rate,  Var log z = psi'(a)
    mean = tf.math.digamma(q.concentration) - tf.math.log(q.rate)
    return _kl_to_log_normal(q, p, mean, tf.math.polygamma(tf.ones_like(q.concentration), q.concentration))


@tfd.RegisterKL(tfd.Weibull, tfd.LogNormal)
def _kl_weibull_log_normal(q: tfd.Weibull, p: tfd.LogNormal, name: str | None = None) -> tf.Tensor:
    # -log z is Gumbel(-log lambda, 1 / k)
    minus_log = tfd.Gumbel(-tf.math.log(q.scale), 1.0 / q.concentration)
    return _kl_to_log_normal(q, p, -minus_log.mean(), minus_log.variance())


def _kl_to_log_normal(q: tfd.Distribution, p: tfd.LogNormal, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """From the mean and variance of log z under q."""
    square = (variance + tf.math.squared_difference(mean, p.loc)) / p.scale**2
    return -q.entropy() + mean + _HALF_LOG_TWO_PI + tf.math.log(p.scale) + 0.5 * square


@tfd.RegisterKL(tfd.Kumaraswamy, tfd.Uniform)
def _kl_kumaraswamy_uniform(q: tfd.Kumaraswamy, p: tfd.Uniform, name: str | None = None) -> tf.Tensor:
    # -H(q) + log(high - low) where the uniform covers (0, 1), and infinite elsewhere
    covered = (p.low <= 0.0) & (p.high >= 1.0)
    return tf.where(covered, tf.math.log(p.range()) - q.entropy(), math.inf)
