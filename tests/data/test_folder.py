"""Folders of images."""

import io

import numpy as np
import pytest
from PIL import Image

from tfvae import data
from tfvae.config import DataConfig
from tfvae.errors import InputError

RNG = np.random.default_rng(0)


def pixels(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def fill(folder, count=9, *, shape=(5, 4), extension="png"):
    folder.mkdir(exist_ok=True, parents=True)
    images = [pixels(*shape) for _ in range(count)]
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:02d}.{extension}")
    return np.stack(images)


def load(folder, **fields):
    return data.load(DataConfig(source=f"images:{folder}", **({"split_order": "sequential"} | fields)))


def everything(d):
    splits = [d.split(name) for name in ("train", "validation", "test")]
    return np.concatenate([x for split in splits for x in split.evaluation_batches(batch_size=4)])


def test_grey_images_in_the_order_of_their_names(tmp_path):
    images = fill(tmp_path, 12)
    d = load(tmp_path)
    assert (d.item_shape, d.num_levels, d.label_names, d.train.has_labels) == ((5, 4, 1), 256, (), False)
    np.testing.assert_array_equal(everything(d), images[..., None] / np.float32(255))


def test_subfolders_are_labels(tmp_path):
    images = np.concatenate([fill(tmp_path / name, 5, shape=(3, 3, 3)) for name in ("ant", "bee")])
    (tmp_path / "empty").mkdir()
    fill(tmp_path / ".hidden")
    d = load(tmp_path)
    assert d.label_names == ("ant", "bee") and d.item_shape == (3, 3, 3)
    np.testing.assert_array_equal(everything(d), images / np.float32(255))
    labels = [
        y for n in ("train", "validation", "test") for _, y in d.split(n).evaluation_batches(batch_size=9, labels=True)
    ]
    np.testing.assert_array_equal(np.concatenate(labels), [0] * 5 + [1] * 5)


def test_extensions(tmp_path):
    fill(tmp_path, 1, extension="PNG")
    fill(tmp_path, 2, extension="JPG")
    fill(tmp_path, 3, extension="jpeg")
    (tmp_path / ".hidden.png").write_text("x")
    (tmp_path / "notes.txt").write_text("x")
    d = load(tmp_path)
    assert sum(d.split(n).num_examples for n in ("train", "validation", "test")) == 6


def test_modes(tmp_path):
    rgb = pixels(3, 4, 4, 3)
    Image.fromarray(rgb[0]).save(tmp_path / "0.png")
    Image.fromarray(np.dstack([rgb[1], pixels(4, 4)])).save(tmp_path / "1.png")
    palette = Image.fromarray(rgb[2]).quantize(8)
    palette.save(tmp_path / "2.png")
    found = everything(load(tmp_path))
    assert found.shape == (3, 4, 4, 3)
    np.testing.assert_array_equal(found[:2], rgb[:2] / np.float32(255))
    np.testing.assert_array_equal(found[2], np.asarray(palette.convert("RGB")) / np.float32(255))


def test_grey_modes(tmp_path):
    grey = pixels(4, 4)
    Image.fromarray(grey).save(tmp_path / "0.png")
    Image.fromarray(np.dstack([grey, pixels(4, 4)]), "LA").save(tmp_path / "1.png")
    Image.fromarray(grey > 99).save(tmp_path / "2.png")
    found = everything(load(tmp_path))[..., 0]
    np.testing.assert_array_equal(found[:2], np.stack([grey, grey]) / np.float32(255))
    np.testing.assert_array_equal(found[2], grey > 99)


def test_resize_and_grayscale(tmp_path):
    fill(tmp_path / "a", 3, shape=(5, 4))
    fill(tmp_path / "b", 3, shape=(7, 9, 3))
    d = load(tmp_path, resize=(6, 2), grayscale=True)
    assert d.item_shape == (6, 2, 1) and d.label_names == ("a", "b")


def test_two_sizes(tmp_path):
    fill(tmp_path / "a", 3, shape=(5, 4))
    fill(tmp_path / "b", 3, shape=(7, 4))
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert "(5, 4, 1)" in message and "(7, 4, 1)" in message and "--config.data.resize" in message
    assert str(tmp_path / "a" / "00.png") in message and str(tmp_path / "b" / "00.png") in message


def test_grey_among_colours(tmp_path):
    fill(tmp_path / "a", 3, shape=(5, 4))
    fill(tmp_path / "b", 3, shape=(5, 4, 3))
    with pytest.raises(InputError, match=r"--config\.data\.grayscale"):
        load(tmp_path)
    assert load(tmp_path, grayscale=True).item_shape == (5, 4, 1)


def test_folders_that_are_not_fit(tmp_path):
    with pytest.raises(InputError, match=r"without images, expected files ending in \.png, \.jpg, \.jpeg"):
        load(tmp_path)
    with pytest.raises(InputError, match=r"expected a folder: nothing at"):
        load(tmp_path / "missing")
    fill(tmp_path, 3)
    with pytest.raises(InputError, match="received 1 examples in .*, expected at least 3"):
        load(tmp_path / "00.png")
    fill(tmp_path / "sub", 1)
    with pytest.raises(InputError, match=r"images in it and in its subfolders \(sub\)"):
        load(tmp_path)


@pytest.mark.parametrize("damage", ["text", "cut", "empty", "gif"])
def test_damaged_files(tmp_path, damage):
    fill(tmp_path, 5, shape=(40, 40))
    file = tmp_path / "03.png"
    gif = io.BytesIO()
    Image.fromarray(pixels(40, 40)).save(gif, "GIF")
    whole = file.read_bytes()
    file.write_bytes({"text": b"hello", "cut": whole[: len(whole) // 2], "empty": b"", "gif": gif.getvalue()}[damage])
    with pytest.raises(
        InputError, match=r"03\.png: received a file that cannot be read \(.*\), expected a PNG or JPEG"
    ):
        load(tmp_path)


@pytest.mark.parametrize("share", [1.5, 3.0])  # Pillow warns of the one, and refuses the other
def test_decompression_bombs(tmp_path, monkeypatch, share):
    fill(tmp_path, 5, shape=(40, 40))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(1600 / share))
    with pytest.raises(InputError, match=r"00\.png: received a file that cannot be read \(.*decompression bomb"):
        load(tmp_path)


def test_deep_pixels(tmp_path):
    fill(tmp_path, 5)
    Image.fromarray(np.full((5, 4), 40_000, np.uint16)).save(tmp_path / "9.png")
    with pytest.raises(
        InputError, match=r"9\.png: received a file that cannot be read \(pixels of mode I.*, not 8 bits\)"
    ):
        load(tmp_path)


def test_memory_limit(tmp_path):
    fill(tmp_path, 3, shape=(800, 800))
    with pytest.raises(InputError, match=r"data\.memory_limit_mb: received 1, expected at least 2 for the 3 images"):
        load(tmp_path, memory_limit_mb=1)
