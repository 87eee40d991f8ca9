"""Streams of training and evaluation, from memory and from files alike."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfvae import data
from tfvae.config import DataConfig
from tfvae.data import pipeline
from tfvae.errors import InputError

SIZE, BATCH = 300, 32  # two blocks of noise in the training split, and a ragged last batch
MODES = [{}, {"binarization": "static"}, {"binarization": "dynamic"}, {"binarization": "threshold"}]
MODES = [*MODES, {"dequantize": True}]


def images():
    """`[SIZE, 4, 6, 1]`; the first nine pixels are its number in binary, the others grey."""
    grey = np.random.default_rng(1).integers(1, 255, (SIZE, 24), dtype=np.uint8)
    grey[:, :9] = 255 * ((np.arange(SIZE)[:, None] >> np.arange(9)) & 1)
    return grey.reshape(SIZE, 4, 6, 1)


def numbers(x):
    """The numbers of images, whatever their preparation."""
    return ((np.asarray(x).reshape(len(x), -1)[:, :9] > 0.5) << np.arange(9)).sum(axis=1)


def stored(folder, kind, values, labels):
    """The source of these images and labels in an array, "memory", or in records, "stream"."""
    if kind == "memory":
        np.savez(folder / "x.npz", images=values, labels=labels)
        return f"npz:{folder / 'x.npz'}"
    with tf.io.TFRecordWriter(str(folder / "x.tfrecord")) as writer:
        for image, label in zip(values, labels, strict=True):
            feature = {
                "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[tf.io.encode_png(image).numpy()])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[int(label)])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return f"tfrecord:{folder / 'x.tfrecord'}"


@pytest.fixture(scope="module", params=["memory", "stream"])
def opened(request, tmp_path_factory):
    """`load` of the same images from an array or from records: a function of the fields of `DataConfig`."""
    source = stored(tmp_path_factory.mktemp("data"), request.param, images(), np.arange(SIZE) % 7)

    def load(**fields):
        # Neither the buffer nor the batch size divides anything.
        return data.load(DataConfig(source=source, shuffle_buffer=37, **fields))

    load.in_memory = request.param == "memory"
    return load


def take(dataset, count):
    return [x.numpy() for x in itertools.islice(dataset, count)]


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_facts(opened):
    d = opened()
    assert (d.item_shape, d.num_levels, d.label_names) == ((4, 6, 1), 256, ())
    assert [d.split(name).num_examples for name in ("train", "validation", "test")] == [240, 30, 30]
    assert [d.split(name).name for name in ("train", "validation", "test")] == ["train", "validation", "test"]
    assert d.train.steps_per_epoch(32) == 8 and d.train.steps_per_epoch(240) == 1 and d.train.steps_per_epoch(239) == 2
    assert d.train.storage.in_memory == opened.in_memory


def test_splits_are_those_of_the_rule(opened):
    order = np.random.default_rng(5).permutation(SIZE)
    d = opened(split_seed=5)
    seen = [
        np.concatenate(take(d.split(n).evaluation_batches(batch_size=50), 99)) for n in ("train", "validation", "test")
    ]
    for x, part in zip(seen, np.split(order, [240, 270]), strict=True):
        np.testing.assert_array_equal(np.sort(numbers(x)), np.sort(part))
        np.testing.assert_array_equal(np.sort(x, axis=0), np.sort(images()[part] / np.float32(255), axis=0))


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_resumed_stream_equals_one_never_stopped(opened, mode):
    split = opened(**mode).train
    steps = split.steps_per_epoch(BATCH)
    whole = take(split.training_batches(batch_size=BATCH, seed=3), 3 * steps)
    for first in (0, 5, 2 * steps + 3):
        resumed = split.training_batches(batch_size=BATCH, seed=3, first_step=first)
        assert_same(take(resumed, 3 * steps - first), whole[first:])


def test_each_epoch_visits_each_example_once_in_its_own_order(opened):
    split = opened(binarization="dynamic").train
    members = np.sort(numbers(np.concatenate(take(split.evaluation_batches(batch_size=99), 9))))
    batches = take(split.training_batches(batch_size=BATCH, seed=3), 24)
    assert [len(x) for x in batches] == 3 * ([32] * 7 + [16])
    orders = [numbers(np.concatenate(batches[start : start + 8])) for start in (0, 8, 16)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), members)
    other_seed = numbers(np.concatenate(take(split.training_batches(batch_size=BATCH, seed=4), 8)))
    for one, other in itertools.combinations([*orders, other_seed, members], 2):
        assert (one != other).mean() > 0.9
    # The order does not hang on the batch size.
    by_ten = take(split.training_batches(batch_size=10, seed=3), 24)
    np.testing.assert_array_equal(numbers(np.concatenate(by_ten)), orders[0])


def test_the_global_seed_plays_no_part(opened):
    split = opened(binarization="dynamic").train
    runs = []
    for seed in (1, 2):
        tf.random.set_seed(seed)
        runs.append(take(split.training_batches(batch_size=BATCH, seed=3), 4))
    assert_same(*runs)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_evaluation_does_not_hang_on_the_batch_size(opened, mode):
    split = opened(**mode).train
    whole = np.concatenate(take(split.evaluation_batches(batch_size=240), 1))
    assert whole.dtype == np.float32 and whole.min() >= 0 and whole.max() <= 1
    for size in (7, pipeline.BLOCK, 1000):
        dataset = split.evaluation_batches(batch_size=size)
        assert int(dataset.cardinality()) == -(-240 // size)
        batches = take(dataset, 1000)
        assert len(batches) == -(-240 // size) and len(batches[0]) == min(size, 240)
        np.testing.assert_array_equal(np.concatenate(batches), whole)


def test_labels_belong_to_their_images(opened):
    for x, label in opened().test.evaluation_batches(batch_size=8, labels=True):
        assert label.dtype == tf.int64
        np.testing.assert_array_equal(label, numbers(x) % 7)


@pytest.mark.parametrize("mode", MODES[:3], ids=str)
def test_labels_in_training(opened, mode):
    split = opened(**mode).train
    steps = split.steps_per_epoch(BATCH)
    for first in (0, steps + 3):
        plain = take(split.training_batches(batch_size=BATCH, seed=3, first_step=first), 2 * steps)
        labelled = split.training_batches(batch_size=BATCH, seed=3, first_step=first, labels=True)
        assert labelled.element_spec[1] == tf.TensorSpec([None], tf.int64)
        pairs = list(itertools.islice(labelled, 2 * steps))
        assert_same([x.numpy() for x, _ in pairs], plain)
        if "binarization" not in mode:
            for x, label in pairs:
                np.testing.assert_array_equal(label, numbers(x) % 7)
        assert np.concatenate([y for _, y in pairs]).max() == 6


def test_num_labels(opened):
    assert opened().num_labels == 7


# More than a stream's sample in each split, so that the whole of it must be read.
MANY = 13_200
LAST_OF = {"train": 10_559, "validation": 11_879, "test": 13_199}


@pytest.fixture(scope="module", params=["memory", pytest.param("stream", marks=pytest.mark.slow)])
def labelled(request, tmp_path_factory):
    """The data of `MANY` black images in order, labelled 0 and 1 but for the last of a split."""

    def load(name, label):
        labels = np.arange(MANY) % 2
        labels[LAST_OF[name]] = label
        folder = tmp_path_factory.mktemp("labels")
        source = stored(folder, request.param, np.zeros((MANY, 1, 1, 1), np.uint8), labels)
        return data.load(DataConfig(source=source, split_order="sequential", memory_limit_mb=0))

    return load


@pytest.mark.parametrize("name", LAST_OF)
def test_labels_of_every_split_count(labelled, name):
    assert labelled(name, 4).num_labels == 5


@pytest.mark.parametrize("name", LAST_OF)
def test_a_negative_label_of_any_split_is_refused(labelled, name):
    with pytest.raises(InputError, match=rf"^data\.source: received '.*' with the label -3 in its {name} split, expe"):
        _ = labelled(name, -3).num_labels


def test_labels_for_a_config(opened):
    d = opened()
    assert [d.labels_for(DataConfig(num_labels=number)) for number in (0, 7, 12)] == [7, 7, 12]
    with pytest.raises(InputError, match=r"^data\.num_labels: received 6, expected at least 7, the number of"):
        d.labels_for(DataConfig(num_labels=6))


def test_an_unreadable_example_met_by_the_count_of_labels_is_one_line(tmp_path):
    values, labels = [np.zeros((2, 2, 1), np.uint8)] * 3_000, np.arange(3_000) % 2
    values[2_000] = np.zeros((3, 3, 1), np.uint8)
    d = data.load(DataConfig(source=stored(tmp_path, "stream", values, labels), split_order="sequential"))
    with pytest.raises(InputError, match=r"^data\.source: received .* with an example that cannot be read"):
        _ = d.num_labels


def epochs_by_number(split, count):
    """`[count, num_examples, ...]`, each epoch sorted by the number of its images."""
    steps = split.steps_per_epoch(BATCH)
    batches = take(split.training_batches(batch_size=BATCH, seed=3), count * steps)
    epochs = [np.concatenate(batches[e * steps : (e + 1) * steps]) for e in range(count)]
    return np.stack([x[np.argsort(numbers(x))] for x in epochs])


def test_static_binarization_is_the_same_each_epoch_and_in_evaluation(opened):
    split = opened(binarization="static").train
    one, other = epochs_by_number(split, 2)
    np.testing.assert_array_equal(one, other)
    seen = np.concatenate(take(split.evaluation_batches(batch_size=100), 9))
    np.testing.assert_array_equal(seen[np.argsort(numbers(seen))], one)
    other_draw = epochs_by_number(opened(binarization="static", split_order="sequential", split_seed=1).train, 1)[0]
    assert 0.2 < (other_draw[:, 2:] != one[:, 2:]).mean() < 0.8


@pytest.mark.parametrize(("mode", "differs"), [("dynamic", (0.2, 0.5)), ("dequantize", (0.99, 1.0))])
def test_fresh_noise_each_epoch(opened, mode, differs):
    split = opened(**({"dequantize": True} if mode == "dequantize" else {"binarization": mode})).train
    epochs = epochs_by_number(split, 60)
    grey = epochs[:, :, 2:]  # without the pixels of the number
    assert differs[0] < (grey[0] != grey[1]).mean() <= differs[1]
    members = np.unique(numbers(epochs[0]))
    p = images()[members][:, 2:] / 255
    assert abs((grey.mean(axis=0) - p).mean()) < 0.005
    assert abs(grey.mean(axis=0) - p).max() < 5 * 0.5 / np.sqrt(60)
    assert len({x.tobytes() for x in grey}) == 60


def test_noise_of_splits_and_blocks_differs(opened):
    d = opened(dequantize=True)
    offsets = [d.split(n).examples(30) * 256 % 1 for n in ("train", "validation", "test")]
    offsets.append(d.train.examples(range(pipeline.BLOCK, pipeline.BLOCK + 30)) * 256 % 1)
    for one, other in itertools.combinations(offsets, 2):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.2


def test_examples(opened):
    split = opened(binarization="dynamic").validation
    whole = np.concatenate(take(split.evaluation_batches(batch_size=7), 99))
    np.testing.assert_array_equal(split.examples(5), whole[:5])
    np.testing.assert_array_equal(split.examples([9, 2, 2]), whole[[9, 2, 2]])
    x, labels = split.examples([9, 2, 2], labels=True)
    np.testing.assert_array_equal(x, whole[[9, 2, 2]])
    np.testing.assert_array_equal(labels, numbers(x) % 7)
    assert labels.dtype == np.int64 and split.examples(0, labels=True)[1].shape == (0,)
    assert len(split.examples(1000)) == 30 and split.examples(0).shape == (0, 4, 6, 1)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_mean(opened, mode):
    split = opened(**mode).train
    mean = split.mean()
    assert mean.shape == (4, 6, 1) and mean.dtype == np.float32
    seen = np.concatenate(take(split.training_batches(batch_size=240, seed=1), 8))
    np.testing.assert_allclose(mean, seen.mean(axis=0), atol=0.12 if "static" in mode.values() else 0.05)
    if not mode:
        np.testing.assert_allclose(mean, seen[:240].mean(axis=0), atol=1e-6)


def test_scale_none(opened):
    split = opened(scale="none").train
    np.testing.assert_allclose(split.mean(), 255 * opened().train.mean(), rtol=1e-5)
    ours = take(split.training_batches(batch_size=BATCH, seed=3), 8)
    theirs = take(opened().train.training_batches(batch_size=BATCH, seed=3), 8)
    assert_same([x / np.float32(255) for x in ours], theirs)
    assert ours[0].max() > 1


def test_check_sees_prepared_examples_of_each_split(opened):
    seen = {}
    opened_with = opened(binarization="dynamic")

    def check(values, *, field):
        seen.setdefault(field, []).append(values)

    data.load(DataConfig(source=opened_with.name, binarization="dynamic", shuffle_buffer=37), check=check)
    fields = {"data.source": "train", "data.source, validation split": "validation", "data.source, test split": "test"}
    assert list(seen) == list(fields)
    for field, name in fields.items():
        np.testing.assert_array_equal(np.concatenate(seen[field]), opened_with.split(name).examples(SIZE))

    def refuse(values, *, field):
        raise InputError(f"{field}: grey")

    with pytest.raises(InputError, match=r"data\.source: grey"):
        data.load(DataConfig(source=opened_with.name), check=refuse)


def test_batch_larger_than_the_training_data(opened):
    split = opened().train
    with pytest.raises(InputError, match=r"training\.batch_size: received 241, expected at most 240 \(training exam"):
        split.training_batches(batch_size=241, seed=0)
    with pytest.raises(InputError, match="received 0, expected at least 1"):
        split.training_batches(batch_size=0, seed=0)
    assert take(split.training_batches(batch_size=240, seed=0), 2)[1].shape == (240, 4, 6, 1)


def test_options(opened):
    split = opened().train
    for dataset in (split.training_batches(batch_size=8, seed=0), split.evaluation_batches(batch_size=8)):
        options = dataset.options()
        assert options.experimental_distribute.auto_shard_policy == tf.data.experimental.AutoShardPolicy.OFF
        assert options.deterministic is True
        assert dataset.element_spec == tf.TensorSpec([None, 4, 6, 1], tf.float32)


def test_far_steps_cost_nothing_in_memory(opened):
    if not opened.in_memory:
        pytest.skip("a stream reads the epoch up to the step")
    split = opened().train
    assert len(take(split.training_batches(batch_size=BATCH, seed=0, first_step=8 * 10**12 + 7), 1)[0]) == 16


def graph_bytes(dataset):
    """The size of the graphs of all functions of a pipeline."""
    own = sum(f.function.graph.as_graph_def().ByteSize() for f in dataset._functions())
    return own + sum(graph_bytes(parent) for parent in dataset._inputs())


def test_arrays_are_not_written_into_the_graph(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.full((200, 100, 100), 99, np.uint8))
    for mode in MODES:
        split = data.load(DataConfig(source=f"npz:{tmp_path / 'x.npz'}", **mode)).train
        for dataset in (split.training_batches(batch_size=8, seed=0), split.evaluation_batches(batch_size=8)):
            assert 1_000 < graph_bytes(dataset) < 100_000


def test_unknown_split(opened):
    with pytest.raises(InputError, match="--split: received 'dev', expected one of: train, validation, test"):
        opened().split("dev")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("first_step", [0, 11])
def test_stacks_hold_the_batches_bit_for_bit(opened, mode, first_step):
    """The 240 examples make 8 batches an epoch, the last one of 16: stacks of 3, 3 and 2."""
    split, steps = opened(**mode).train, 3
    facts = {"batch_size": BATCH, "seed": 5, "first_step": first_step}
    batches = list(itertools.islice(split.training_batches(**facts, labels=True), 18))
    stacks = split.training_stacks(**facts, steps=steps)
    assert stacks.element_spec.values.shape == (steps, BATCH, 4, 6, 1)
    assert stacks.element_spec.values.dtype == (tf.float32 if "dequantize" in mode else tf.uint8)
    step, taken = first_step, 0
    for stack in stacks:
        real = int(np.count_nonzero(stack.counts))
        assert real == min(steps, 8 - step % 8)  # no stack holds batches of two epochs
        for index in range(real):
            x, labels = batches[taken]
            values = stack.values[index].numpy() / stack.divisor[index].numpy()
            count = int(stack.counts[index])
            np.testing.assert_array_equal(values[:count], x)
            np.testing.assert_array_equal(stack.labels[index, :count], labels)
            np.testing.assert_array_equal(values[count:], x[: BATCH - count])  # the rows over again
            step, taken = step + 1, taken + 1
            if taken == len(batches):
                return
        assert not stack.counts[real:].numpy().any()
