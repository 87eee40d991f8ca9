"""What was observed of x, and how likely it is given z: a mask; see also `downsampling` and `noise`.

A new observation is a class below `Observation`. Everything else, such as methods and figures, takes it as it is.
"""

import abc
import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfvae import random
from tfvae.inference.completion import discrete
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

    def averages(
        self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The mean and the variance of each number of p(x|y), float32 `[rows, *item_shape]`.

        Args:
          model, y, labels: as of the other methods.
          z: draws of p(z|y), `[rows, count, latent_size]`.
        """
        mean, variance = (
            tf.reshape(each, [*z.shape[:2], *model.item_shape])
            for each in self.moments(model, *_by_draw(z, y), _of_each(labels, z.shape[1]))
        )
        # Var x = E Var[x|z] + Var E[x|z]
        spread = tf.reduce_mean(variance, axis=1) + tf.math.reduce_variance(mean, axis=1)
        return tf.reduce_mean(mean, axis=1), spread

    def draws_items(self, model: Model) -> bool:
        """Whether x ~ p(x|y, z) can be drawn."""
        return True

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
        found = known - self.log_likelihood(model, y, z, labels)
        return found - discrete.log_total_ratio(x, y) if discrete.Kind.of(model).bag else found

    def moments(
        self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        decoded, missing = model.tensors("decode", z=z, labels=labels), tf.math.is_nan(y)
        mean, variance = decoded["mean"], decoded["stddev"] ** 2 if "stddev" in decoded else tf.zeros_like(y)
        if discrete.Kind.of(model).bag:
            mean, variance = discrete.bag_moments(mean, y)
        return tf.where(missing, mean, y), tf.where(missing, variance, 0.0)

    def averages(
        self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Of codes without an order see `discrete`."""
        mean, variance = super().averages(model, y, z, labels)
        kind, missing = discrete.Kind.of(model), tf.math.is_nan(y)
        if not kind.codes:
            return mean, variance
        decoded = model.tensors("decode", z=_by_draw(z, y)[1], labels=_of_each(labels, z.shape[1]))
        for codes in kind.codes:
            share = codes.share(decoded, z.shape[1])
            mode = tf.cast(tf.argmax(share, axis=-1), tf.float32)
            mean = discrete.placed(mode, codes.places, mean)
            variance = discrete.placed(1.0 - tf.reduce_max(share, axis=-1), codes.places, variance)
        return tf.where(missing, mean, y), tf.where(missing, variance, 0.0)

    def draws_items(self, model: Model) -> bool:
        return model.draws_items

    def draw(self, model: Model, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None, seed: tf.Tensor) -> tf.Tensor:
        return tf.where(tf.math.is_nan(y), model.tensors("decode_sample", z=z, seed=seed, labels=labels)["item"], y)

    def guess(self, model: Model, y: np.ndarray, labels: np.ndarray | None, *, seed: int = 0) -> np.ndarray:
        """Ten sweeps of pseudo-Gibbs from an item of the model; of a model that has no draws, the mean of one."""
        given = seeds(seed, len(y) * (_SWEEPS + 1), use=random.PRIOR).reshape(len(y), -1)
        missing, made = np.isnan(y), model.rows("generate", seed=given[:, 0], labels=labels)
        if discrete.Kind.of(model).bag:
            made["item"] = discrete.bag_moments(tf.constant(made["item"]), tf.constant(y))[0].numpy()
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


def _by_draw(z: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """y of each draw of z, and z `[rows, count, latent_size]` as `[rows * count, latent_size]`."""
    return tf.repeat(y, z.shape[1], axis=0), tf.reshape(z, [-1, z.shape[-1]])


def _of_each(labels: tf.Tensor | None, count: int) -> tf.Tensor | None:
    return None if labels is None else tf.repeat(labels, count, axis=0)


def _log_likelihood(model: Model, x: tf.Tensor, mask: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor:
    return model.tensors("log_joint", item=x, mask=mask, z=z, labels=labels)["log_likelihood"]


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
