"""The parts of several workers are the batches of one, bit for bit."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.data.test_dataset import BATCH, SIZE, images, opened, stored, take  # noqa: F401, a fixture
from tfvae import data
from tfvae.config import DataConfig
from tfvae.data import Part, pipeline
from tfvae.data.storage import Stream


def joined(batches_of, count, steps):
    """The batches of all workers, put together: those of a worker are `batches_of(part)`."""
    parts = [take(batches_of(Part(worker, count)), steps) for worker in range(count)]
    assert {len(part) for part in parts} == {len(parts[0])}
    return [np.concatenate(rows) for rows in zip(*parts, strict=True)]


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "mode", [{"binarization": "dynamic"}, {"dequantize": True}, {"binarization": "static"}], ids=str
)
def test_together_they_are_the_batches_of_training(opened, mode):  # noqa: F811
    split = opened(**mode).train
    whole = take(split.training_batches(batch_size=BATCH, seed=3, first_step=6), 4)
    assert [len(x) for x in whole] == [32, 16, 32, 32]

    def own(part):
        return split.training_batches(batch_size=BATCH, seed=3, first_step=6, part=part)

    assert_same(joined(own, 3, 4), whole)


# Batches of less than a block of noise, and of more
@pytest.mark.parametrize(("batch_size", "mode"), [(BATCH, {"binarization": "dynamic"}), (200, {"dequantize": True})])
def test_together_they_are_the_batches_of_an_evaluation(opened, batch_size, mode):  # noqa: F811
    split = opened(**mode).train
    whole = take(split.evaluation_batches(batch_size=batch_size), 99)
    assert sum(map(len, whole)) == split.num_examples == 240
    assert_same(joined(lambda part: split.evaluation_batches(batch_size=batch_size, part=part), 3, 99), whole)


@pytest.mark.parametrize("item_shape", [(3, 5, 1), (2, 2, 1)])
def test_the_noise_of_some_rows_is_that_of_all_at_these_rows(item_shape):
    at = (tf.constant(2, tf.int64), tf.constant(7, tf.int64))
    whole = pipeline.uniform([11, *item_shape], key=2**61, at=at).numpy()
    for start, stop in ((0, 11), (0, 4), (1, 2), (5, 11), (7, 7), (11, 11)):
        rows = pipeline.uniform_rows(
            tf.constant(start, tf.int64), tf.constant(stop, tf.int64), item_shape, key=2**61, at=at
        )
        np.testing.assert_array_equal(rows, whole[start:stop])


def test_labels_stay_with_their_rows(opened):  # noqa: F811
    split = opened(binarization="dynamic").train
    whole = list(itertools.islice(split.training_batches(batch_size=BATCH, seed=3, labels=True), 8))
    for worker in range(2):
        part = Part(worker, 2)
        batches = split.training_batches(batch_size=BATCH, seed=3, labels=True, part=part)
        for (x, label), (all_x, all_labels) in zip(batches, whole, strict=False):
            start, stop = (int(end) for end in part.bounds(len(all_x)))
            np.testing.assert_array_equal(x, all_x[start:stop])
            np.testing.assert_array_equal(label, all_labels[start:stop])


def test_parts_are_equal_rounded_up_and_the_last_may_be_empty(opened):  # noqa: F811
    sizes = {size: [int(b - a) for a, b in (Part(w, 3).bounds(size) for w in range(3))] for size in (0, 1, 4, 6, 7, 8)}
    assert sizes == {0: [0, 0, 0], 1: [1, 0, 0], 4: [2, 2, 0], 6: [2, 2, 2], 7: [3, 3, 1], 8: [3, 3, 2]}
    split = opened(binarization="dynamic").train
    # 240 rows in batches of 239: the last has one, which is the first worker's.
    for first_step in (0, 1):
        last = split.training_batches(batch_size=239, seed=3, first_step=first_step, part=Part(1, 2))
        assert [len(x) for x in take(last, 3)] == [[119, 0, 119], [0, 119, 0]][first_step]
    assert [len(x) for x in take(split.evaluation_batches(batch_size=239, part=Part(1, 2)), 9)] == [119, 0]
    # Of batches of four, the third of three workers never gets a row.
    assert [len(x) for x in take(split.evaluation_batches(batch_size=4, part=Part(2, 3)), 99)] == [0] * 60


def test_a_worker_decodes_its_own_rows_of_a_stream_alone(tmp_path):
    """The others' images are no images: to decode one of them would end the pass."""
    source = stored(tmp_path, "stream", images(), np.arange(SIZE) % 7)
    storage = data.load(DataConfig(source=source, shuffle_buffer=37)).train.storage
    assert isinstance(storage, Stream)
    decoded = []

    class Counting(Stream):
        def _decoded(self, elements):
            examples = super()._decoded(elements)
            decoded.append(sum(1 for _ in examples.take(1_000)))
            return examples

    counting = Counting(**vars(storage))
    sizes = [len(values) for _, values, _ in counting.batches(batch_size=BATCH, part=Part(1, 2))]
    assert decoded == [120] and sizes == [16] * 7 + [8]
