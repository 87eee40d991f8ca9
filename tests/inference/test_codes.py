import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.helpers import binary_data, small_vae
from tests.inference.stubs import stub_model
from tests.inference.test_columns import FORMATS, read
from tfvae.errors import InputError
from tfvae.inference import codes
from tfvae.inference.codes import batches, evenly_spaced, signatures
from tfvae.inference.inputs import Examples, open_input
from tfvae.inference.model import Model

SHAPE = (2, 3, 1)


def coder(name, given):
    """A model whose code is two numbers of x, and whose draw is x and its seed."""
    flat = given["image"].reshape(len(given["image"]), -1)
    if name == "encode":
        return {"mean": flat[:, :2] / 3, "stddev": flat[:, 2:4]}
    if name == "encode_sample":
        return {"z": np.stack([flat[:, 0], given["seed"] % 1_000_003], axis=-1)}
    return {"reconstruction": 1 - given["image"]}


@pytest.fixture
def model():
    return stub_model(coder, item_shape=SHAPE)


@pytest.fixture
def data(tmp_path):
    """The file, x and labels of 11 examples."""
    rng = np.random.default_rng(0)
    x, labels = rng.random((11, *SHAPE)).astype(np.float32), rng.integers(0, 4, 11)
    np.savez(tmp_path / "data.npz", images=x, labels=labels)
    return str(tmp_path / "data.npz"), x, labels


# Files -----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_holds_the_same_bits(model, data, tmp_path, suffix):
    path, x, labels = data
    out = tmp_path / f"codes{suffix}"
    assert codes.write(model, open_input(model, path), str(out), batch_size=4) == 11
    found = read(out)
    assert list(found) == ["index", "label", "mean", "stddev"] or suffix == ".tfrecord"
    np.testing.assert_array_equal(found["index"][:, 0], np.arange(11))
    np.testing.assert_array_equal(found["label"][:, 0], labels)
    flat = x.reshape(11, -1)
    np.testing.assert_array_equal(found["mean"], flat[:, :2] / np.float32(3))
    np.testing.assert_array_equal(found["stddev"], flat[:, 2:4])
    assert sorted(os.listdir(tmp_path)) == sorted([out.name, "data.npz"])


def test_the_types_of_an_npz(model, data, tmp_path):
    codes.write(model, open_input(model, data[0]), str(tmp_path / "codes.npz"))
    with np.load(tmp_path / "codes.npz", allow_pickle=False) as arrays:
        assert {name: (arrays[name].dtype.name, arrays[name].shape) for name in arrays.files} == {
            "index": ("int64", (11,)), "label": ("int64", (11,)), "mean": ("float32", (11, 2)),
            "stddev": ("float32", (11, 2)),
        }  # fmt: skip


@pytest.mark.parametrize("suffix", FORMATS)
def test_files_do_not_depend_on_the_batch_size(model, data, tmp_path, suffix):
    contents = set()
    for size in (1, 3, 11, 50):
        out = tmp_path / f"z{size}{suffix}"
        codes.write(model, open_input(model, data[0]), str(out), name="encode_sample", seed=5, batch_size=size)
        contents.add(out.read_bytes())
    assert len(contents) == 1


def test_each_row_has_a_seed_of_its_own(model, data, tmp_path):
    def z(seed):
        codes.write(model, open_input(model, data[0]), str(tmp_path / "z.npz"), name="encode_sample", seed=seed)
        return read(tmp_path / "z.npz")["z"][:, 1]

    assert len(np.unique(z(0))) == 11 and not set(z(0)) & set(z(1))
    np.testing.assert_array_equal(z(0), z(0))


def test_any_signature_of_an_item_can_be_written(model, data, tmp_path):
    assert set(signatures()) == {"encode", "encode_sample", "reconstruct", "score", "serving_default"}
    path, x, _ = data
    codes.write(model, open_input(model, path), str(tmp_path / "x.npz"), name="reconstruct")
    codes.write(model, open_input(model, path), str(tmp_path / "x.csv"), name="reconstruct")
    with np.load(tmp_path / "x.npz") as arrays:
        np.testing.assert_array_equal(arrays["reconstruction"], 1 - x)
    head = (tmp_path / "x.csv").read_text().splitlines()[0].split(",")
    assert head[2:] == [f"reconstruction_{i}_{j}_0" for i in range(2) for j in range(3)]
    np.testing.assert_array_equal(read(tmp_path / "x.csv")["reconstruction"], (1 - x).reshape(11, -1))


