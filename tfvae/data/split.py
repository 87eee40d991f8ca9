"""`Split`: streams of prepared examples for training and evaluation."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.data import pipeline
from tfvae.data.parts import WHOLE, Part
from tfvae.data.pipeline import Preparation
from tfvae.data.storage import Storage
from tfvae.errors import InputError
from tfvae.stacks import stacked

SPLIT_NAMES = ("train", "validation", "test")

_STREAMED_SAMPLE = 10_000  # examples of a streamed source that stand for all of them in an average


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """The examples of one split, prepared as the config says.

    Attributes:
      name: `train`, `validation` or `test`.
      source: of the data, for messages.
      storage: the examples, not prepared.
      preparation: what is done with them.
      split_seed: of noise that is drawn once.
    """

    name: str
    source: str
    storage: Storage
    preparation: Preparation
    split_seed: int

    @property
    def num_examples(self) -> int:
        return self.storage.num_examples

    @property
    def item_shape(self) -> tuple[int, ...]:
        return self.storage.item_shape

    @property
    def has_labels(self) -> bool:
        return self.storage.has_labels

    def steps_per_epoch(self, batch_size: int) -> int:
        """Batches of one epoch, with the last one, which may be smaller."""
        return -(-self.num_examples // batch_size)

    def training_batches(
        self, *, batch_size: int, seed: int, first_step: int = 0, labels: bool = False, part: Part = WHOLE
    ) -> tf.data.Dataset:
        """Batches without end, each epoch all examples once in an order of its own.

        Which examples a batch holds, and its noise, is a function of (seed, batch_size,
        number of the step): a stream from `first_step` is that from 0 without its first
        `first_step` batches, bit for bit. In memory it starts there at once; a streamed
        source reads the epoch's earlier elements, undecoded.

        Args:
          batch_size: examples of a batch; the last one of an epoch may hold fewer.
          seed: of the order and the noise, at least 0.
          first_step: optimizer step of the first batch.
          labels: whether to give (x, label) instead of x.
          part: gives of each batch the rows of one worker alone, with the noise that they have in the whole batch;
            none where there are too few.

        Returns:
          a dataset of x: float32 `[b, *item_shape]`, with labels int64 `[b]` if asked for.

        Raises:
          InputError: for a batch larger than the split, and as `evaluation_batches`.
        """

        def epoch(batches: tf.data.Dataset) -> tf.data.Dataset:
            return batches if labels else batches.map(lambda x, _: x)

        epochs = self._epochs(
            epoch, prepared=True, batch_size=batch_size, seed=seed, first_step=first_step, labels=labels, part=part
        )
        return pipeline.finish(epochs)

    def training_stacks(
        self, *, batch_size: int, steps: int, seed: int, first_step: int = 0, labels: bool = False
    ) -> tf.data.Dataset:
        """`training_batches` in stacks for one compiled program: of `steps` batches, but for the last of an epoch.

        Args:
          batch_size, seed, first_step: as for `training_batches`.
          steps: batches in a stack.
          labels: whether they will be asked for.

        Returns:
          a dataset of `tfvae.stacks.Stack`.

        Raises:
          InputError: as `training_batches`.
        """

        def epoch(batches: tf.data.Dataset) -> tf.data.Dataset:
            return stacked(batches, steps=steps, batch_size=batch_size, divisor=self._training_storage[1].divisor)

        epochs = self._epochs(
            epoch, prepared=False, batch_size=batch_size, seed=seed, first_step=first_step, labels=labels
        )
        return pipeline.finish(epochs)

    def _epochs(
        self, each: Callable[[tf.data.Dataset], tf.data.Dataset], *, prepared: bool, batch_size: int, seed: int,
        first_step: int, labels: bool, part: Part = WHOLE,
    ) -> tf.data.Dataset:  # fmt: skip
        """Epochs without end, `each` made of a dataset of (x, labels), x prepared or but `drawn`."""
        if not 1 <= batch_size <= self.num_examples:
            expected = "at least 1" if batch_size < 1 else f"at most {self.num_examples}"
            kind = {"train": "training"}.get(self.name, self.name)
            raise InputError(
                f"training.batch_size: received {batch_size}, expected {expected} ({kind} examples of {self.source})"
            )
        if labels:
            self._require_labels()
        storage, prepare = self._training_storage
        noise, sizes = self._key(seed, pipeline.TRAINING), self._sizes(batch_size)
        convert = prepare.with_noise if prepared else prepare.drawn

        def converted(
            epoch: tf.Tensor, i: tf.Tensor, values: tf.Tensor, label: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            return convert(values, lambda: part.noise(i, epoch=epoch, key=noise, **sizes)), label

        return storage.epochs(
            batch_size=batch_size,
            key=self._key(seed, pipeline.ORDER),
            first_step=first_step,
            part=part,
            each=lambda epoch: each(epoch.map(converted, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)),
        )

    def evaluation_batches(self, *, batch_size: int, labels: bool = False, part: Part = WHOLE) -> tf.data.Dataset:
        """One pass in a fixed order; noise belongs to an example, whatever the batch size.

        Args:
          batch_size: examples of a batch; the last one may hold fewer.
          labels: whether to give (x, label) instead of x.
          part: as for `training_batches`.

        Returns:
          a dataset of known cardinality of x: float32 `[b, *item_shape]`, with labels int64 `[b]` if asked for.

        Raises:
          InputError: where labels are asked for and the source has none, or a negative one.
        """
        if labels:
            self._require_labels()
        if part == WHOLE:
            batches = self._prepared_blocks().rebatch(batch_size)
        else:
            batches = self._prepared_parts(batch_size, part)
        if not labels:
            batches = batches.map(lambda x, _: x)
        count = self.steps_per_epoch(batch_size)
        return pipeline.finish(batches.apply(tf.data.experimental.assert_cardinality(count)))

    def examples(self, which: int | Sequence[int], *, labels: bool = False) -> Any:
        """Prepared examples as an evaluation sees them: the first `which`, or those at these places.

        Args:
          which: how many, or their places in the split.
          labels: whether to give (x, label) instead of x.

        Returns:
          x: float32 `[n, *item_shape]`, with labels int64 `[n]` if asked for; a smaller split gives fewer.

        Raises:
          InputError: as `evaluation_batches`.
        """
        places = np.arange(min(which, self.num_examples)) if isinstance(which, int) else np.asarray(which, np.int64)
        if not places.size:
            none = np.zeros((0, *self.item_shape), np.float32)
            return (none, np.zeros(0, np.int64)) if labels else none
        first = next(iter(self.evaluation_batches(batch_size=int(places.max()) + 1, labels=labels)))
        if labels:
            return first[0].numpy()[places], first[1].numpy()[places]
        return first.numpy()[places]

    def mean(self) -> np.ndarray:
        """The mean over examples and noise, float32 `[*item_shape]`; of a stream, over its first 10,000."""
        total, count = np.zeros(self.item_shape), 0
        for values, _ in self._sample(self.storage.blocks(), _STREAMED_SAMPLE):
            total += self.preparation.mean(values).numpy().sum(axis=0, dtype=np.float64)
            count += len(values)
        return (total / count).astype(np.float32)

    def sample(self, num_streamed: int) -> Iterator[np.ndarray]:
        """Chunks `[n, *item_shape]` of the prepared examples: all, or of a stream about its first `num_streamed`."""
        for x, _ in self._sample(self._prepared_blocks(), num_streamed):
            yield x.numpy()

    def _sample(self, blocks: tf.data.Dataset, num_streamed: int) -> tf.data.Dataset:
        return blocks if self.storage.in_memory else blocks.take(-(-num_streamed // pipeline.BLOCK))

    def _prepared_blocks(self) -> tf.data.Dataset:
        """The storage's blocks with noise that is drawn once for each example."""
        key = self._key(self.split_seed, pipeline.FIXED)
        return (
            self.storage.blocks()
            .enumerate()
            .map(
                lambda number, block: (self.preparation(block[0], key=key, at=(number, 0)), block[1]),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
        )

    def _prepared_parts(self, batch_size: int, part: Part) -> tf.data.Dataset:
        """One worker's rows of `_prepared_blocks().rebatch(batch_size)`, where it reads and prepares no others."""
        key, sizes = self._key(self.split_seed, pipeline.FIXED), self._sizes(batch_size)

        def prepared(i: tf.Tensor, values: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            x = self.preparation.with_noise(values, lambda: part.noise_drawn_once(i, key=key, **sizes))
            return x, label

        batches = self.storage.batches(batch_size=batch_size, part=part)
        return batches.map(prepared, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def _sizes(self, batch_size: int) -> dict[str, Any]:
        return {"batch_size": batch_size, "num_examples": self.num_examples, "item_shape": self.item_shape}

    @functools.cached_property
    def _training_storage(self) -> tuple[Storage, Preparation]:
        """Static binarization trains on what an evaluation sees: it is drawn into the storage, once."""
        if self.preparation.binarization != "static":
            return self.storage, self.preparation
        drawn = self._prepared_blocks().map(lambda x, label: (tf.cast(x, tf.uint8), label))
        return self.storage.replaced(drawn), Preparation(num_levels=2)

    def largest_label(self) -> int:
        """The largest label, of all examples: a stream is read once.

        Raises:
          InputError: where there are no labels, or a negative one.
        """
        self._require_labels()
        ends = np.iinfo(np.int64)
        low, high = self.storage.blocks().reduce(
            (ends.max, ends.min),
            lambda known, block: (
                tf.minimum(known[0], tf.reduce_min(block[1])),
                tf.maximum(known[1], tf.reduce_max(block[1])),
            ),
        )
        self._refuse_negative(int(low))
        return int(high)

    def _require_labels(self) -> None:
        if not self.has_labels:
            raise InputError(f"data.source: received {self.source!r}, which has no labels, expected a labelled source")
        self._refuse_negative(self._smallest_label)

    def _refuse_negative(self, label: int) -> None:
        if label < 0:
            raise InputError(
                f"data.source: received {self.source!r} with the label {label} in its {self.name} split, expected "
                "labels of at least 0"
            )

    @functools.cached_property
    def _smallest_label(self) -> int:
        return self.storage.smallest_label()

    def _key(self, seed: int, use: int) -> int:
        return pipeline.noise_key(seed, use, SPLIT_NAMES.index(self.name))
