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
      labels: int64 `[rows]`, for a model that is conditional on them, or None.
      step: int64 scalar: optimizer steps made so far.
      num_samples: L, draws of z for each row; a KL without closed form is estimated from them.
      regularize: whether activity regularizers enter the loss.
      training: whether layers such as dropout work as in training.
      draw_weights: whether layers with a posterior over their weights draw them; their means otherwise.
      rate: float32 `[rows]`, nats: KL(q(z|x) || p(z)), left here by the regularizer.
    """

    weights: tf.Tensor
    total: tf.Tensor
    keys: tf.Tensor
    labels: tf.Tensor | None = None
    step: tf.Tensor | int = 0
    num_samples: int = 1
    regularize: bool = True
    training: bool = False
    draw_weights: bool = False
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


def plain_rows(count: tf.Tensor | int, *, labels: tf.Tensor | None = None) -> Rows:
    """Rows of no step: they weigh one each, have no noise of their own, and nothing regularizes."""
    count = tf.convert_to_tensor(count)
    return Rows(
        weights=tf.ones([count]), total=tf.cast(count, tf.float32), keys=tf.zeros([count, 2], tf.uint32),
        labels=labels, regularize=False,
    )  # fmt: skip


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


def gather_replicas(values: tf.Tensor) -> tf.Tensor:
    """`[rows, ...]` of this replica to `[all rows, ...]`, those of all replicas in order; in replica context.

    Gradients flow back to the rows of the other replicas: a loss over the whole batch,
    shared out among them, has the gradient that it has on one device.
    """
    start, total = _place(tf.shape(values)[0])
    if total is None:
        return values
    # This replica's rows at their place among zeros: the sum over replicas is the whole.
    after = total - start - tf.shape(values)[0]
    around = tf.concat([[[start, after]], tf.zeros([values.shape.rank - 1, 2], tf.int32)], axis=0)
    return _sum_replicas(tf.pad(values, around))


def own_rows(values: tf.Tensor, size: tf.Tensor | int) -> tf.Tensor:
    """This replica's `size` rows of what has the leading axis of `gather_replicas`; in replica context."""
    start, total = _place(tf.convert_to_tensor(size))
    return values if total is None else values[start : start + size]


def global_mean(rows: Rows, per_example: tf.Tensor) -> tf.Tensor:
    """The weighted mean of `[rows, ...]` over the real rows of all replicas: `[...]`; in replica context."""
    weights = tf.reshape(rows.weights, [-1] + [1] * (per_example.shape.rank - 1))
    share = tf.reduce_sum(weights * tf.where(weights > 0.0, per_example, 0.0), axis=0)
    return tf.math.divide_no_nan(_sum_replicas(share), _sum_replicas(tf.reduce_sum(rows.weights)))


def _place(size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Where this replica's `size` rows begin among those of all, and how many these are; None for one replica."""
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    if replicas == 1:
        return tf.zeros([], tf.int32), None
    replica = context.replica_id_in_sync_group
    # Not `size` times `replica`: a step that Keras cuts by itself may give unequal parts.
    sizes = _sum_replicas(tf.one_hot(replica, replicas, dtype=tf.int32) * size)
    return tf.reduce_sum(tf.where(tf.range(replicas) < replica, sizes, 0)), tf.reduce_sum(sizes)


def _sum_replicas(values: tf.Tensor) -> tf.Tensor:
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)
