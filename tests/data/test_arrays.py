"""The digits and NPZ files."""

import os
import pickle

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tfvae import data
from tfvae.config import DataConfig
from tfvae.errors import InputError

GREY = np.random.default_rng(0).integers(0, 256, (30, 4, 5), dtype=np.uint8)


def everything(split, **kwargs):
    return np.concatenate([x.numpy() for x in split.evaluation_batches(batch_size=64, **kwargs)])


@pytest.mark.parametrize("split_seed", [0, 9])
def test_digits_are_cut_in_one_way(split_seed):
    digits = load_digits()
    order = np.random.default_rng(0).permutation(1797)
    d = data.load(DataConfig(split_seed=split_seed, split_order="sequential", test_fraction=0.5))
    assert (d.name, d.item_shape, d.num_levels, d.label_names) == ("digits", (8, 8, 1), 17, tuple("0123456789"))
    for name, part in (("train", order[:1350]), ("validation", order[1350:1500]), ("test", order[1500:])):
        split = d.split(name)
        assert split.num_examples == len(part)
        np.testing.assert_array_equal(everything(split)[..., 0], digits.images[part].astype(np.float32) / 16)
        labels = np.concatenate([y for _, y in split.evaluation_batches(batch_size=64, labels=True)])
        np.testing.assert_array_equal(labels, digits.target[part])


TABLE = DataConfig(source="digits_table", scale="none")


def test_digits_table():
    d, digits = data.load(TABLE), load_digits()
    order = np.random.default_rng(0).permutation(1797)
    assert (d.item_shape, d.num_levels, d.num_labels) == ((7,), None, 10) and d.label_names == tuple("0123456789")
    for name, part in (("train", order[:1350]), ("validation", order[1350:1500]), ("test", order[1500:])):
        x, labels = d.split(name).examples(len(part), labels=True)
        assert x.dtype == np.float32
        np.testing.assert_array_equal(labels, digits.target[part])
        for row, image, label in zip(x[:20], digits.images[part], labels, strict=False):
            # Each dot of ink for itself: its row and column.
            dots = np.array([(i, j) for i in range(8) for j in range(8) for _ in range(int(image[i, j]))], float)
            centre = dots.mean(axis=0)
            spread = np.sqrt(((dots - centre) ** 2).sum(axis=1).mean())
            dark = sum(value >= 8 for value in image.ravel())
            expected = [label, dark, centre[0] < 3.5, (len(dots) - 312) / 35, (centre[0] - 3.5) / 0.4]
            expected += [(centre[1] - 3.5) / 0.3, (spread - 2.6) / 0.2]
            np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-5)
    mean, std = x[:, 3:].mean(axis=0), x[:, 3:].std(axis=0)
    assert abs(mean).max() < 0.4 and std.min() > 0.8 and std.max() < 1.2
    np.testing.assert_allclose(d.train.mean(), d.train.examples(1350).mean(axis=0), rtol=1e-4, atol=1e-5)


def test_digits_table_needs_scale_none():
    with pytest.raises(InputError, match=r"^data\.scale: received 'unit', expected 'none': columns of 'digits_table'"):
        data.load(DataConfig(source="digits_table"))


def test_digits_as_they_are():
    d = data.load(DataConfig(scale="none"))
    np.testing.assert_array_equal(d.train.examples(9), 16 * data.load(DataConfig()).train.examples(9))
    assert d.num_levels == 17 and d.train.mean().max() > 8


@pytest.fixture
def opened(tmp_path):
    """`load` of an NPZ file of these arrays, in their order."""

    def load(*, fields=None, **arrays):
        np.savez(tmp_path / "x.npz", **arrays)
        return data.load(DataConfig(source=f"npz:{tmp_path / 'x.npz'}", split_order="sequential", **(fields or {})))

    return load


