"""TFRecord files."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfvae import data
from tfvae.config import DataConfig
from tfvae.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 5, 4, 1), dtype=np.uint8)


def feature(value):
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def example(**values):
    features = {name: feature(value) for name, value in values.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def encoded(image, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, kind)
    return buffer.getvalue()


def write(file, records):
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records:
            writer.write(record)


def load(pattern, **fields):
    return data.load(DataConfig(source=f"tfrecord:{pattern}", **({"split_order": "sequential"} | fields)))


def everything(d, names=("train", "validation", "test"), **kwargs):
    return [x for name in names for x in d.split(name).evaluation_batches(batch_size=4, **kwargs)]


@pytest.fixture
def files(tmp_path):
    """40 labelled PNG over three files, one of them empty."""
    records = [example(image=encoded(image), label=number) for number, image in enumerate(IMAGES)]
    write(tmp_path / "a-0.tfrecord", records[:25])
    write(tmp_path / "a-1.tfrecord", [])
    write(tmp_path / "b-0.tfrecord", records[25:])
    return tmp_path


def test_records_are_counted_and_streamed(files):
    d = load(files / "*.tfrecord")
    assert (d.item_shape, d.num_levels, d.label_names, d.train.has_labels) == ((5, 4, 1), 256, (), True)
    assert [d.split(n).num_examples for n in ("train", "validation", "test")] == [32, 4, 4]
    assert not d.train.storage.in_memory
    np.testing.assert_array_equal(np.concatenate(everything(d)), IMAGES / np.float32(255))
    labels = [y for _, y in everything(d, labels=True)]
    np.testing.assert_array_equal(np.concatenate(labels), np.arange(40))


def test_random_cut_by_the_number_of_the_record(files):
    d = load(files / "*.tfrecord", split_order="random", split_seed=2)
    expected = np.split(np.random.default_rng(2).permutation(40), [32, 36])
    for name, part in zip(("train", "validation", "test"), expected, strict=True):
        labels = np.concatenate([y for _, y in everything(d, (name,), labels=True)])
        np.testing.assert_array_equal(labels, np.sort(part))


def test_globs_of_splits(files):
    records = [example(image=encoded(image), label=0) for image in IMAGES[:3]]
    write(files / "c-0.tfrecord", records)
    d = load(files / "*.tfrecord", train_split="a-*", validation_split="c-*", test_split=f"{files}/b-?.tfrecord")
    assert [d.split(n).num_examples for n in ("train", "validation", "test")] == [25, 3, 15]
    np.testing.assert_array_equal(np.concatenate(everything(d, ("test",))), IMAGES[25:] / np.float32(255))


@pytest.mark.parametrize(
    ("globs", "message"),
    [
        (("a-*", "", ""), r"data\.validation_split: received '', expected a glob, as data.train_split is one"),
        (("a-*", "b-*", "x-*"), r"data\.test_split: received 'x-\*', expected a glob for some of the 2 files"),
        (
            ("a-*", "b-*", "*0.tfrecord"),
            r"data\.test_split: .* takes .*a-0\.tfrecord, expected other files than .*train",
        ),
    ],
)
def test_globs_that_do_not_fit(files, globs, message):
    fields = dict(zip(("train_split", "validation_split", "test_split"), globs, strict=True))
    with pytest.raises(InputError, match=message):
        load(files / "*.tfrecord", **fields)


def test_raw_bytes(tmp_path):
    write(tmp_path / "x", [example(image=i.tobytes(), height=5, width=4, channels=1) for i in IMAGES])
    d = load(tmp_path / "x")
    assert d.item_shape == (5, 4, 1) and not d.train.has_labels
    np.testing.assert_array_equal(np.concatenate(everything(d)), IMAGES / np.float32(255))


def test_resize_and_grayscale(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (4, 8, 7, 3), dtype=np.uint8)
    records = [example(image=encoded(image[: 5 + i], "JPEG")) for i, image in enumerate(colours)]
    write(tmp_path / "x", records)
    d = load(tmp_path / "x", resize=(3, 2), grayscale=True)
    assert d.item_shape == (3, 2, 1)
    assert np.concatenate(everything(d)).shape == (4, 3, 2, 1)


def test_no_files_and_no_records(tmp_path):
    with pytest.raises(InputError, match=r"data\.source: received .*x-\*', expected TFRecord files: nothing at"):
        load(tmp_path / "x-*")
    with pytest.raises(InputError, match="which is a folder, expected a glob of its files"):
        load(tmp_path)
    write(tmp_path / "x-0", [])
    with pytest.raises(InputError, match="hold no records"):
        load(tmp_path / "x-*")


@pytest.mark.parametrize("where", [20, -30])
def test_a_damaged_file_is_found_when_opened(files, where):
    whole = bytearray((files / "b-0.tfrecord").read_bytes())
    whole[where] ^= 255
    (files / "b-0.tfrecord").write_bytes(whole)
    with pytest.raises(InputError, match=r"b-0\.tfrecord: received a damaged record \(.*\), expected a TFRecord"):
        load(files / "*.tfrecord")


def test_a_file_cut_short(files):
    whole = (files / "b-0.tfrecord").read_bytes()
    (files / "b-0.tfrecord").write_bytes(whole[:-7])
    with pytest.raises(InputError, match=r"b-0\.tfrecord: received a damaged record"):
        load(files / "*.tfrecord")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (example(image=b"no image"), "received a first record that does not fit"),
        (
            example(image=encoded(np.zeros((9, 9, 1), np.uint8)), label=1),
            r"received a first record that does not fit \(Shape of tensor input \[9,9,1\] is not .* \[5,4,1\]\.\)",
        ),
        (example(image=encoded(IMAGES[0])), "received a first record that does not fit"),  # without its label
        (b"no example", "received a first record that does not fit"),
    ],
)
def test_a_first_record_that_does_not_fit(files, record, message):
    write(files / "c.tfrecord", [record])
    with pytest.raises(InputError, match=rf"c\.tfrecord: {message}") as caught:
        load(files / "*.tfrecord")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (example(picture=b"x"), r"received examples with the features \['picture'\], expected 'image'"),
        (b"no example", "received a first record of another kind"),
    ],
)
def test_records_of_another_kind(tmp_path, record, message):
    write(tmp_path / "x", [record])
    with pytest.raises(InputError, match=message):
        load(tmp_path / "x")


@pytest.mark.parametrize("early", [True, False])
def test_an_image_of_another_size(tmp_path, early):
    images = [IMAGES[0]] * 1500
    images[9 if early else 1100] = np.zeros((9, 9, 1), np.uint8)
    write(tmp_path / "x", [example(image=encoded(image)) for image in images])
    if early:
        with pytest.raises(InputError, match=r"/x' with an example that cannot be read \(Shape of tensor .* \[9,9,1\]"):
            load(tmp_path / "x")
    else:
        with pytest.raises(tf.errors.InvalidArgumentError, match="image_of_data_source"):
            everything(load(tmp_path / "x"))
