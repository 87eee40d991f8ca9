"""Observations with noise on every number: y = x + normal noise, ends of the range in its place, or flips."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfvae import random
from tfvae.errors import InputError
from tfvae.inference.completion.numbers import Numbers, normal_log_prob, numbers, resolution
from tfvae.inference.completion.observations import Observation, in_range, uniform_items
from tfvae.inference.model import Model, seeds


def _sum(each: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(each, axis=range(1, each.shape.rank))


@dataclasses.dataclass(frozen=True)
class _Noise(Observation):
    """Noise on each number by itself, of numbers as `numbers` has them: exact for binary and Gaussian models."""

    def log_likelihood(self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor:
        return _sum(self.log_prob(numbers(model, z, labels), y))

    def log_likelihood_of(
        self, model: Model, x: tf.Tensor, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None
    ) -> tf.Tensor:
        found = numbers(model, z, labels)
        return _sum(self.log_prob_of_clean(found, x) + self.log_channel(x, y) - self.log_prob(found, y))

    def guess(self, model: Model, y: np.ndarray, labels: np.ndarray | None, *, seed: int = 0) -> np.ndarray:
        """y itself, brought into the range of x."""
        return in_range(model, y)

    def log_prob(self, found: Numbers, y: tf.Tensor) -> tf.Tensor:
        """log p(y_d|z) of numbers p(x_d|z)."""
        raise NotImplementedError

    def log_prob_of_clean(self, found: Numbers, x: tf.Tensor) -> tf.Tensor:
        """log p(x_d|z), a mass or a density as `log_prob` is."""
        return found.log_prob(x)

    def log_channel(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """log p(y_d|x_d)."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class GaussianNoise(_Noise):
    """y = x + N(0, sigma^2): the normal of each number meets another, or two of them are weighed.

    Attributes:
      sigma: standard deviation of the noise, in units of x.
    """

    sigma: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.sigma < np.inf:
            raise InputError(f"--sigma: received {self.sigma:g}, expected a number above 0")

    def observe(self, x: np.ndarray, *, seed: int = 0) -> np.ndarray:
        uniforms = uniform_items(x.shape[1:], _seeds(seed, len(x)))
        return (x + self.sigma * tf.math.ndtri(uniforms).numpy()).astype(np.float32)

    def log_prob(self, found: Numbers, y: tf.Tensor) -> tf.Tensor:
        return found.log_prob_of_noisy(y, self.sigma)

    def log_channel(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return normal_log_prob(y - x, self.sigma**2)

    def moments(
        self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        given = numbers(model, z, labels).observed(y, self.sigma)
        return given.mean, given.variance

    def draw(self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None, seed: tf.Tensor) -> tf.Tensor:
        return numbers(model, z, labels).observed(y, self.sigma).draw(uniform_items(model.item_shape, seed))


@dataclasses.dataclass(frozen=True)
class _Replaced(_Noise):
    """A share of the numbers is replaced.

    Attributes:
      share: of the numbers, between 0 and 1.
      ends: the range of x.
      resolution: how far values of x lie apart, see `numbers.resolution`.
    """

    share: float = 0.2
    ends: tuple[float, float] = (0.0, 1.0)
    resolution: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0:
            raise InputError(f"--share: received {self.share:g}, expected a number between 0 and 1")

    @classmethod
    def of(cls, model: Model, share: float) -> "_Replaced":
        """That of a model's range; raises `InputError` for numbers without limits."""
        if model.low is None or model.high is None:
            raise InputError(
                f"--noise: received noise that needs a range, expected gaussian: numbers of {model.origin} have "
                "no limits"
            )
        return cls(share=share, ends=(model.low, model.high), resolution=resolution(model))


@dataclasses.dataclass(frozen=True)
class SaltAndPepper(_Replaced):
    """A share of the numbers is replaced by the ends of the range, either with the same probability.

    p(y_d|z) = (1 - share) p(x_d = y_d|z) + share / 2 [y_d is an end], where a density counts over `resolution`: all
    are masses, also log p(x|y, z), which is 0 for a number that was certainly not replaced.
    """

    def observe(self, x: np.ndarray, *, seed: int = 0) -> np.ndarray:
        replaced, side = uniform_items(x.shape[1:], _seeds(seed, len(x)), num_samples=2).numpy()
        ends = np.where(side < 0.5, *self.ends)
        return np.where(replaced < self.share, ends, x).astype(np.float32)

    def _parts(self, found: Numbers, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """log of p(y_d, not replaced|z), and of p(y_d, replaced)."""
        kept = self.log_prob_of_clean(found, y) + tf.math.log(1.0 - self.share)
        return kept, self._log_replaced(y)

    def log_prob_of_clean(self, found: Numbers, x: tf.Tensor) -> tf.Tensor:
        return found.log_prob(x) + tf.math.log(self.resolution)

    def _log_replaced(self, y: tf.Tensor) -> tf.Tensor:
        at_end = tf.reduce_any([tf.abs(y - end) < 1e-6 for end in self.ends], axis=0)
        return tf.where(at_end, tf.math.log(self.share / 2.0), -1e30)

    def log_prob(self, found: Numbers, y: tf.Tensor) -> tf.Tensor:
        return tf.reduce_logsumexp(tf.stack(self._parts(found, y)), axis=0)

    def log_channel(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        same = tf.where(tf.abs(x - y) < 1e-6, tf.math.log(1.0 - self.share), -1e30)
        return tf.reduce_logsumexp(tf.stack([same, self._log_replaced(y)]), axis=0)

    def moments(
        self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        found = numbers(model, z, labels)
        kept, replaced = self._parts(found, y)
        weight = tf.sigmoid(kept - replaced)
        mean = weight * y + (1.0 - weight) * found.mean
        return mean, (1.0 - weight) * (found.variance + weight * (y - found.mean) ** 2)

    def draw(self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None, seed: tf.Tensor) -> tf.Tensor:
        found = numbers(model, z, labels)
        kept, replaced = self._parts(found, y)
        which, value = tf.unstack(uniform_items(model.item_shape, seed, num_samples=2))
        return tf.where(which < tf.sigmoid(kept - replaced), y, found.draw(value))


@dataclasses.dataclass(frozen=True)
class BernoulliNoise(_Replaced):
    """A share of the numbers is flipped: v becomes low + high - v; of binary data 0 becomes 1 and 1 becomes 0."""

    def _flipped(self, y: tf.Tensor) -> tf.Tensor:
        return sum(self.ends) - y

    def observe(self, x: np.ndarray, *, seed: int = 0) -> np.ndarray:
        uniforms = uniform_items(x.shape[1:], _seeds(seed, len(x))).numpy()
        return np.where(uniforms < self.share, self._flipped(x), x).astype(np.float32)

    def _parts(self, found: Numbers, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """log of p(y_d, not flipped|z), and of p(y_d, flipped|z)."""
        kept = found.log_prob(y) + tf.math.log(1.0 - self.share)
        return kept, found.log_prob(self._flipped(y)) + tf.math.log(self.share)

    def log_prob(self, found: Numbers, y: tf.Tensor) -> tf.Tensor:
        return tf.reduce_logsumexp(tf.stack(self._parts(found, y)), axis=0)

    def log_channel(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        same = tf.where(tf.abs(x - y) < 1e-6, tf.math.log(1.0 - self.share), -1e30)
        other = tf.where(tf.abs(x - self._flipped(y)) < 1e-6, tf.math.log(self.share), -1e30)
        return tf.reduce_logsumexp(tf.stack([same, other]), axis=0)

    def moments(
        self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        kept, flipped = self._parts(numbers(model, z, labels), y)
        weight, other = tf.sigmoid(kept - flipped), self._flipped(y)
        return weight * y + (1.0 - weight) * other, weight * (1.0 - weight) * (y - other) ** 2

    def draw(self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None, seed: tf.Tensor) -> tf.Tensor:
        kept, flipped = self._parts(numbers(model, z, labels), y)
        return tf.where(uniform_items(model.item_shape, seed) < tf.sigmoid(kept - flipped), y, self._flipped(y))


def _seeds(seed: int, count: int) -> tf.Tensor:
    """Of the noise of each row."""
    return tf.constant(seeds(seed, count, use=random.BINARIZATION))
