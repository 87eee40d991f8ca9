"""A model as its signatures see it: what makes items fit for the networks, and noise that belongs to a row."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae import random
from tfvae.evaluation.importance import estimate_from_noise, importance_estimate
from tfvae.rows import current_rows, plain_rows
from tfvae.support import TOLERANCE, Support
from tfvae.vae import VAE

FIXED_SEED = 0  # of signatures that take no seed

_MAX_CHUNK = 16  # posterior samples of a row that are decoded at once ...
_MAX_CONSTANT = 2**16  # numbers of a constant in the graph: above, it would weigh more than all the rest
_MAX_AT_ONCE = 2**18  # numbers of a row, for all its posterior samples together, where none are drawn in the graph
_MAX_CHUNK_NUMBERS = 2**16  # ... fewer where items are large: memory is this for each row of a batch


def _shared(method: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a method of tensors one function of the graph that all signatures call, where each would hold a copy."""

    @functools.wraps(method)
    def call(self: "Served", *inputs: Any) -> Any:
        rows = current_rows()
        labels = None if rows is None else rows.labels

        def with_labels(labels: tf.Tensor | None, *inputs: Any) -> Any:
            # Labels of the caller's rows belong to the caller's graph: here they come in as an input.
            with plain_rows(tf.shape(inputs[0])[0], labels=labels).current():
                return method(self, *inputs)

        if method.__name__ not in self.functions:
            self.functions[method.__name__] = tf.function(with_labels, autograph=False, reduce_retracing=True)
        return self.functions[method.__name__](labels, *inputs)

    return call


def item_name(item_shape: tuple[int, ...]) -> str:
    """What an item is called in signatures: `image`, `vector`, or `data` for other ranks."""
    return {3: "image", 1: "vector"}.get(len(item_shape), "data")


