"""p(x_d|z) of each number of x, as an observation that is no mask needs it: a Bernoulli, or a normal.

Of binary data and of Gaussian likelihoods this is p(x|z) itself. Of any other likelihood it is the normal with the
mean and the standard deviation that the signature `decode` gives: an approximation.
"""

import dataclasses
import math
from typing import Protocol

import tensorflow as tf

from tfvae.errors import InputError
from tfvae.inference.model import Model

_LEVELS = 255.0  # steps of the range of data whose numbers have no spacing of their own: those of a byte
_TINY = 1e-12  # the smallest variance


class Numbers(Protocol):
    """Independent distributions, one for each number, `[rows, *item_shape]`."""

    @property
    def mean(self) -> tf.Tensor:
        """`[rows, *item_shape]`."""
        ...

    @property
    def variance(self) -> tf.Tensor:
        """`[rows, *item_shape]`."""
        ...

    def log_prob(self, x: tf.Tensor) -> tf.Tensor:
        """Log-mass or log-density of each number, `[rows, *item_shape]`, nats."""
        ...

    def observed(self, y: tf.Tensor, stddev: float) -> "Numbers":
        """Given y = x + N(0, stddev^2)."""
        ...

    def log_prob_of_noisy(self, y: tf.Tensor, stddev: float) -> tf.Tensor:
        """log p(y) of y = x + N(0, stddev^2), `[rows, *item_shape]`, nats."""
        ...

    def draw(self, uniforms: tf.Tensor) -> tf.Tensor:
        """By the inverse distribution function of uniform numbers in (0, 1)."""
        ...


@dataclasses.dataclass(frozen=True)
class Binary:
    """x is 1 with the probability sigmoid(logits), else 0."""

    logits: tf.Tensor

    @property
    def mean(self) -> tf.Tensor:
        return tf.sigmoid(self.logits)

    @property
    def variance(self) -> tf.Tensor:
        return tf.sigmoid(self.logits) * tf.sigmoid(-self.logits)

    def log_prob(self, x: tf.Tensor) -> tf.Tensor:
        # A grey number is nearest to one of the two.
        return -tf.nn.softplus(tf.where(x > 0.5, -self.logits, self.logits))

    def observed(self, y: tf.Tensor, stddev: float) -> "Binary":
        # log N(y; 1, s^2) - log N(y; 0, s^2) = (2 y - 1) / (2 s^2)
        return Binary(self.logits + (y - 0.5) / stddev**2)

    def log_prob_of_noisy(self, y: tf.Tensor, stddev: float) -> tf.Tensor:
        # p N(y; 1, s^2) + (1 - p) N(y; 0, s^2)
        ones = self.log_prob(tf.ones_like(y)) + normal_log_prob(y - 1.0, stddev**2)
        zeros = self.log_prob(tf.zeros_like(y)) + normal_log_prob(y, stddev**2)
        return tf.reduce_logsumexp(tf.stack([ones, zeros]), axis=0)

    def draw(self, uniforms: tf.Tensor) -> tf.Tensor:
        return tf.cast(uniforms < self.mean, tf.float32)


@dataclasses.dataclass(frozen=True)
class Normal:
    """x ~ N(mean, variance)."""

    mean: tf.Tensor
    variance: tf.Tensor

    def log_prob(self, x: tf.Tensor) -> tf.Tensor:
        return normal_log_prob(x - self.mean, self.variance)

    def observed(self, y: tf.Tensor, stddev: float) -> "Normal":
        # N(x; mu, v) N(y; x, s^2) ~ N(x; mu + g (y - mu), (1 - g) v), g = v / (v + s^2)
        gain = self.variance / (self.variance + stddev**2)
        return Normal(self.mean + gain * (y - self.mean), (1.0 - gain) * self.variance)

    def log_prob_of_noisy(self, y: tf.Tensor, stddev: float) -> tf.Tensor:
        return normal_log_prob(y - self.mean, self.variance + stddev**2)

    def draw(self, uniforms: tf.Tensor) -> tf.Tensor:
        return self.mean + tf.sqrt(self.variance) * tf.math.ndtri(uniforms)


def numbers(model: Model, z: tf.Tensor, labels: tf.Tensor | None) -> Binary | Normal:
    """p(x_d|z) at z `[rows, latent_size]`, differentiable.

    Raises:
      InputError: for a likelihood that has no standard deviation, such as a bag of words.
    """
    decoded = model.tensors("decode", z=z, labels=labels)
    logits = decoded.get("logits")
    # Codes, and mixtures, of two levels have several logits for each number.
    if model.binary and logits is not None and tuple(logits.shape[1:]) == model.item_shape:
        return Binary(logits)
    if "stddev" not in decoded:
        raise InputError(
            f"--task: received noise or a downsampling, expected inpaint: numbers of {model.origin} have no standard "
            "deviation given z"
        )
    return Normal(decoded["mean"], tf.maximum(decoded["stddev"] ** 2, _TINY))


def resolution(model: Model) -> float:
    """How far values of x lie apart: 1 for masses, a 255th of the range where any number will do."""
    if model.step != 0.0:
        return 1.0
    if model.low is None or model.high is None:
        return 1.0 / _LEVELS
    return (model.high - model.low) / _LEVELS


def normal_log_prob(deviation: tf.Tensor, variance: tf.Tensor | float) -> tf.Tensor:
    """log N(deviation; 0, variance), nats."""
    return -0.5 * (deviation**2 / variance + tf.math.log(2.0 * math.pi * variance))
