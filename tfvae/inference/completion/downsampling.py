"""Observations that are smaller images: means of blocks of pixels."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfvae.errors import InputError
from tfvae.inference.completion import poisson_binomial
from tfvae.inference.completion.numbers import Binary, normal_log_prob, numbers
from tfvae.inference.completion.observations import Observation, in_range, uniform_items
from tfvae.inference.model import Model


@dataclasses.dataclass(frozen=True)
class Downsampled(Observation):
    """y is the means of blocks of x, images `[height, width, ...]`.

    Of a binary model p(y|z) is the exact Poisson-binomial mass of each block's count. Else it is a normal density,
    exact for Gaussian likelihoods and of matched moments for others.

    Attributes:
      factor: pixels of a side of a block.
    """

    factor: int

    def check(self, item_shape: tuple[int, ...]) -> None:
        """Raises `InputError` for items that it does not divide."""
        if len(item_shape) < 2:
            raise InputError(f"--task: received super_resolution, expected inpaint or denoise: items of shape "
                             f"{list(item_shape)} are no images")  # fmt: skip
        if self.factor < 2 or any(side % self.factor for side in item_shape[:2]):
            sides = " and ".join(map(str, item_shape[:2]))
            if not factors(item_shape):
                raise InputError(
                    f"--task: received super_resolution, expected inpaint or denoise: {sides}, the images' sides,"
                    " have no common divisor above 1, such as 28 and 28 or 8 and 12 have"
                )
            raise InputError(f"--factor: received {self.factor}, expected a number above 1 that divides {sides}")

    def observed_shape(self, item_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Of one y."""
        return (item_shape[0] // self.factor, item_shape[1] // self.factor, *item_shape[2:])

    def observe(self, x: np.ndarray, *, seed: int = 0) -> np.ndarray:
        return tf.reduce_mean(self._blocks(tf.constant(x, tf.float32)), axis=0).numpy()

    def log_likelihood(self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor:
        found = numbers(model, z, labels)
        if isinstance(found, Binary):
            each = poisson_binomial.log_mass(self._blocks(found.logits), self._counts(y))
        else:
            # mean_d x_d ~ N(mean_d mu_d, sum_d v_d / k^2)
            mean, spread = (tf.reduce_mean(self._blocks(v), axis=0) for v in (found.mean, found.variance))
            each = normal_log_prob(y - mean, spread / self.factor**2)
        return tf.reduce_sum(each, axis=range(1, each.shape.rank))

    def log_likelihood_of(
        self, model: Model, x: tf.Tensor, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None
    ) -> tf.Tensor:
        """log p(x|z) - log p(y|z) of an x whose block means are y: of a density, in coordinates that hold y."""
        each = numbers(model, z, labels).log_prob(x)
        return tf.reduce_sum(each, axis=range(1, each.shape.rank)) - self.log_likelihood(model, y, z, labels)

    def moments(
        self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        found = numbers(model, z, labels)
        if isinstance(found, Binary):
            mean = poisson_binomial.mean_given_count(self._blocks(found.logits), self._counts(y))
            return self._items(mean), self._items(mean * (1.0 - mean))
        mean, variance = self._blocks(found.mean), self._blocks(found.variance)
        share = self._share(variance)
        # E[x|y] = mu + share (k y - sum mu), Var[x_d|y] = v_d - share_d v_d
        total = self.factor**2 * y - tf.reduce_sum(mean, axis=0)
        return self._items(mean + share * total), self._items((1.0 - share) * variance)

    def draw(self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None, seed: tf.Tensor) -> tf.Tensor:
        found, uniforms = numbers(model, z, labels), self._blocks(uniform_items(model.item_shape, seed))
        if isinstance(found, Binary):
            drawn = poisson_binomial.draw_given_count(self._blocks(found.logits), self._counts(y), uniforms)
            return self._items(drawn)
        # x + share (k y - sum x) of a free draw x
        free = self._blocks(found.draw(self._items(uniforms)))
        total = self.factor**2 * y - tf.reduce_sum(free, axis=0)
        return self._items(free + self._share(self._blocks(found.variance)) * total)

    def guess(self, model: Model, y: np.ndarray, labels: np.ndarray | None, *, seed: int = 0) -> np.ndarray:
        return in_range(model, self.shown(y, model.item_shape))

    def shown(self, y: np.ndarray, item_shape: tuple[int, ...]) -> np.ndarray:
        return y.repeat(self.factor, axis=1).repeat(self.factor, axis=2)

    def _share(self, variance: tf.Tensor) -> tf.Tensor:
        return variance / tf.reduce_sum(variance, axis=0)

    def _counts(self, y: tf.Tensor) -> tf.Tensor:
        size = float(self.factor**2)
        return tf.clip_by_value(tf.round(y * size), 0.0, size)

    def _blocks(self, x: tf.Tensor) -> tf.Tensor:
        """`[rows, height, width, ...]` to `[factor^2, rows, height / factor, width / factor, ...]`."""
        f, (height, width, *rest) = self.factor, x.shape[1:]
        split = tf.reshape(x, [-1, height // f, f, width // f, f, math.prod(rest)])
        return tf.reshape(tf.transpose(split, [2, 4, 0, 1, 3, 5]), [f * f, -1, height // f, width // f, *rest])

    def _items(self, blocks: tf.Tensor) -> tf.Tensor:
        """The inverse of `_blocks`."""
        f, (height, width, *rest) = self.factor, blocks.shape[2:]
        split = tf.reshape(blocks, [f, f, -1, height, width, math.prod(rest)])
        return tf.reshape(tf.transpose(split, [2, 3, 0, 4, 1, 5]), [-1, height * f, width * f, *rest])


def factors(item_shape: tuple[int, ...]) -> list[int]:
    """What images can be downsampled by: the common divisors of both sides above 1, in order."""
    common = math.gcd(*item_shape[:2])
    return [factor for factor in range(2, common + 1) if common % factor == 0]
