"""Random numbers that belong to a row, whatever batch, replica or compiled step draws them.

TFP's samplers and `tf.random` take one seed for a whole batch, so that a row's noise
changes with the batch it travels in. Here each row has a key of its own, and the
noise is a pure function of (key, sample, position): Threefry-2x32 with 20 rounds
(Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3), written with integer
operations that give the same bits eagerly, in a graph, under XLA and in a SavedModel.
"""

import functools
from typing import Any

import tensorflow as tf

# Streams keep uses of one seed apart.
TRAINING, VALIDATION, EVALUATION, POSTERIOR, PRIOR, BINARIZATION, PICTURES, LIKELIHOOD = range(1, 9)

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def _word(value: int) -> tf.Tensor:
    return tf.constant(value & 0xFFFFFFFF, tf.uint32)


def _rotate_left(word: tf.Tensor, count: int) -> tf.Tensor:
    high = tf.bitwise.left_shift(word, _word(count))
    return tf.bitwise.bitwise_or(high, tf.bitwise.right_shift(word, _word(32 - count)))


def _threefry(key0: tf.Tensor, key1: tf.Tensor, x0: tf.Tensor, x1: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Threefry-2x32-20 of the counter (x0, x1) under (key0, key1), all uint32, broadcast together."""
    shape = functools.reduce(tf.broadcast_static_shape, [tf.TensorShape(v.shape) for v in (key0, key1, x0, x1)])
    found = _rounds(key0, key1, x0, x1)
    for word in found:
        word.set_shape(shape)
    return found


# A function of any shape is traced once, and called as one op wherever noise is drawn: some 150 ops each time would be
# a sixth of the time of tracing a model, and a good part of an export.
@tf.function(input_signature=[tf.TensorSpec(None, tf.uint32)] * 4, autograph=False)
def _rounds(key0: tf.Tensor, key1: tf.Tensor, x0: tf.Tensor, x1: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    keys = (key0, key1, tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(key0, key1), _word(_PARITY)))
    x0, x1 = x0 + keys[0], x1 + keys[1]
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = tf.bitwise.bitwise_xor(_rotate_left(x1, rotation), x0)
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + keys[(group + 2) % 3] + _word(group + 1)
    return x0, x1


def row_keys(seed: Any, stream: int, *, step: Any = 0, rows: Any) -> tf.Tensor:
    """The keys of rows.

    Args:
      seed: int or int64 tensor, scalar or `[rows]`; all 64 bits count.
      stream: one of the streams of this module.
      step: integer scalar: the optimizer step, or 0.
      rows: integers `[rows]`: the place of each row in the global batch or data set.

    Returns:
      uint32 tensor `[rows, 2]`.
    """
    seed = tf.convert_to_tensor(seed, tf.int64)
    low = tf.cast(tf.bitwise.bitwise_and(seed, tf.constant(0xFFFFFFFF, tf.int64)), tf.uint32)
    high = tf.cast(tf.bitwise.right_shift(tf.bitcast(seed, tf.uint64), tf.constant(32, tf.uint64)), tf.uint32)
    key0, key1 = _threefry(low, high, _word(stream), _word(0))
    rows = tf.cast(rows, tf.uint32)
    return tf.stack(_threefry(key0, key1, tf.cast(step, tf.uint32) + tf.zeros_like(rows), rows), axis=-1)


def fold_in(keys: tf.Tensor, stream: int) -> tf.Tensor:
    """Other keys, `[rows, 2]`, independent of `keys`, for another use of the same rows."""
    return tf.stack(_threefry(keys[..., 0], keys[..., 1], _word(stream), _word(1)), axis=-1)


def split(keys: tf.Tensor, count: int) -> tf.Tensor:
    """`count` further keys of each row, uint32 `[count, rows, 2]`, independent of `keys` and of each other."""
    numbers = tf.cast(tf.range(count), tf.uint32)[:, None] + tf.zeros_like(keys[None, :, 0])
    return tf.stack(_threefry(keys[None, :, 0], keys[None, :, 1], numbers, tf.zeros_like(numbers) + _word(2)), axis=-1)


def uniforms(keys: tf.Tensor, size: int, *, num_samples: int = 1, first_sample: Any = 0) -> tf.Tensor:
    """Numbers from the uniform distribution on the open interval (0, 1).

    Args:
      keys: uint32 `[rows, 2]`.
      size: numbers in one sample.
      num_samples: samples for each row.
      first_sample: the number of the first of them: sample k is the same however
        many are drawn at once.

    Returns:
      float32 tensor `[num_samples, rows, size]`.
    """
    samples = tf.cast(first_sample, tf.int64) + tf.range(num_samples, dtype=tf.int64)
    samples = tf.cast(samples, tf.uint32)[:, None, None]
    pairs = tf.cast(tf.range((size + 1) // 2), tf.uint32)[None, None, :]
    key0, key1 = keys[None, :, 0, None], keys[None, :, 1, None]
    word0, word1 = _threefry(key0, key1, samples + tf.zeros_like(pairs), pairs + tf.zeros_like(samples))
    words = tf.concat([word0, word1], axis=-1)[..., :size]
    # 23 bits and a half step: (2^23 - 1/2) / 2^23 is the largest, and float32 holds it.
    return (tf.cast(tf.bitwise.right_shift(words, _word(9)), tf.float32) + 0.5) * (1.0 / 2**23)


def normals(keys: tf.Tensor, size: int, *, num_samples: int = 1, first_sample: Any = 0) -> tf.Tensor:
    """Standard normal numbers by inverse CDF; shapes as in `uniforms`."""
    return tf.math.ndtri(uniforms(keys, size, num_samples=num_samples, first_sample=first_sample))
