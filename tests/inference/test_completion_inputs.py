"""Masks by name and from files, and inputs that are corrupted already."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from tests.inference.stubs import stub_model
from tfvae.errors import InputError
from tfvae.inference.completion import masks
from tfvae.inference.completion.observed_input import read_observed

RNG = np.random.default_rng(1)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("lower_half", np.s_[2:]), ("upper_half", np.s_[:2]), ("left_half", np.s_[:, :3]), ("right_half", np.s_[:, 3:]),
        ("quadrant", np.s_[2:, 3:]), ("center", np.s_[1:3, 1:5]),
    ],
)  # fmt: skip
def test_named_masks(name, missing):
    expected = np.ones((2, 4, 6, 3), bool)
    expected[(np.s_[:], *(missing if isinstance(missing, tuple) else (missing,)))] = False
    np.testing.assert_array_equal(masks.mask(name, (4, 6, 3), 2), expected)


def test_half_of_the_pixels_is_another_half_for_each_example():
    found = masks.mask("half", (4, 6, 3), 50, seed=3)
    assert (found.sum(axis=(1, 2, 3)) == 36).all() and (found[..., :1] == found).all()
    assert len(np.unique(found.reshape(50, -1), axis=0)) == 50
    assert abs(found.mean(axis=0) - 0.5).max() < 0.3
    np.testing.assert_array_equal(masks.mask("half", (4, 6, 3), 20, seed=3), found[:20])
    assert masks.mask("half", (7,), 2).sum() == 6


def test_masks_of_files(tmp_path):
    observed = RNG.random((4, 6)) < 0.5
    Image.fromarray(observed.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    np.savez(tmp_path / "mask.npz", mask=observed[None, ..., None].repeat(3, axis=0))
    np.savez(tmp_path / "other.npz", observed=observed)
    for name in ("mask.png", "mask.npz"):
        found = masks.mask(str(tmp_path / name), (4, 6, 1), 2)
        np.testing.assert_array_equal(found, np.broadcast_to(observed[..., None], (2, 4, 6, 1)))
    with pytest.raises(
        InputError, match=r"--mask: received a mask of shape \[4, 6\] in .*, expected \[5, 6, 1\] or \[5, 6\]"
    ):
        masks.mask(str(tmp_path / "mask.png"), (5, 6, 1), 2)
    with pytest.raises(InputError, match="expected the key 'mask'"):
        masks.mask(str(tmp_path / "other.npz"), (4, 6, 1), 2)
    with pytest.raises(InputError, match="--mask: received 'no', expected one of: lower_half"):
        masks.mask("no", (4, 6, 1), 2)
    with pytest.raises(InputError, match="are no images"):
        masks.mask("quadrant", (6,), 2)
    for value, says in ((0, "with nothing observed of example 0"), (1, "with nothing missing")):
        np.savez(tmp_path / "flat.npz", mask=np.full((4, 6), value))
        with pytest.raises(InputError, match=says):
            masks.mask(str(tmp_path / "flat.npz"), (4, 6, 1), 2)


def test_inputs_that_are_corrupted_already(tmp_path):
    model = stub_model(item_shape=(4, 6, 1))
    values = RNG.normal(size=(3, 4, 6)).astype(np.float32)
    values[0, 0, 0] = np.nan
    np.savez(tmp_path / "y.npz", observed=values, labels=[4, 5, 6])
    found, labels, _ = read_observed(model, str(tmp_path / "y.npz"), (4, 6, 1), 2)
    np.testing.assert_array_equal(found, values[:2, ..., None])
    assert labels.tolist() == [4, 5]
    np.savez(tmp_path / "bytes.npz", images=np.full((1, 4, 6, 1), 51, np.uint8))
    np.testing.assert_allclose(read_observed(model, str(tmp_path / "bytes.npz"), (4, 6, 1), 2)[0], 0.2)
    with pytest.raises(InputError, match=r"received examples of shape \[4, 6\] in .*, expected \[2, 3, 1\]"):
        read_observed(model, str(tmp_path / "y.npz"), (2, 3, 1), 2)
    with pytest.raises(InputError, match="--input: received none, expected a file"):
        read_observed(model, None, (2, 3, 1), 2)
    np.savez(tmp_path / "bad.npz", images=np.array([object()]))
    with pytest.raises(InputError, match="pickled objects"):
        read_observed(model, str(tmp_path / "bad.npz"), (4, 6, 1), 2)


def test_bytes_of_0_and_1_are_what_they_say(tmp_path):
    values = (RNG.random((3, 4, 6, 1)) < 0.5).astype(np.uint8)
    np.savez(tmp_path / "y.npz", images=values)
    np.testing.assert_array_equal(read_observed(stub_model(), str(tmp_path / "y.npz"), (4, 6, 1), 3)[0], values)


def test_images_that_are_corrupted_already_are_not_rounded(tmp_path):
    grey = np.array([[0, 100], [200, 255]], np.uint8)
    Image.fromarray(grey).save(tmp_path / "y.png")
    data = {"data": {"source": "digits", "binarization": "threshold", "resize": [8, 8]}}
    model = dataclasses.replace(stub_model(item_shape=(4, 4, 1), step=1.0), config=data)
    for each in (model, dataclasses.replace(model, config={})):
        found, labels, _ = read_observed(each, str(tmp_path / "y.png"), (2, 2, 1), 3)
        np.testing.assert_allclose(found, grey[None, ..., None] / 255, rtol=1e-6)
        assert labels is None


def damaged(folder, key):
    """Files that are not what their names say, or not whole."""
    np.savez_compressed(folder / "whole.npz", **{key: RNG.random((3, 4, 6))})
    whole = (folder / "whole.npz").read_bytes()
    spoiled = bytearray(whole)
    spoiled[100:200] = bytes(100)
    np.save(folder / "array.npy", np.ones((3, 4, 6)))
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(folder / "whole.png")
    return {
        "array.npz": (folder / "array.npy").read_bytes(), "half.npz": whole[: len(whole) // 2],
        "spoiled.npz": bytes(spoiled), "empty.npz": b"", "text.npz": b"text",
        "half.png": (folder / "whole.png").read_bytes()[:60], "text.png": b"text", "text.jpg": b"\xff\xd8\xff\xe0text",
    }  # fmt: skip


def test_damaged_files(tmp_path):
    model = stub_model(item_shape=(4, 6, 1))
    for name, content in damaged(tmp_path, "mask").items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(
            InputError, match=f"^--mask: .*{name}: received .*, expected an? (PNG|.npz|numbers)"
        ) as said:
            masks.mask(str(tmp_path / name), (4, 6, 1), 2)
        assert "\n" not in str(said.value)
    for name, content in damaged(tmp_path, "observed").items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(
            InputError, match=f"^--input: .*{name}: received .*, expected an? (PNG|.npz|numbers)"
        ) as said:
            read_observed(model, str(tmp_path / name), (4, 6, 1), 2)
        assert "\n" not in str(said.value)
