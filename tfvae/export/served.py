"""A model as its signatures see it: what makes items fit for the networks, and noise that belongs to a row."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae import random
from tfvae.evaluation.importance import importance_estimate
from tfvae.vae import VAE

FIXED_SEED = 0  # of signatures that take no seed

_MAX_CHUNK = 16  # posterior samples of a row that are decoded at once ...
_MAX_CHUNK_NUMBERS = 2**16  # ... fewer where items are large: memory is this for each row of a batch


def _shared(method: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a method of tensors one function of the graph that all signatures call, where each would hold a copy."""

    @functools.wraps(method)
    def call(self: "Served", *inputs: Any) -> Any:
        if method.__name__ not in self.functions:
            self.functions[method.__name__] = tf.function(functools.partial(method, self), autograph=False)
        return self.functions[method.__name__](*inputs)

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
      binary: whether p(x|z) is one of 0 and 1, for which grey is drawn to 0 or 1.
      functions: the shared functions, by name.
    """

    vae: VAE
    item_shape: tuple[int, ...]
    num_samples: int
    binary: bool
    functions: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def item_name(self) -> str:
        """The name of items in signatures."""
        return item_name(self.item_shape)

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
          seed: int64 `[N]`, of the draw of grey to 0 or 1.

        Returns:
          float32 `[N, *item_shape]` in [0, 1], where NaN has become 0, numbers outside are
          clipped and, for binary data, grey is drawn; and bool `[N]`: whether the row
          was finite and in [0, 1] to begin with.
        """
        # A NaN fails both comparisons.
        valid = tf.reduce_all((item >= 0.0) & (item <= 1.0), axis=range(1, item.shape.rank))
        x = tf.clip_by_value(tf.where(tf.math.is_nan(item), 0.0, item), 0.0, 1.0)
        if self.binary:
            noise = random.uniforms(self.keys(seed, random.BINARIZATION), math.prod(self.item_shape))
            # 0 < noise < 1, so that 0 and 1 stay what they are.
            x = tf.cast(tf.reshape(noise, tf.shape(x)) < x, tf.float32)
        return x, valid

    def posterior(self, item: tf.Tensor) -> tfd.Distribution:
        """q(z|x) of items, float32 `[N, *item_shape]`, cleaned with the fixed seed: batch shape `[N]`."""
        return self.vae.encode(self.clean(item, self.fixed_seed(item))[0])

    @_shared
    def estimate(self, item: tf.Tensor, seed: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """The fields of `importance.Estimate` for each row from its own seed, and which rows are valid: see `clean`.

        Args:
          item: float32 `[N, *item_shape]`.
          seed: int64 `[N]`.

        Returns:
          float64 tensors `[N]`, nats; and bool `[N]`.
        """
        x, valid = self.clean(item, seed)
        chunk_size = max(1, min(_MAX_CHUNK, self.num_samples, _MAX_CHUNK_NUMBERS // math.prod(self.item_shape)))
        keys = self.keys(seed, random.POSTERIOR)
        estimate = importance_estimate(self.vae, x, keys, num_samples=self.num_samples, chunk_size=chunk_size)
        return vars(estimate), valid