@pytest.mark.parametrize(
    ("images", "num_levels", "expected"),
    [
        (GREY, 256, GREY[..., None] / np.float32(255)),
        (GREY.astype(np.int64), 256, GREY[..., None] / np.float32(255)),
        (GREY[..., None], 256, GREY[..., None] / np.float32(255)),
        (GREY[:, :3, :, None].repeat(3, axis=-1), 256, GREY[:, :3, :, None].repeat(3, axis=-1) / np.float32(255)),
        (GREY.reshape(30, 20), 256, GREY.reshape(30, 20) / np.float32(255)),
        (GREY > 99, 2, (GREY > 99)[..., None].astype(np.float32)),
        ((GREY > 99).astype(np.uint8), 2, (GREY > 99)[..., None].astype(np.float32)),
        (GREY / 255.0, None, (GREY / 255.0).astype(np.float32)[..., None]),
        ((GREY / 255.0).astype(np.float16), None, (GREY / 255.0).astype(np.float16).astype(np.float32)[..., None]),
    ],
    ids=["uint8", "int64", "rank4", "rgb", "vectors", "bool", "binary", "float64", "float16"],
)
def test_kinds_of_images(opened, images, num_levels, expected):
    d = opened(images=images)
    assert d.item_shape == expected.shape[1:] and d.num_levels == num_levels and not d.train.has_labels
    found = np.concatenate([everything(d.split(name)) for name in ("train", "validation", "test")])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_labels(opened):
    d = opened(images=GREY, labels=np.arange(30, dtype=np.uint8))
    batches = list(d.validation.evaluation_batches(batch_size=2, labels=True))
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), [24, 25, 26])
    assert d.label_names == ()
    d = opened(images=GREY, labels=np.array(["pear", "apple", "fig"] * 10))
    assert d.label_names == ("apple", "fig", "pear")
    ((_, y),) = d.test.evaluation_batches(batch_size=9, labels=True)
    np.testing.assert_array_equal(y, [2, 0, 1])


def test_no_labels(opened):
    with pytest.raises(InputError, match="which has no labels, expected a labelled source"):
        opened(images=GREY).test.evaluation_batches(batch_size=2, labels=True)


def test_num_labels(opened):
    assert opened(images=GREY).num_labels == 0
    assert opened(images=GREY, labels=np.arange(30)).num_labels == 30  # those of all splits
    assert opened(images=GREY, labels=np.array(["pear", "apple", "fig"] * 10)).num_labels == 3


def test_negative_labels_are_refused_where_asked_for(opened):
    d = opened(images=GREY, labels=np.arange(30) - 1)
    assert d.train.examples(3).shape == (3, 4, 5, 1)
    says = r"data\.source: received 'npz:.*x\.npz' with the label -1 in its train split, expected labels of at least 0$"
    for ask in (
        lambda: d.train.training_batches(batch_size=2, seed=0, labels=True),
        lambda: d.train.evaluation_batches(batch_size=2, labels=True),
        lambda: d.train.examples(2, labels=True),
    ):
        with pytest.raises(InputError, match=says):
            ask()
    assert d.test.examples(1, labels=True)[1] == [26]  # no negative one there


# Values as they are -------------------------------------------------------------

ANY = np.random.default_rng(1).normal(scale=1e3, size=(30, 5))
NONE = {"scale": "none"}


@pytest.mark.parametrize(
    ("values", "num_levels"),
    [
        (ANY, None),
        (ANY.astype(np.float32).reshape(30, 5, 1, 1), None),
        (ANY.astype(np.float16), None),
        (ANY.astype(np.int64), None),
        (np.arange(150, dtype=np.uint32).reshape(30, 5) << 20, None),
        (np.full((30, 2), -(2**40)), None),
        (GREY.reshape(30, 20), 256),
        (GREY.reshape(30, 20) > 99, 2),
    ],
)
@pytest.mark.parametrize("key", ["images", "data"])
def test_any_numbers(opened, key, values, num_levels):
    d = opened(**{key: values}, fields=NONE)
    assert d.item_shape == values.shape[1:] and d.num_levels == num_levels
    found = np.concatenate([everything(d.split(name)) for name in ("train", "validation", "test")])
    np.testing.assert_array_equal(found, values.astype(np.float32))
    np.testing.assert_allclose(d.train.mean(), values[:24].astype(float).mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[1.0], [np.nan], [2.0]]), "values in 'data' that are NaN, infinite or too large for float32"),
        (np.array([[1.0], [-np.inf], [2.0]]), "values in 'data' that are NaN, infinite"),
        (np.array([[1.0], [1e39], [2.0]]), "too large for float32, expected finite numbers"),
        (np.array([[1], [2**24 + 1], [2]]), r"the integer 16777217 in 'data', expected integers that float32 holds"),
        (np.array([[1], [2**53 + 1], [2]]), "the integer 9007199254740993"),
        (np.array([[1], [2**64 - 1], [2]], np.uint64), "the integer 18446744073709551615"),
        (np.zeros((5, 2), complex), "'data' of type complex128"),
        (np.zeros(5), r"'data' of shape \(5,\)"),
    ],
)
def test_numbers_that_float32_does_not_hold(opened, values, message):
    with pytest.raises(InputError, match=message):
        opened(data=values, fields=NONE)