@dataclasses.dataclass(frozen=True)
class Served:
    """A model as its signatures see it.

    Attributes:
      vae: the model.
      item_shape: of one item x.
      num_samples: K, posterior samples of each row in `score` and `serving_default`.
      pixel_scale: what a pixel of an encoded image, 0 to 255, is multiplied with.
      noise_samples: K of the noise of `score_noise`; None: as the caller likes.
      functions: the shared functions, by name.
    """

    vae: VAE
    item_shape: tuple[int, ...]
    num_samples: int
    pixel_scale: float = 1.0 / 255.0
    noise_samples: int | None = None
    functions: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def item_name(self) -> str:
        """The name of items in signatures."""
        return item_name(self.item_shape)

    @property
    def size(self) -> int:
        """How many numbers an item has."""
        return math.prod(self.item_shape)

    @property
    def fit_item(self) -> np.ndarray:
        """An item that every support allows, float32 `[*item_shape]`: zeros, or the numbers nearest to them."""
        low, high = self.vae.support.low, self.vae.support.high
        return np.clip(np.zeros(self.item_shape), low, high).astype(np.float32)

    @_shared
    def keys(self, seed: tf.Tensor, stream: int) -> tf.Tensor:
        """Noise keys, uint32 `[N, 2]`, of each row's own seed, int64 `[N]`, and not of its place."""
        return random.row_keys(seed, stream, rows=tf.zeros_like(seed))

    def fixed_seed(self, like: tf.Tensor) -> tf.Tensor:
        """int64 `[N]`: the seed of every row of `like`, `[N, ...]`, where the caller gives none."""
        return tf.fill(tf.shape(like)[:1], tf.constant(FIXED_SEED, tf.int64))

    @_shared
    def clean(self, item: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Makes items fit for the networks.

        Args:
          item: float32 `[N, *item_shape]`.
          seed: int64 `[N]`, of the draw of numbers between two values, such as grey to 0 or 1.

        Returns:
          float32 `[N, *item_shape]` in the likelihood's support, where numbers that are not finite have become 0,
          others are clipped to its range and come to one of its values; and bool `[N]`: whether the row was fit to
          begin with, and its label is one that there is.
        """
        return self._cleaned(item, lambda: self.uniforms(seed, random.BINARIZATION))

    @_shared
    def fitted(self, item: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`clean` with the fixed seed, whose noise is the same for every row: the graph draws no random number."""
        with tf.init_scope():
            noise = random.uniforms(self._fixed_key(random.BINARIZATION), min(self.size, _MAX_CONSTANT)).numpy()
        # A large item takes the same numbers again and again.
        times = -(-self.size // _MAX_CONSTANT)
        pattern = lambda: tf.tile(tf.constant(noise.ravel()), [times])[: self.size]  # noqa: E731
        return self._cleaned(item, lambda: tf.reshape(pattern(), [1, *self.item_shape]))

    def _cleaned(self, item: tf.Tensor, uniforms: Callable[[], tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        x, fit = _fitted(item, self.vae.support, uniforms)
        valid = tf.reduce_all(fit, axis=range(1, item.shape.rank))
        rows = current_rows()
        if rows is not None and rows.labels is not None:
            valid &= (rows.labels >= 0) & (rows.labels < self.vae.num_labels)
        return x, valid

    def measured(self, item: tf.Tensor) -> tf.Tensor:
        """Items for a density: as `clean`, but numbers of a density stay what they are also outside the range.

        A draw of a Gaussian p(x|z) of [0, 1] may lie outside, and has its density there.
        """
        x = self.fitted(item)[0]
        free = tf.constant(np.broadcast_to(np.asarray(self.vae.support.step) == 0, self.item_shape))
        return tf.where(free & tf.math.is_finite(item), item, x)

    def uniforms(self, seed: tf.Tensor, stream: int) -> tf.Tensor:
        """A number in (0, 1) for each of an item's, float32 `[N, *item_shape]`, from each row's own seed `[N]`."""
        noise = random.uniforms(self.keys(seed, stream), self.size)
        return tf.reshape(noise, [-1, *self.item_shape])

    def posterior(self, item: tf.Tensor) -> tfd.Distribution:
        """q(z|x) of items, float32 `[N, *item_shape]`, cleaned with the fixed seed: batch shape `[N]`."""
        return self.vae.encode(self.fitted(item)[0])

    def fixed_normals(self) -> tf.Tensor:
        """Noise of K posterior samples from the fixed seed, the same for all rows: `[K, 1, latent_size]`."""
        with tf.init_scope():
            keys = self._fixed_key(random.POSTERIOR)
            noise = random.normals(keys, self.vae.latent_size, num_samples=self.num_samples).numpy()
        return tf.constant(noise)

    def _fixed_key(self, stream: int) -> tf.Tensor:
        # Outside of the graph, where the labels of its rows are out of reach.
        with plain_rows(1).current():
            return self.keys(tf.constant([FIXED_SEED], tf.int64), stream)

    @_shared
    def estimate(self, item: tf.Tensor, seed: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """`importance.Estimate` for each row from its own seed, and which rows are valid: see `clean`.

        Args:
          item: float32 `[N, *item_shape]`.
          seed: int64 `[N]`.

        Returns:
          float64 tensors `[N]` by the names of the fields, nats; and bool `[N]`.
        """
        x, valid = self.clean(item, seed)
        chunk_size = max(1, min(_MAX_CHUNK, self.num_samples, _MAX_CHUNK_NUMBERS // self.size))
        keys = self.keys(seed, random.POSTERIOR)
        estimate = importance_estimate(self.vae, x, keys, num_samples=self.num_samples, chunk_size=chunk_size)
        return vars(estimate), valid

    @_shared
    def fixed_estimate(self, item: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """`estimate` with the fixed seed, whose noise is the same for every row: the graph draws no random number.

        But for large items, whose samples do not all fit into memory at once.
        """
        if self.num_samples * self.size > _MAX_AT_ONCE:
            return self.estimate(item, self.fixed_seed(item))
        x, valid = self.fitted(item)
        noise = self.fixed_normals()
        shape = [noise.shape[0], tf.shape(x)[0], noise.shape[2]]
        return vars(estimate_from_noise(self.vae, x, tf.broadcast_to(noise, shape))), valid


def _fitted(item: tf.Tensor, support: Support, uniforms: Callable[[], tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Numbers brought into a support, and which of them were in it: see `Support.contains`."""
    low, high, step = (tf.constant(np.asarray(v), tf.float32) for v in (support.low, support.high, support.step))
    finite = tf.math.is_finite(item)
    fit = finite & (item >= low) & (item <= high)
    # An infinite number is clipped where there is a limit.
    unlimited = tf.math.is_nan(item) | ~(finite | tf.math.is_finite(tf.where(item > 0.0, high, low)))
    x = tf.clip_by_value(tf.where(unlimited, 0.0, item), low, high)
    if np.all(np.asarray(support.step) == 0):
        return x, fit
    start = tf.where(tf.math.is_finite(low), low, 0.0)
    place = (x - start) / tf.where(step > 0.0, step, 1.0)
    if support.between == "drawn":
        # 0 < noise < 1, so that a value stays what it is.
        level = tf.floor(place) + tf.cast(uniforms() < place - tf.floor(place), tf.float32)
    else:
        level = tf.round(place)
        if support.between == "refused":
            fit &= (step == 0.0) | (tf.abs(place - level) <= TOLERANCE)
    return tf.where(step > 0.0, start + level * step, x), fit
