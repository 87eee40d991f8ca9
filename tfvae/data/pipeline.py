"""Preparation: from stored values to the float32 values that a model sees, in [0, 1] but for `scale = "none"`.

What `DataConfig` asks for, for integers v of L levels (L = 256 for uint8, 17 for the
digits, 2 for booleans and for bytes none of which is above 1), and for floats p in
[0, 1], which count as v = p with L = 2:

* `binarization = "none"`: v / (L - 1);
* `"dynamic"` and `"static"`: 1 with probability v / (L - 1), else 0 (Salakhutdinov and
  Murray 2008). Dynamic draws again each epoch of training; static draws once for each
  example. Examples of an evaluation are always drawn once;
* `"threshold"`: 1 where v / (L - 1) is above `threshold`, else 0;
* `dequantize`: (v + u) / L with u uniform in [0, 1) (Theis et al. 2016, section 3.1),
  again each epoch of training, once for each example of an evaluation.

`scale = "none"` leaves the stored values as they are, whatever their range.

Noise is a pure function of the numbers that name it, whatever thread computes it: in
training of (seed, epoch, number of the batch in the epoch), where it is drawn once of
(split seed, split, place of the example in the split).
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfvae.config import DataConfig
from tfvae.errors import InputError

# Noise that is drawn once is drawn for this many consecutive examples at a time, so that
# it does not depend on a batch size. Another number would be another binarization.
BLOCK = 128

# Uses of one seed, which must not share their numbers.
ORDER, TRAINING, FIXED = range(3)


def noise_key(seed: int, use: int, split: int) -> int:
    """A key in [0, 2^62) for `uniform`: far from those of all other arguments."""
    return int(np.random.SeedSequence([seed, use, split]).generate_state(1, np.uint64)[0] >> np.uint64(2))


def uniform(shape: tf.Tensor, *, key: int, at: tuple[tf.Tensor | int, tf.Tensor | int]) -> tf.Tensor:
    """Uniform float32 numbers in [0, 1) of `shape`, a pure function of the key and of the two numbers `at`."""
    return tf.random.stateless_uniform(shape, seed=_seed(key, at), alg="philox")


def uniform_rows(
    start: tf.Tensor, stop: tf.Tensor, item_shape: tuple[int, ...], *, key: int, at: tuple[tf.Tensor, tf.Tensor]
) -> tf.Tensor:
    """Rows `start` to `stop` of `uniform([n, *item_shape], ...)`; the others are not drawn."""
    size = math.prod(item_shape)
    # Philox makes four numbers for each value of its counter.
    skipped = start * size // 4
    philox, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=_seed(key, at))
    counter += tf.stack([tf.cast(skipped, tf.uint64), tf.zeros([], tf.uint64)])
    numbers = tf.raw_ops.StatelessRandomUniformV2(
        shape=[stop * size - skipped * 4], key=philox, counter=counter, alg=1, dtype=tf.float32
    )
    return tf.reshape(numbers[start * size - skipped * 4 :], (-1, *item_shape))


def permutation(size: int, *, key: int, epoch: tf.Tensor) -> tf.Tensor:
    """A random order of 0 ... size - 1, int64 `[size]`, a pure function of key and epoch."""
    seed = _seed(key, (epoch, 0))
    # 64 bits, so that two equal numbers (which would stay in order) practically never come.
    numbers = tf.random.stateless_uniform([size], seed=seed, minval=None, maxval=None, dtype=tf.int64, alg="philox")
    return tf.cast(tf.argsort(numbers, stable=True), tf.int64)


def _seed(key: int, at: tuple[tf.Tensor | int, tf.Tensor | int]) -> tf.Tensor:
    return tf.stack([tf.cast(at[0], tf.int64) + key, tf.cast(at[1], tf.int64)])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preparation:
    """How values of `num_levels` levels (None: floats in [0, 1]) become what a model sees.

    Attributes:
      num_levels, scale, binarization, threshold, dequantize: see the module.
    """

    num_levels: int | None = None
    scale: str = "unit"
    binarization: str = "none"
    threshold: float = 0.5
    dequantize: bool = False

    @classmethod
    def from_config(cls, config: DataConfig, num_levels: int | None) -> "Preparation":
        """Raises `InputError` for `data.dequantize` of data that has no levels."""
        if config.dequantize and num_levels is None:
            raise InputError(
                f"data.dequantize: received True, expected False for {config.source}, whose values are floats "
                "and have no grey levels to fill"
            )
        return cls(
            num_levels=num_levels,
            scale=config.scale,
            binarization=config.binarization,
            threshold=config.threshold,
            dequantize=config.dequantize,
        )

    @property
    def draws(self) -> bool:
        """Whether values are binarized at random."""
        return self.binarization in ("static", "dynamic")

    def __call__(self, values: tf.Tensor, *, key: int, at: tuple[tf.Tensor | int, tf.Tensor | int]) -> tf.Tensor:
        """Prepares examples.

        Args:
          values: `[n, *item_shape]`, integers below `num_levels`, or floats in [0, 1]; any for scale "none".
          key, at: name the noise: see `uniform`.

        Returns:
          float32 `[n, *item_shape]`, in [0, 1] for scale "unit".
        """
        return self.with_noise(values, lambda: uniform(tf.shape(values), key=key, at=at))

    def with_noise(self, values: tf.Tensor, draw: Callable[[], tf.Tensor]) -> tf.Tensor:
        """`__call__` with the noise that `draw` gives where it is needed: uniform, float32 `[n, *item_shape]`."""
        return tf.cast(self.drawn(values, draw), tf.float32) / self.divisor

    def drawn(self, values: tf.Tensor, draw: Callable[[], tf.Tensor]) -> tf.Tensor:
        """`with_noise` but for the division by `divisor`, which waits for the step: bytes, where they hold the values.

        Returns:
          `[n, *item_shape]`: uint8 where values are binarized, float32 where they are dequantized, else of the dtype of
          `values`.
        """
        if not (self.draws or self.dequantize):
            return tf.cast(self.mean(values), tf.uint8) if self.binarization == "threshold" else values
        values, noise = tf.cast(values, tf.float32), draw()
        if self.dequantize:
            # In float32 the largest may round up to 1 itself.
            return (values + noise) / self.num_levels
        # u < v / (L - 1): never at v = 0, always at v = L - 1, as u < 1. Multiplied out it is faster.
        return tf.cast(noise * self._top < values, tf.uint8)

    @property
    def divisor(self) -> float:
        """Of what `drawn` gives."""
        return 1.0 if self.scale == "none" or self.dequantize or self.binarization != "none" else self._top

    def mean(self, values: tf.Tensor) -> tf.Tensor:
        """What `__call__` gives on average over its noise, float32 `[n, *item_shape]`."""
        values = tf.cast(values, tf.float32)
        if self.scale == "none":
            return values
        if self.dequantize:
            return (values + 0.5) / self.num_levels
        values = values / self._top
        return tf.cast(values > self.threshold, tf.float32) if self.binarization == "threshold" else values

    @property
    def _top(self) -> float:
        return 1.0 if self.num_levels is None else float(self.num_levels - 1)


def fit_images(images: tf.Tensor, config: DataConfig) -> tf.Tensor:
    """Applies `data.resize` and `data.grayscale`.

    Args:
      images: uint8 `[..., height, width, channels]`.
      config: of the data.

    Returns:
      uint8 `[..., height, width, channels]`.
    """
    if config.grayscale and images.shape[-1] != 1:
        images = tf.image.rgb_to_grayscale(images[..., :3])
    if config.resize:
        # Antialiasing matters where images shrink: without it most pixels are never looked at.
        resized = tf.image.resize(images, config.resize, antialias=True)
        images = tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)
    return images


def finish(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Sets the options of every stream that leaves this package."""
    options = tf.data.Options()
    # A replica that took a shard of its own would see other examples than one device does.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    options.deterministic = True
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)
