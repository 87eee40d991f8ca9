"""What a step knows of the rows of its batch: their weights, their noise, their number.

A batch is padded to a static shape, cut among replicas and stacked into one compiled
program. `Rows` carries what must survive that: which rows are real, how many there are
in the global batch, and the key of each row's noise. While a step runs its rows are
*current* in its thread, so that what Keras calls with an activity alone (the KL
regularizer, a posterior's draw) can find them.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Iterator

import tensorflow as tf

from tfvae import random


@dataclasses.dataclass
class Rows:
    """The rows of one replica's part of a batch.

    Attributes:
      weights: float32 `[rows]`: 1 for a real row, 0 for padding, or the user's weight.
      total: float32 scalar: the number of real rows in the global batch.
      keys: uint32 `[rows, 2]`: see `tfvae.random`.
      regularize: whether activity regularizers enter the loss.
      training: whether layers such as dropout work as in training.
      rate: float32 `[rows]`, nats: KL(q(z|x) || p(z)), left here by the regularizer.
    """

    weights: tf.Tensor
    total: tf.Tensor
    keys: tf.Tensor
    regularize: bool = True
    training: bool = False
    rate: tf.Tensor | None = None

    def mean(self, per_example: tf.Tensor) -> tf.Tensor:
        """This replica's share of the mean over the global batch: the shares sum to the mean.

        Padded rows count nothing even where they are not finite.
        """
        counted = tf.where(self.weights > 0.0, per_example, 0.0)
        # A replica without rows divides by the global count, never by its own zero.
        return tf.math.divide_no_nan(tf.reduce_sum(self.weights * counted), self.total)

    @contextlib.contextmanager
    def current(self) -> Iterator["Rows"]:
        """Makes these rows the current ones of this thread."""
        before = getattr(_thread, "rows", None)
        _thread.rows = self
        try:
            yield self
        finally:
            _thread.rows = before


_thread = threading.local()


def current_rows() -> Rows | None:
    """The rows of the step that runs in this thread, or None outside a step."""
    return getattr(_thread, "rows", None)


def batch_rows(
    count: tf.Tensor,
    *,
    size: tf.Tensor | int,
    weights: tf.Tensor | None,
    seed: int,
    stream: int,
    step: tf.Tensor,
    first_row: tf.Tensor,
) -> Rows:
    """The rows of this replica's part of a batch; must be called in replica context.

    Args:
      count: int64 scalar: real rows of this part; those after them are padding.
      size: rows of this part with padding.
      weights: float `[size]`, or None for 1 each.
      seed, stream, step: what the noise belongs to besides the row.
      first_row: int64 scalar: the place of the global batch's first row.
    """
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    count = tf.cast(count, tf.int64)
    if replicas == 1:
        total, before = count, tf.zeros([], tf.int64)
    else:
        replica = context.replica_id_in_sync_group
        # One reduction tells every replica all counts: their sum, and the sum before its own.
        counts = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.one_hot(replica, replicas, dtype=tf.int64) * count)
        total = tf.reduce_sum(counts)
        before = tf.reduce_sum(tf.where(tf.range(replicas) < replica, counts, 0))
    places = tf.range(tf.cast(size, tf.int64), dtype=tf.int64)
    real = tf.cast(places < count, tf.float32)
    keys = random.row_keys(seed, stream, step=step, rows=first_row + before + places)
    weights = real if weights is None else real * tf.cast(weights, tf.float32)
    return Rows(weights=weights, total=tf.cast(total, tf.float32), keys=keys)
