"""A worker's part of each global batch: its rows of the one common order, with the noise that they have there."""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfvae.data import pipeline


@dataclasses.dataclass(frozen=True)
class Part:
    """Which rows of a batch a worker reads: equal parts, rounded up, as Keras cuts a batch among replicas.

    Attributes:
      index: of the worker.
      count: of all workers.
    """

    index: int = 0
    count: int = 1

    def bounds(self, size: tf.Tensor | int) -> tuple[tf.Tensor, tf.Tensor]:
        """Where the rows of a batch of `size` begin and end, int64; there may be none."""
        size = tf.cast(size, tf.int64)
        rows = -(-size // self.count)
        return tf.minimum(self.index * rows, size), tf.minimum((self.index + 1) * rows, size)

    def of(self, rows: tf.Tensor) -> tf.Tensor:
        """The rows of a batch, `[b, ...]`, that are this part."""
        start, stop = self.bounds(tf.shape(rows)[0])
        return rows[start:stop]

    def noise(
        self,
        i: tf.Tensor,
        *,
        epoch: tf.Tensor,
        batch_size: int,
        num_examples: int,
        item_shape: tuple[int, ...],
        key: int,
    ) -> tf.Tensor:
        """The noise of this part of batch `i` of an epoch of training: that of the whole batch, at its rows."""
        start, stop = self.bounds(tf.minimum(num_examples - i * batch_size, batch_size))
        return pipeline.uniform_rows(start, stop, item_shape, key=key, at=(epoch, i))

    def noise_drawn_once(
        self, i: tf.Tensor, *, batch_size: int, num_examples: int, item_shape: tuple[int, ...], key: int
    ) -> tf.Tensor:
        """The noise of this part of batch `i` of an evaluation, drawn once for each `pipeline.BLOCK` places."""
        start, stop = self.bounds(tf.minimum(num_examples - i * batch_size, batch_size))
        first, last = i * batch_size + start, i * batch_size + stop
        blocks = tf.map_fn(
            # A shorter last block has the same numbers, as far as it goes.
            lambda number: pipeline.uniform(tf.constant([pipeline.BLOCK, *item_shape]), key=key, at=(number, 0)),
            tf.range(first // pipeline.BLOCK, -(-last // pipeline.BLOCK)),
            fn_output_signature=tf.TensorSpec((pipeline.BLOCK, *item_shape), tf.float32),
        )
        before = first // pipeline.BLOCK * pipeline.BLOCK
        return tf.reshape(blocks, (-1, *item_shape))[first - before : last - before]

    def batches(
        self,
        elements: tf.data.Dataset,
        decode: Callable[[tf.data.Dataset], tf.data.Dataset],
        *,
        first: tf.Tensor | int,
        batch_size: int,
        num_examples: int,
    ) -> tf.data.Dataset:
        """This part of the batches of one pass over stored elements; only its rows are decoded.

        Args:
          elements: those of the pass from batch number `first` on.
          decode: from stored elements to (values, label).
          first: number of the first batch.
          batch_size, num_examples: of the whole pass.
        """

        def is_own(place: tf.Tensor, _: Any) -> tf.Tensor:
            before = place // batch_size * batch_size
            start, stop = self.bounds(tf.minimum(num_examples - before, batch_size))
            return (start <= place - before) & (place - before < stop)

        start, stop = self.bounds(batch_size)
        own = elements.enumerate(tf.cast(first, tf.int64) * batch_size).filter(is_own).map(lambda _, element: element)
        examples = decode(own)
        empty = tf.nest.map_structure(lambda spec: tf.zeros([0, *spec.shape], spec.dtype), examples.element_spec)
        # There may be no row in a ragged last batch, or in any.
        batches = examples.batch(tf.maximum(stop - start, 1)).concatenate(tf.data.Dataset.from_tensors(empty).repeat())
        return batches.take(-(-num_examples // batch_size) - first)


WHOLE = Part()
