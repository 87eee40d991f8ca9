"""TensorFlow Datasets, with a set made here; MNIST where it is prepared."""

import os
import socket
import time

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tfvae import data
from tfvae.config import DataConfig
from tfvae.data.tfds_source import read_label_names
from tfvae.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 6, 5, 1), dtype=np.uint8)


def prepare(folder, name, splits, image, **others):
    """Writes a TFDS set: split -> (images, labels)."""
    features = {"image": image, **others}
    parts = {
        split: tf.data.Dataset.from_tensor_slices(
            {"image": images} | ({"label": np.asarray(labels, np.int64)} if "label" in others else {})
        )
        for split, (images, labels) in splits.items()
    }
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version="1.0.0",
        data_dir=folder,
        features=tfds.features.FeaturesDict(features),
        split_datasets=parts,
        disable_shuffling=True,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of prepared sets; the label of an image is its place in `IMAGES`."""
    folder = tmp_path_factory.mktemp("tfds")
    image, label = tfds.features.Image(shape=(6, 5, 1)), tfds.features.ClassLabel(names=[f"n{i}" for i in range(60)])
    numbers = np.arange(60)
    prepare(folder, "only_train", {"train": (IMAGES, numbers)}, image, label=label)
    two = {"train": (IMAGES[:50], numbers[:50]), "test": (IMAGES[50:], numbers[50:])}
    prepare(folder, "two_splits", two, image, label=label)
    prepare(folder, "no_labels", {"train": (IMAGES, numbers)}, image)
    prepare(folder, "any_size", {"train": (IMAGES, numbers)}, tfds.features.Image(shape=(None, None, 1)))
    prepare(folder, "binary", {"train": (IMAGES // 128, numbers)}, image)
    deep = tfds.features.Image(shape=(6, 5, 1), dtype=np.uint16)
    prepare(folder, "deep", {"train": (IMAGES.astype(np.uint16), numbers)}, deep)
    prepare(folder, "vectors", {"train": (IMAGES, numbers)}, tfds.features.Tensor(shape=(6, 5, 1), dtype=np.uint8))
    return folder


@pytest.fixture
def opened(folder):
    def load(name, **fields):
        return data.load(DataConfig(source=f"tfds:{name}", data_dir=str(folder), download=False, **fields))

    return load


def labels(d, name):
    return np.concatenate([y for _, y in d.split(name).evaluation_batches(batch_size=7, labels=True)])


@pytest.mark.parametrize("memory_limit_mb", [10, 0])
@pytest.mark.parametrize(
    ("name", "cuts"), [("only_train", (0, 48, 54, 60)), ("two_splits", (0, 45, 50, 60))], ids=["one", "two"]
)
def test_splits(opened, name, cuts, memory_limit_mb):
    d = opened(name, memory_limit_mb=memory_limit_mb)
    assert (d.item_shape, d.num_levels, d.label_names[:2]) == ((6, 5, 1), 256, ("n0", "n1"))
    assert d.train.storage.in_memory == bool(memory_limit_mb) and d.num_labels == 60
    for split, start, end in zip(("train", "validation", "test"), cuts[:-1], cuts[1:], strict=True):
        np.testing.assert_array_equal(labels(d, split), np.arange(start, end))
        np.testing.assert_array_equal(d.split(split).examples(99), IMAGES[start:end] / np.float32(255))


def test_label_names_without_reading_examples(folder):
    named = {name: read_label_names(name, DataConfig(data_dir=str(folder))) for name in ("two_splits", "no_labels")}
    assert named == {"two_splits": tuple(f"n{i}" for i in range(60)), "no_labels": ()}


def test_memory_and_stream_evaluate_alike(opened):
    ours, theirs = (opened("only_train", memory_limit_mb=limit, binarization="dynamic") for limit in (10, 0))
    np.testing.assert_array_equal(ours.train.examples(60), theirs.train.examples(60))


def test_expressions(opened):
    fields = {
        "train_split": "train[:10]+train[20:30]",
        "validation_split": "train[10:20]",
        "test_split": "train[30%:40%]",
    }
    with pytest.raises(InputError, match=r"data\.test_split: received 'train\[30%:40%\]', which shares examples with"):
        opened("only_train", **fields)
    d = opened("only_train", **(fields | {"test_split": "train[50%:60%]"}))
    assert list(labels(d, "train")) == [*range(10), *range(20, 30)]
    assert list(labels(d, "validation")) == [*range(10, 20)] and list(labels(d, "test")) == [*range(30, 36)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"train_split": "trian"},
            r"data\.train_split: received 'trian', expected a TFDS expression .* over: train, test",
        ),
        ({"test_split": "train["}, r"data\.test_split: received 'train\['"),
        ({"validation_split": "test[3:3]"}, r"data\.validation_split: received 'test\[3:3\]', which holds no examples"),
        (
            {"validation_split": "test"},
            r"data\.test_split: received 'test', which shares .*data\.validation_split \('test",
        ),
        ({"train_split": "train"}, r"data\.validation_split: received 'train\[45:50\]', which shares .*train_split"),
    ],
)
def test_expressions_that_do_not_fit(opened, fields, message):
    with pytest.raises(InputError, match=message) as caught:
        opened("two_splits", **fields)
    assert "\n" not in str(caught.value)


def test_no_labels(opened):
    d = opened("no_labels")
    assert d.label_names == () and d.num_labels == 0 and not d.train.has_labels


def test_sizes(opened):
    with pytest.raises(InputError, match=r"data\.resize: received \(\), expected .*\(None, None, 1\): set --config"):
        opened("any_size")
    for limit in (10, 0):
        assert opened("any_size", resize=(3, 2), memory_limit_mb=limit).train.examples(4).shape == (4, 3, 2, 1)


def test_binary_bytes(opened):
    for limit in (10, 0):
        d = opened("binary", memory_limit_mb=limit)
        assert d.num_levels == 2
        np.testing.assert_array_equal(d.train.examples(48), IMAGES[:48] // 128)


def test_sets_that_do_not_fit(opened):
    with pytest.raises(InputError, match=r"images of uint16 \(6, 5, 1\), expected uint8"):
        opened("deep")
    with pytest.raises(InputError, match=r"with the features \['image'\], expected an image 'image'"):
        opened("vectors")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits", "an unknown set, expected: mnist or "),
        ("qqqqqqqqqqq", "an unknown set, expected: a name of tensorflow.org"),
        ("mnist:9.9.9", r"expected <set>\[/<config>\]\[:<version>\]: .* cannot be loaded at version 9.9.9"),
        ("mnist/", "Parsing builder name"),
    ],
)
def test_unknown_sets(opened, name, message):
    with pytest.raises(InputError, match=rf"data\.source: received 'tfds:{name}', .*{message}") as caught:
        opened(name)
    assert "\n" not in str(caught.value)


HOW = r"run `tfds build mnist` on a machine with network, and set TFDS_DATA_DIR or --config\.data\.data_dir"


def test_not_prepared(opened):
    with pytest.raises(InputError, match=rf"not prepared in .*, and data\.download is False: {HOW}"):
        opened("mnist")


@pytest.mark.parametrize("silent", [False, True], ids=["refused", "silent"])
def test_not_prepared_and_offline(tmp_path, monkeypatch, silent):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def no_network(*args, **kwargs):
        if silent:
            time.sleep(7)
        raise OSError("no network")

    monkeypatch.setattr(socket, "create_connection", no_network)
    start = time.monotonic()
    with pytest.raises(InputError, match=rf"not prepared in .*, and storage\.googleapis\.com cannot be reached: {HOW}"):
        data.load(DataConfig(source="tfds:mnist", data_dir=str(tmp_path)))
    assert time.monotonic() - start < 20


def test_a_download_that_fails(tmp_path, monkeypatch):
    monkeypatch.setattr("tfvae.data.network.unreachable_host", lambda urls: "")

    def fail(self, **kwargs):
        assert not kwargs["download_config"].try_download_gcs
        raise OSError("disk full\nmore")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(InputError, match=rf"preparing it failed \(disk full\): {HOW}"):
        data.load(DataConfig(source="tfds:mnist", data_dir=str(tmp_path)))


def test_mnist():
    if not os.path.isdir(os.path.join(os.environ.get("TFDS_DATA_DIR", ""), "mnist")):
        pytest.skip("set TFDS_DATA_DIR to a folder with a prepared mnist")
    d = data.load(DataConfig(source="tfds:mnist", download=False))
    assert (d.item_shape, d.num_levels, d.label_names) == ((28, 28, 1), 256, tuple("0123456789"))
    assert [d.split(n).num_examples for n in ("train", "validation", "test")] == [54_000, 6_000, 10_000]
    assert list(np.bincount(labels(d, "test"))) == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert abs(d.train.mean().mean() - 0.1307) < 0.001
