"""Batches of one static shape on top of each other, as one compiled program of several steps takes them."""

from typing import NamedTuple

import tensorflow as tf


class Stack(NamedTuple):
    """Batches for consecutive steps.

    They are kept as they are stored, mostly in bytes: a step makes its floats, x = values / divisor.

    Attributes:
      values: numbers `[steps, rows, *item_shape]`; padded rows repeat real ones, padded steps are zeros.
      labels: int64 `[steps, rows]`; 0 where there are none.
      counts: int64 `[steps]`: real rows of each batch, 0 for a padded step.
      divisor: float32 `[steps]`.
    """

    values: tf.Tensor
    labels: tf.Tensor
    counts: tf.Tensor
    divisor: tf.Tensor


def stacked(batches: tf.data.Dataset, *, steps: int, batch_size: int, divisor: float) -> tf.data.Dataset:
    """Stacks of `steps` batches; the last one is padded.

    Args:
      batches: a dataset of (values `[b, *item_shape]`, labels int64 `[b]`), b at most `batch_size`.
      steps: batches in a stack.
      batch_size: rows in a full batch.
      divisor: see `Stack`.

    Returns:
      a dataset of `Stack`, of static shapes.
    """

    def padded(values: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        count = tf.shape(labels)[0]
        # The rows over again: they weigh nothing in the loss, and spoil no batch statistics.
        rows = tf.range(batch_size) % count
        return tf.gather(values, rows), tf.gather(labels, rows), tf.cast(count, tf.int64)

    def filled(*leaves: tf.Tensor) -> Stack:
        missing = steps - tf.shape(leaves[0])[0]
        # To pad is to copy, which a whole stack needs not.
        full = tf.cond(missing > 0, lambda: [_with_zeros(leaf, missing) for leaf in leaves], lambda: list(leaves))
        values, labels, counts = (
            tf.ensure_shape(leaf, [steps, *given.shape[1:]]) for leaf, given in zip(full, leaves, strict=True)
        )
        return Stack(values, labels, counts, tf.fill([steps], divisor))

    rows = batches.map(padded, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return rows.batch(steps).map(filled)


def _with_zeros(leaf: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    return tf.pad(leaf, tf.concat([[[0, count]], tf.zeros([leaf.shape.rank - 1, 2], tf.int32)], axis=0))