def test_data_or_images(opened):
    np.testing.assert_array_equal(everything(opened(data=GREY).train), everything(opened(images=GREY).train))
    with pytest.raises(InputError, match=r"the keys \['images', 'data'\], expected the key 'images' or, instead of it"):
        opened(images=GREY, data=GREY)
    with pytest.raises(InputError, match=r"values from 127.5 .* in 'data', .*, or data\.scale = 'none' for values as"):
        opened(data=np.full((5, 2, 2), 127.5))


BAD = np.full((5, 2, 2), 0.5)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": GREY, "y": GREY}, r"received the keys \['image', 'y'\], expected the key 'images'"),
        ({"images": np.where(np.arange(4).reshape(2, 2) == 1, np.nan, BAD)}, "NaN or infinite values in 'images'"),
        ({"images": np.where(np.arange(4).reshape(2, 2) == 1, np.inf, BAD)}, "NaN or infinite values in 'images'"),
        ({"images": BAD * 255}, r"values from 127.5 to 127.5 in 'images', expected floats in \[0, 1\]"),
        ({"images": BAD - 0.75}, r"values from -0.25 to -0.25"),
        ({"images": GREY.astype(int) - 1}, r"values from -1 to 254 in 'images', expected integers in 0 ... 255"),
        ({"images": GREY.astype(int) + 7}, r"values from 7 to 262"),
        ({"images": np.zeros((0, 2, 2))}, r"'images' of shape \(0, 2, 2\)"),
        ({"images": np.zeros((5, 0, 2))}, r"'images' of shape \(5, 0, 2\)"),
        ({"images": np.zeros(5)}, r"'images' of shape \(5,\)"),
        ({"images": np.zeros((5, 1, 1, 1, 1))}, r"expected \[N, height, width\]"),
        ({"images": np.zeros((5, 2, 2), complex)}, "'images' of type complex128"),
        ({"images": np.full((5, 2), "a")}, "'images' of type <U1"),
        ({"images": GREY, "labels": np.zeros(7, int)}, r"'labels' of shape \(7,\), expected \[30\]"),
        ({"images": GREY, "labels": np.zeros(30)}, "'labels' of type float64, expected integers or strings"),
        ({"images": GREY[:2]}, "received 2 examples in .* expected at least 3"),
    ],
)
def test_unfit_arrays(opened, arrays, message):
    with pytest.raises(InputError, match=message) as caught:
        opened(**arrays)
    assert "data.source: " in str(caught.value) and "x.npz" in str(caught.value) and "\n" not in str(caught.value)


def test_dequantization_of_floats_is_refused(opened):
    with pytest.raises(InputError, match=r"data\.dequantize: received True"):
        opened(images=BAD, fields={"dequantize": True})


class Trap:
    """An object whose unpickling leaves a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def test_objects_are_never_unpickled(opened, tmp_path):
    mark = str(tmp_path / "mark")
    trap = np.array([Trap(mark)] * 5, dtype=object)
    with pytest.raises(InputError, match="pickled objects"):
        opened(images=trap)
    with pytest.raises(InputError, match="pickled objects"):
        opened(images=GREY, labels=trap)
    (tmp_path / "bare.npz").write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(InputError, match="pickled objects or another format"):
        data.load(DataConfig(source=f"npz:{tmp_path / 'bare.npz'}"))
    assert not os.path.exists(mark)


def test_files_that_are_no_npz(tmp_path):
    np.savez_compressed(tmp_path / "whole.npz", images=GREY)
    whole = (tmp_path / "whole.npz").read_bytes()
    np.save(tmp_path / "single.npy", GREY)
    (tmp_path / "folder.npz").mkdir()
    contents = {
        "text.npz": b"hello, this is no archive",
        "empty.npz": b"",
        "cut.npz": whole[:100],
        "flipped.npz": whole[:200] + bytes(byte ^ 255 for byte in whole[200:260]) + whole[260:],
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in (*contents, "single.npy", "folder.npz"):
        with pytest.raises(InputError, match=rf"data\.source: .*{name}: received .* expected") as caught:
            data.load(DataConfig(source=f"npz:{tmp_path / name}"))
        assert "\n" not in str(caught.value)


def test_frey_faces():
    if not os.path.exists(os.path.join(os.environ.get("TFVAE_DATA_DIR", ""), "frey_faces.npz")):
        pytest.skip("set TFVAE_DATA_DIR to a folder with frey_faces.npz")
    d = data.load(DataConfig(source="npz:frey_faces.npz", split_order="sequential"))
    assert (d.item_shape, d.num_levels) == ((28, 20, 1), 256)
    assert [d.split(n).num_examples for n in ("train", "validation", "test")] == [1573, 196, 196]