def test_memory_holds_one_batch(data, tmp_path):
    seen, model = [], stub_model(lambda name, given: seen.append(len(given["image"])) or coder(name, given),
                                 item_shape=SHAPE)  # fmt: skip
    codes.write(model, open_input(model, data[0]), str(tmp_path / "codes.npz"), batch_size=4)
    assert seen == [4, 4, 3]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_failure_leaves_what_was_there(data, tmp_path, suffix):
    done = []

    def fails(name, given):
        done.append(name)
        if len(done) == 3:
            raise InputError("the third batch")
        return coder(name, given)

    out, model = tmp_path / f"codes{suffix}", stub_model(fails, item_shape=SHAPE)
    out.write_text("old")
    with pytest.raises(InputError, match="third"):
        codes.write(model, open_input(model, data[0]), str(out), batch_size=4)
    assert out.read_text() == "old" and sorted(os.listdir(tmp_path)) == sorted([out.name, "data.npz"])


@pytest.mark.parametrize("name", ["encod", "decode", "generate", "log_joint", ""])
def test_other_signatures_are_refused_with_those_there_are(model, data, tmp_path, name):
    with pytest.raises(InputError, match=f"^--signature: received '{name}', expected one of: serving_default, encode,"):
        codes.write(model, open_input(model, data[0]), str(tmp_path / "x.npz"), name=name)
    assert os.listdir(tmp_path) == ["data.npz"]


# Inputs ----------------------------------------------------------------------------


