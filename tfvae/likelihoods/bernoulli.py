"""Likelihoods of data in [0, 1] with one logit for each dimension."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae.likelihoods.base import _Likelihood, flat, independent, inverse, logits_of, shaped, sum_last
from tfvae.support import BINARY, UNIT, Support

_HALVINGS = 6


@dataclasses.dataclass(kw_only=True, slots=True)
class Bernoulli(_Likelihood):
    """p(x|z) = prod_d Bernoulli(x_d): -log p is the cross-entropy (Kingma & Welling 2013, equation 11)."""

    def distribution(self, params: tf.Tensor, item_shape: tuple[int, ...]) -> tfd.Distribution:
        """p(x|z) of logits."""
        return independent(_Bernoulli(shaped(params, item_shape), dtype=tf.float32), item_shape)

    def output_bias(self, mean: np.ndarray) -> np.ndarray:
        """The logits of `mean`, `[*item_shape]`, flat."""
        return logits_of(mean)

    def support(self, item_shape: tuple[int, ...]) -> Support:
        """0 and 1."""
        return BINARY


class _Bernoulli(tfd.Bernoulli):
    """`tfd.Bernoulli` with one softplus in its log-mass, which has two: exact where x is 0 or 1, and faster."""

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        x, logits = self._together(x)
        # x l - log(1 + exp(l))
        return -tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits)

    def log_prob_of_item(self, x: tf.Tensor, axes: int) -> tf.Tensor:
        """The sum of the log-masses over the last `axes` axes of x, with a sixteenth of the logarithms or fewer."""
        x, logits = self._together(x)
        return _sum_of_log_masses(flat(x, axes), flat(logits, axes))

    def _together(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """x and the logits in one shape."""
        shape = tf.broadcast_dynamic_shape(tf.shape(x), tf.shape(self.logits))
        static = tf.broadcast_static_shape(x.shape, self.logits.shape)
        return tuple(tf.ensure_shape(tf.broadcast_to(v, shape), static) for v in (x, self.logits))


@tf.custom_gradient
def _sum_of_log_masses(x: tf.Tensor, logits: tf.Tensor) -> Any:
    """sum_d x_d l_d - log(1 + exp(l_d)) of `[..., size]`: `[...]`, and its gradient.

    A logarithm costs as much as all else of a pixel together. Factors from 1 to 2 are multiplied before it is taken,
    at most `2**_HALVINGS` of them, which float32 holds.
    """
    # log(1 + exp(l)) = max(l, 0) + log(1 + exp(-|l|))
    factors = 1.0 + tf.exp(-tf.abs(logits))
    for _ in range(_HALVINGS):
        if factors.shape[-1] % 2:
            break
        half = factors.shape[-1] // 2
        factors = factors[..., :half] * factors[..., half:]
    value = sum_last(x * logits - tf.nn.relu(logits)) - sum_last(tf.math.log(factors))

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return upstream[..., None] * logits, upstream[..., None] * (x - tf.math.sigmoid(logits))

    return value, gradient


@dataclasses.dataclass(kw_only=True, slots=True)
class ContinuousBernoulli(_Likelihood):
    """p(x|z) = prod_d C(l_d) exp(x_d l_d) / (1 + exp(l_d)) for x in [0, 1]: the cross-entropy of grey, normalised.

    Loaiza-Ganem & Cunningham 2019, The continuous Bernoulli: fixing a pervasive error in
    variational autoencoders, equation 3. The mean is not the sigmoid of the logits l.
    """

    def distribution(self, params: tf.Tensor, item_shape: tuple[int, ...]) -> tfd.Distribution:
        """p(x|z) of logits."""
        return independent(tfd.ContinuousBernoulli(shaped(params, item_shape)), item_shape)

    def output_bias(self, mean: np.ndarray) -> np.ndarray:
        """Logits that give `mean`, `[*item_shape]`, flat."""
        # A mean of 0.01 has the logit -100: networks would be slow to leave one of less.
        return inverse(_mean, np.linspace(-100.0, 100.0, 2**14), np.clip(mean, 0.01, 0.99))

    def support(self, item_shape: tuple[int, ...]) -> Support:
        """Numbers in [0, 1]."""
        return UNIT


def _mean(logits: np.ndarray) -> np.ndarray:
    # 1 / (1 - exp(-l)) - 1 / l, where l is not 0
    return -1.0 / np.expm1(-logits) - 1.0 / logits
