"""What was observed of x, and how likely it is given z: a mask, or a downsampling; noise is in `noise`.

A new observation is a class below `Observation`. Everything else, such as methods and figures, takes it as it is.
"""

import abc
import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfvae import random
from tfvae.errors import InputError
from tfvae.inference.completion import poisson_binomial
from tfvae.inference.completion.numbers import Binary, normal_log_prob, numbers
from tfvae.inference.model import Model, seeds

_SWEEPS = 10  # of pseudo-Gibbs, that make a first guess of what is behind a mask


@dataclasses.dataclass(frozen=True)
class Observation(abc.ABC):
    """p(y|x). Tensors y are float32 `[rows, *shape of y]`, z `[rows, latent_size]`, labels int64 `[rows]` or None."""

    @abc.abstractmethod
    def observe(self, x: np.ndarray, *, seed: int = 0) -> np.ndarray:
        """y ~ p(y|x) of x `[n, *item_shape]`: float32 `[n, *shape of y]`."""

    @abc.abstractmethod
    def log_likelihood(self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor:
        """log p(y|z), float32 `[rows]`, nats; differentiable in z."""

    @abc.abstractmethod
    def log_likelihood_of(
        self, model: Model, x: tf.Tensor, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None
    ) -> tf.Tensor:
        """log p(x|y, z) of any x, such as the truth, float32 `[rows]`, nats.

        By Bayes' rule log p(x|z) + log p(y|x) - log p(y|z).
        """

    @abc.abstractmethod
    def moments(
        self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The mean and the variance of each number of p(x|y, z), float32 `[rows, *item_shape]`."""

    @abc.abstractmethod
    def draw(self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None, seed: tf.Tensor) -> tf.Tensor:
        """x ~ p(x|y, z), float32 `[rows, *item_shape]`, each row by its own seed, int64 `[rows]`."""

    @abc.abstractmethod
    def guess(self, model: Model, y: np.ndarray, labels: np.ndarray | None, *, seed: int = 0) -> np.ndarray:
        """A first guess of x for the encoder, `[n, *item_shape]`, in the range of x."""

    def missing(self, y: np.ndarray, item_shape: tuple[int, ...]) -> np.ndarray:
        """Which numbers of x are not known, bool `[n, *item_shape]`: all of them, but for a mask."""
        return np.ones((len(y), *item_shape), bool)

    def shown(self, y: np.ndarray, item_shape: tuple[int, ...]) -> np.ndarray:
        """y as items `[n, *item_shape]`, for a picture; NaN is drawn grey."""
        return y


@dataclasses.dataclass(frozen=True)
class Masked(Observation):
    """Some numbers of x are observed, the others are not: y is x with NaN in their place.

    Exact for every likelihood whose numbers are independent given z, by the signature `log_joint`.

    Attributes:
      mask: true for what is observed, `[*item_shape]` or one for each row; None where y brings NaN of its own.
    """

    mask: np.ndarray | None = None

    def observe(self, x: np.ndarray, *, seed: int = 0) -> np.ndarray:
        if self.mask is None:
            return x
        return np.where(self.mask, x, np.nan).astype(np.float32)

    def log_likelihood(self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor:
        return _log_likelihood(model, y, ~tf.math.is_nan(y), z, labels)

    def log_likelihood_of(
        self, model: Model, x: tf.Tensor, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None
    ) -> tf.Tensor:
        # A truth may have numbers missing too: they count for nothing.
        known = _log_likelihood(model, x, ~tf.math.is_nan(x), z, labels)
        return known - self.log_likelihood(model, y, z, labels)

    def moments(
        self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        decoded, missing = model.tensors("decode", z=z, labels=labels), tf.math.is_nan(y)
        spread = decoded["stddev"] ** 2 if "stddev" in decoded else tf.zeros_like(y)
        return tf.where(missing, decoded["mean"], y), tf.where(missing, spread, 0.0)

    def draw(self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None, seed: tf.Tensor) -> tf.Tensor:
        return tf.where(tf.math.is_nan(y), model.tensors("decode_sample", z=z, seed=seed, labels=labels)["item"], y)

    def guess(self, model: Model, y: np.ndarray, labels: np.ndarray | None, *, seed: int = 0) -> np.ndarray:
        """Ten sweeps of pseudo-Gibbs from an item of the model; of a model that has no draws, the mean of one."""
        given = seeds(seed, len(y) * (_SWEEPS + 1), use=random.PRIOR).reshape(len(y), -1)
        missing, made = np.isnan(y), model.rows("generate", seed=given[:, 0], labels=labels)
        x = np.where(missing, made["item"], y)
        if model.draws_items:
            z = made["z"]
            for sweep in range(_SWEEPS):
                x = model.rows("decode_sample", z=z, seed=given[:, sweep], labels=labels)["item"]
                x = np.where(missing, x, y)
                z = model.rows("encode_sample", item=x, seed=given[:, sweep + 1], labels=labels)["z"]
        return x

    def missing(self, y: np.ndarray, item_shape: tuple[int, ...]) -> np.ndarray:
        return np.isnan(y)


def _log_likelihood(model: Model, x: tf.Tensor, mask: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor:
    return model.tensors("log_joint", item=x, mask=mask, z=z, labels=labels)["log_likelihood"]


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


def uniform_items(item_shape: tuple[int, ...], seed: tf.Tensor, *, num_samples: int | None = None) -> tf.Tensor:
    """Uniform numbers in (0, 1), `[rows, *item_shape]`, or `[num_samples, rows, *item_shape]`, of each row's seed."""
    keys = random.row_keys(seed, random.LIKELIHOOD, rows=tf.zeros_like(seed))
    drawn = random.uniforms(keys, math.prod(item_shape), num_samples=num_samples or 1)
    drawn = tf.reshape(drawn, [num_samples or 1, -1, *item_shape])
    return drawn if num_samples else drawn[0]


def in_range(model: Model, x: np.ndarray) -> np.ndarray:
    """x in the range of the model's items, and at one of their values where these have a spacing."""
    if model.step:
        start = model.low or 0.0
        x = start + model.step * np.round((x - start) / model.step)
    return np.clip(x, model.low, model.high).astype(np.float32) if (model.low, model.high) != (None, None) else x