def test_files_of_a_folder_have_names(model, tmp_path):
    for name in ("b/2.png", "b/10.png", "a/x.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((2, 3), len(name), np.uint8)).save(tmp_path / "in" / name)
    codes.write(model, open_input(model, str(tmp_path / "in")), str(tmp_path / "codes.csv"), batch_size=2)
    found = read(tmp_path / "codes.csv")
    assert found["name"][:, 0].tolist() == ["a/x.png", "b/10.png", "b/2.png"]
    assert found["label"][:, 0].tolist() == [0, 1, 1]
    np.testing.assert_allclose(found["stddev"][:, 0] * 255, [7, 8, 7], rtol=1e-5)


@pytest.mark.parametrize(("size", "count", "places"), [
    (10, 10, range(10)), (3, 10, range(3)), (10, 5, [0, 2, 4, 6, 8]), (10, 3, [0, 3, 6]), (10, 1, [0]),
])  # fmt: skip
def test_some_examples_are_evenly_spaced(size, count, places):
    class Split:
        num_examples = size

    assert evenly_spaced(Examples(Split()), count).tolist() == list(places)


@pytest.mark.parametrize("size", [1, 4, 50])
def test_only_asked_for_places_are_given(model, data, size):
    path, x, labels = data
    found = list(batches(open_input(model, path), places=np.array([0, 5, 6]), batch_size=size))
    np.testing.assert_array_equal(np.concatenate([batch.index for batch in found]), [0, 5, 6])
    np.testing.assert_array_equal(np.concatenate([batch.x for batch in found]), x[[0, 5, 6]])
    np.testing.assert_array_equal(np.concatenate([batch.labels for batch in found]), labels[[0, 5, 6]])


def test_what_comes_after_the_last_place_is_not_read():
    class Split:
        num_examples, has_labels, source = 100, False, "a stub"

        def evaluation_batches(self, *, batch_size, labels):
            for start in range(0, 100, batch_size):
                assert start <= 40, "read on"
                yield tf.zeros([batch_size, 1])

    assert [batch.index.tolist() for batch in batches(Examples(Split()), places=np.array([3, 42]), batch_size=10)] == [
        [3], [42],
    ]  # fmt: skip


def record(pixels, **labels):
    """A serialized example of an encoded image."""
    features = {"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels]))}
    features |= {name: tf.train.Feature(int64_list=tf.train.Int64List(value=[value])) for name, value in labels.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def test_tfrecords_give_the_codes_of_an_npz(model, tmp_path):
    rng = np.random.default_rng(0)
    x, labels = rng.integers(0, 256, (9, *SHAPE), dtype=np.uint8), rng.integers(0, 4, 9)
    np.savez(tmp_path / "in.npz", images=x, labels=labels)
    with tf.io.TFRecordWriter(str(tmp_path / "in.tfrecord")) as writer:
        for image, label in zip(x, labels, strict=True):
            writer.write(record(tf.io.encode_png(image).numpy(), label=label))
    for kind in ("npz", "tfrecord"):
        codes.write(model, open_input(model, str(tmp_path / f"in.{kind}")), str(tmp_path / f"{kind}.csv"), batch_size=4)
    assert (tmp_path / "npz.csv").read_text() == (tmp_path / "tfrecord.csv").read_text()


def test_a_record_that_is_damaged_further_on_is_one_line(model, tmp_path):
    good = tf.io.encode_png(tf.zeros(SHAPE, tf.uint8)).numpy()
    with tf.io.TFRecordWriter(str(tmp_path / "in.tfrecord")) as writer:
        for number in range(2_500):
            writer.write(record(good if number < 2_400 else b"no image"))
    with pytest.raises(InputError, match=r"in\.tfrecord.* cannot be read"):
        codes.write(model, open_input(model, str(tmp_path / "in.tfrecord")), str(tmp_path / "codes.npz"))
    assert os.listdir(tmp_path) == ["in.tfrecord"]


def test_codes_of_some_examples(model, data):
    path, x, labels = data
    found = codes.codes(model, open_input(model, path), count=4)
    assert found.total == 11 and found.examples.names is None and found.label_names == ()
    np.testing.assert_array_equal(found.examples.index, [0, 2, 5, 8])
    np.testing.assert_array_equal(found.examples.labels, labels[[0, 2, 5, 8]])
    np.testing.assert_array_equal(found.z, x[[0, 2, 5, 8]].reshape(4, -1)[:, :2] / np.float32(3))


# Models ----------------------------------------------------------------------------


def test_a_vae_gives_its_posterior(tmp_path):
    vae, x = small_vae(), binary_data(30)
    np.savez(tmp_path / "x.npz", images=x)
    model = Model.of(vae)
    for size in (7, 30):
        codes.write(model, open_input(model, str(tmp_path / "x.npz")), str(tmp_path / "codes.npz"), batch_size=size)
        found, posterior = read(tmp_path / "codes.npz"), vae.encode(x)
        np.testing.assert_allclose(found["mean"], posterior.mean(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found["stddev"], posterior.stddev(), rtol=1e-5, atol=1e-6)


@pytest.fixture
def conditional():
    """A conditional model of four labels, whose code is the label that it is given."""
    return stub_model(lambda name, given: {"mean": np.repeat(given["label"][:, None], 2, axis=1)}, item_shape=SHAPE,
                      num_labels=4)  # fmt: skip


@pytest.mark.parametrize(("label", "expected"), [(None, None), (2, [2] * 11), (0, [0] * 11)])
def test_a_conditional_model_is_given_the_labels_of_the_input_or_one(conditional, data, tmp_path, label, expected):
    path, _, labels = data
    codes.write(conditional, open_input(conditional, path), str(tmp_path / "codes.npz"), label=label, batch_size=4)
    found = read(tmp_path / "codes.npz")
    np.testing.assert_array_equal(found["mean"][:, 0], labels if expected is None else expected)
    np.testing.assert_array_equal(found["label"][:, 0], labels)  # what the input says


@pytest.mark.parametrize(("arrays", "label", "says"), [
    ({}, None, r"^--label: received none, expected one of 0 \.\.\. 3"),
    ({"labels": [0, 3, 4, 1]}, None, r"^--input: received the label 4 at place 2, expected labels of 0 \.\.\. 3"),
    ({"labels": [0, 1, 2, 3]}, 4, r"^--label: received 4, expected one of 0 \.\.\. 3"),
])  # fmt: skip
def test_unknown_labels_are_refused(conditional, tmp_path, arrays, label, says):
    np.savez(tmp_path / "in.npz", images=np.zeros((4, *SHAPE), np.float32), **arrays)
    with pytest.raises(InputError, match=says):
        codes.write(
            conditional, open_input(conditional, str(tmp_path / "in.npz")), str(tmp_path / "out.npz"), label=label
        )
    assert os.listdir(tmp_path) == ["in.npz"]


def test_a_label_for_an_unconditional_model_is_refused(model, data, tmp_path):
    with pytest.raises(InputError, match="^--label: received 1, expected none"):
        codes.write(model, open_input(model, data[0]), str(tmp_path / "out.npz"), label=1)
