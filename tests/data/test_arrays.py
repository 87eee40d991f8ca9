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
