"""Where the examples of one split are kept: `Arrays` in memory, or `Stream` read again each epoch.

Both give the same streams of stored, not yet prepared values; what is done with them is written once, in `split`.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from tfvae.data import pipeline
from tfvae.data.parts import WHOLE, Part


class Storage(Protocol):
    """The examples of one split, in a fixed order."""

    @property
    def num_examples(self) -> int:
        """How many."""
        ...

    @property
    def item_shape(self) -> tuple[int, ...]:
        """Of one example."""
        ...

    @property
    def has_labels(self) -> bool:
        """Whether labels mean anything; they are 0 otherwise."""
        ...

    @property
    def in_memory(self) -> bool:
        """Whether a pass over all examples is cheap."""
        ...

    def blocks(self) -> tf.data.Dataset:
        """One pass in order: (values `[b, *item_shape]`, labels int64 `[b]`), b = `pipeline.BLOCK` but for the last."""
        ...

    def batches(self, *, batch_size: int, part: Part) -> tf.data.Dataset:
        """One pass in order: (number of the batch, values `[b, *item_shape]`, labels int64 `[b]`).

        Args:
          batch_size: of the whole batch; the last one may be smaller.
          part: b are the rows of this worker, maybe none.
        """
        ...

    def epochs(
        self, *, batch_size: int, key: int, first_step: int, each: Callable[[tf.data.Dataset], tf.data.Dataset],
        part: Part = WHOLE,
    ) -> tf.data.Dataset:  # fmt: skip
        """Epochs of shuffled batches without end.

        Args:
          batch_size: of the whole batch; the last batch of an epoch may be smaller.
          key: the order is a pure function of it and of the epoch.
          first_step: number of the first batch, counted over all epochs.
          each: what becomes of one epoch, a dataset of (epoch, number in the epoch, values `[b, *item_shape]`, labels
            int64 `[b]`).
          part: as for `batches`.

        Returns:
          what `each` makes of the first epoch, then of the second, and so on.
        """
        ...

    def largest(self) -> float:
        """The largest value; of a stream, that of its first examples."""
        ...

    def smallest_label(self) -> int:
        """The smallest label; of a stream, that of its first examples."""
        ...

    def replaced(self, blocks: tf.data.Dataset) -> "Storage":
        """The same kind of storage that holds `blocks`, a dataset such as `self.blocks()`."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arrays:
    """Rows of arrays in memory.

    Attributes:
      values: `[N, *item_shape]`, on the CPU; splits of one source share it.
      labels: int64 `[N]`, or None.
      rows: int64 `[num_examples]`: the rows of this split, in its order.
    """

    values: tf.Tensor
    labels: tf.Tensor | None
    rows: tf.Tensor
    in_memory: bool = True

    @classmethod
    def build(cls, values: np.ndarray, labels: np.ndarray | None) -> "Arrays":
        """All rows of `values`."""
        # A tf.data pipeline runs on the CPU: copying from a GPU for each batch would be slow.
        with tf.device("/cpu:0"):
            return cls(
                values=tf.constant(values),
                labels=None if labels is None else tf.constant(labels, tf.int64),
                rows=tf.range(len(values), dtype=tf.int64),
            )

    def only(self, rows: np.ndarray) -> "Arrays":
        """The same arrays with these rows, int64 `[n]`."""
        with tf.device("/cpu:0"):
            return dataclasses.replace(self, rows=tf.constant(rows, tf.int64))

    @classmethod
    def read(cls, blocks: tf.data.Dataset, *, like: Storage) -> "Arrays":
        """Reads a dataset such as `like.blocks()` into memory."""
        # Filled in place: to join the blocks at the end would take the memory twice.
        values = np.empty((like.num_examples, *like.item_shape), blocks.element_spec[0].dtype.as_numpy_dtype)
        labels, end = np.empty(like.num_examples, np.int64), 0
        for block, block_labels in blocks.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
            start, end = end, end + len(block)
            values[start:end], labels[start:end] = block, block_labels
        if end != like.num_examples:
            raise ValueError(f"blocks: received {end} examples, expected {like.num_examples}")
        return cls.build(values, labels if like.has_labels else None)

    @property
    def num_examples(self) -> int:
        return int(self.rows.shape[0])

    @property
    def item_shape(self) -> tuple[int, ...]:
        return tuple(self.values.shape[1:])

    @property
    def has_labels(self) -> bool:
        return self.labels is not None

    def blocks(self) -> tf.data.Dataset:
        def block(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return self._at(self.rows[number * pipeline.BLOCK : (number + 1) * pipeline.BLOCK])

        count = -(-self.num_examples // pipeline.BLOCK)
        return tf.data.Dataset.range(count).map(block, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def batches(self, *, batch_size: int, part: Part) -> tf.data.Dataset:
        def batch(i: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            return i, *self._at(part.of(self.rows[i * batch_size : (i + 1) * batch_size]))

        count = -(-self.num_examples // batch_size)
        return tf.data.Dataset.range(count).map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def epochs(
        self, *, batch_size: int, key: int, first_step: int, each: Callable[[tf.data.Dataset], tf.data.Dataset],
        part: Part = WHOLE,
    ) -> tf.data.Dataset:  # fmt: skip
        steps = -(-self.num_examples // batch_size)

        def batches(epoch: tf.Tensor, first: tf.Tensor) -> tf.data.Dataset:
            order = tf.gather(self.rows, pipeline.permutation(self.num_examples, key=key, epoch=epoch))
            # Rows are gathered a batch at a time: one copy, where examples one by one cost ten times as much.
            return tf.data.Dataset.range(first, steps).map(
                lambda i: (epoch, i, *self._at(part.of(order[i * batch_size : (i + 1) * batch_size]))),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )

        return _endless(lambda *first: each(batches(*first)), steps=steps, first_step=first_step)

    def largest(self) -> float:
        return float(tf.reduce_max(self.values))

    def smallest_label(self) -> int:
        return int(tf.reduce_min(self._labels_at(self.rows)))

    def replaced(self, blocks: tf.data.Dataset) -> "Arrays":
        return self.read(blocks, like=self)

    def _at(self, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(self.values, rows), self._labels_at(rows)

    def _labels_at(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.zeros_like(rows) if self.labels is None else tf.gather(self.labels, rows)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stream:
    """Examples that are read and decoded again each time.

    Attributes:
      elements: the stored elements in a fixed order: small, such as encoded images, as
        `shuffle_buffer` of them are in memory.
      decode: an element -> (values `[*item_shape]`, label int64).
      shuffle_buffer: elements among which the next is drawn.
    """

    elements: tf.data.Dataset
    decode: Callable[[Any], tuple[tf.Tensor, tf.Tensor]]
    num_examples: int
    item_shape: tuple[int, ...]
    has_labels: bool
    shuffle_buffer: int
    in_memory: bool = False

    def blocks(self) -> tf.data.Dataset:
        return self._decoded(self.elements).batch(pipeline.BLOCK)

    def batches(self, *, batch_size: int, part: Part) -> tf.data.Dataset:
        return self._batches(self.elements, first=0, batch_size=batch_size, part=part)

    def epochs(
        self, *, batch_size: int, key: int, first_step: int, each: Callable[[tf.data.Dataset], tf.data.Dataset],
        part: Part = WHOLE,
    ) -> tf.data.Dataset:  # fmt: skip
        def batches(epoch: tf.Tensor, first: tf.Tensor) -> tf.data.Dataset:
            # `shuffle` mixes the global seed in: this one, of the function's own graph, shuts out the program's.
            tf.random.set_seed(1)
            order = self.elements.shuffle(self.shuffle_buffer, seed=key + epoch, reshuffle_each_iteration=False)
            own = self._batches(order, first=first, batch_size=batch_size, part=part)
            return own.map(lambda i, values, labels: (epoch, i, values, labels))

        steps = -(-self.num_examples // batch_size)
        return _endless(lambda *first: each(batches(*first)), steps=steps, first_step=first_step)

    def largest(self) -> float:
        return float(max(tf.reduce_max(values) for values, _ in self.blocks().take(8)))

    def smallest_label(self) -> int:
        return int(min(tf.reduce_min(labels) for _, labels in self.blocks().take(8)))

    def replaced(self, blocks: tf.data.Dataset) -> "Stream":
        return dataclasses.replace(self, elements=blocks.unbatch(), decode=lambda *element: element)

    def _batches(
        self, elements: tf.data.Dataset, *, first: tf.Tensor | int, batch_size: int, part: Part
    ) -> tf.data.Dataset:
        """The batches of a pass from number `first` on, as `batches`; only this worker's rows are decoded."""
        # Skipped before they are decoded: a resumed run reads what comes before, and no more.
        elements = elements.skip(first * batch_size)
        if part == WHOLE:
            examples = self._decoded(elements).batch(batch_size)
        else:
            examples = part.batches(
                elements, self._decoded, first=first, batch_size=batch_size, num_examples=self.num_examples
            )
        return examples.enumerate(first).map(lambda i, example: (i, *example))

    def _decoded(self, elements: tf.data.Dataset) -> tf.data.Dataset:
        return elements.map(self.decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _endless(
    batches: Callable[[tf.Tensor, tf.Tensor], tf.data.Dataset], *, steps: int, first_step: int
) -> tf.data.Dataset:
    """The batches of epoch after epoch, from step `first_step` of epochs of `steps`; `batches(epoch, first)` is one."""
    first_epoch, first = divmod(first_step, steps)
    return tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max).flat_map(
        lambda epoch: batches(epoch, tf.where(epoch == first_epoch, tf.constant(first, tf.int64), 0))
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What a source is made of.

    Attributes:
      splits: gives the storages of the training, validation and test examples; raises `InputError` where there are
        too few to cut.
      num_levels: integers are below it; None: floats in [0, 1], or any numbers for scale "none".
      label_names, factor_names, factor_sizes: see `DataSet`.
      whole: all examples in the source's own order; None for a source that has splits of its own.
      names: of the examples in that order, such as those of files; empty where they have none.
      encoding: how text became numbers: see `DataConfig`.
    """

    splits: Callable[[], Sequence[Storage]]
    num_levels: int | None
    whole: Storage | None = None
    names: tuple[str, ...] = ()
    label_names: tuple[str, ...] = ()
    factor_names: tuple[str, ...] = ()
    factor_sizes: tuple[int, ...] = ()
    encoding: tuple[str, ...] = ()

    @classmethod
    def of_arrays(
        cls, values: np.ndarray, labels: np.ndarray | None, cut: Callable[[], list[np.ndarray]], **facts: Any
    ) -> "Found":
        """That of arrays in memory.

        Args:
          values: `[N, *item_shape]`.
          labels: int64 `[N]`, or None.
          cut: gives the rows of each split.
          **facts: the other attributes.
        """
        whole = Arrays.build(values, labels)
        return cls(splits=lambda: [whole.only(rows) for rows in cut()], whole=whole, **facts)
