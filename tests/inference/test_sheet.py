import io

import numpy as np
import pytest
from PIL import Image

from tests.inference.stubs import stub_model
from tfvae.errors import InputError
from tfvae.inference import sheet
from tfvae.inference.sheet import Sheet, can_draw, check_output, grid, png

GREY = 128  # what lies between images


def constant_images(values, height=2, width=3, channels=1):
    return np.broadcast_to(np.reshape(values, (-1, 1, 1, 1)), (len(values), height, width, channels)).astype(np.float32)


@pytest.mark.parametrize("shape", [(8, 8), (8, 5, 1), (8, 5, 3)])
def test_images_can_be_drawn(shape):
    assert can_draw(shape)


@pytest.mark.parametrize("shape", [(), (64,), (8, 8, 2), (8, 8, 4), (2, 8, 8, 3)])
def test_other_data_cannot(shape):
    assert not can_draw(shape)


# Grid ---------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_images_lie_row_by_row(channels, monkeypatch):
    monkeypatch.setattr(sheet, "_WIDTH", 1)  # no enlargement
    images = np.random.default_rng(0).random((5, 2, 3, channels))
    pixels = grid(images, 3)
    assert pixels.dtype == np.uint8 and pixels.shape == (2 * 2 + 1, 3 * 3 + 2, channels)
    expected = np.full(pixels.shape, GREY, np.uint8)
    for index, (top, left) in enumerate([(0, 0), (0, 4), (0, 8), (3, 0), (3, 4)]):
        expected[top : top + 2, left : left + 3] = np.round(images[index] * 255)
    np.testing.assert_array_equal(pixels, expected)
    if channels == 1:
        np.testing.assert_array_equal(grid(images[..., 0], 3), expected)  # images without an axis of channels


def test_values_outside_are_cut_off(monkeypatch):
    monkeypatch.setattr(sheet, "_WIDTH", 1)
    images = constant_images([-3.0, 0.0, 0.5, 1.0, 7.0, np.nan, np.inf, -np.inf], 1, 1)
    assert grid(images, 8)[0, ::2, 0].tolist() == [0, 0, 128, 255, 255, 128, 255, 0]


@pytest.mark.parametrize(
    ("width", "columns", "factor"), [(8, 10, 7), (28, 10, 2), (28, 20, 1), (64, 10, 1), (1, 1, 640)]
)
def test_small_grids_are_enlarged_by_a_whole_factor(width, columns, factor, monkeypatch):
    images = np.random.default_rng(0).random((columns, 2, width, 1))
    large = grid(images, columns)
    monkeypatch.setattr(sheet, "_WIDTH", 1)
    tiny = grid(images, columns)
    assert large.shape == (factor * tiny.shape[0], factor * tiny.shape[1], 1)
    np.testing.assert_array_equal(large, tiny.repeat(factor, axis=0).repeat(factor, axis=1))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_a_png_holds_the_pixels(channels, mode):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    image = Image.open(io.BytesIO(png(pixels)))
    assert (image.format, image.mode, image.size) == ("PNG", mode, (7, 5))
    np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)


# Files ---------------------------------------------------------------------------


def test_a_film_has_a_frame_for_each_column_and_goes_back(tmp_path):
    items = constant_images(np.arange(12) / 12, 4, 4)
    Sheet(items, 4).write(stub_model(), str(tmp_path / "film.gif"))
    film = Image.open(tmp_path / "film.gif")
    assert film.n_frames == 4 + 2
    frames = []
    for number in range(film.n_frames):
        film.seek(number)
        frames.append(np.asarray(film.convert("L"))[1, 1])
    # Of the first row: values 0, 1, 2, 3 of 12, and back.
    np.testing.assert_allclose(frames, np.round(np.array([0, 1, 2, 3, 2, 1]) / 12 * 255), atol=2)


@pytest.mark.parametrize(("count", "columns", "frames"), [(5, 10, 5), (25, 10, 10), (3, 1, 1)])
def test_all_frames_have_one_size(tmp_path, count, columns, frames):
    Sheet(constant_images(np.arange(count) / count, 4, 4), columns).write(stub_model(), str(tmp_path / "film.gif"))
    film = Image.open(tmp_path / "film.gif")
    sizes = set()
    for number in range(film.n_frames):
        film.seek(number)
        sizes.add(film.size)
    assert len(sizes) == 1 and film.n_frames == max(1, 2 * frames - 2)


def test_an_npz_is_a_source_again(tmp_path):
    items = constant_images([0.25, 0.5], 4, 4)
    Sheet(items, 2, {"z": np.ones((2, 3))}).write(stub_model(), str(tmp_path / "made.npz"))
    with np.load(tmp_path / "made.npz") as arrays:
        np.testing.assert_array_equal(arrays["images"], items)
        assert arrays["z"].shape == (2, 3)
    Sheet(np.zeros((2, 5)), 2).write(stub_model(item_shape=(5,)), str(tmp_path / "vectors.npz"))
    with np.load(tmp_path / "vectors.npz") as arrays:
        assert arrays["data"].shape == (2, 5)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("a.jpg", (8, 8, 1), r"--output: received '.*a.jpg', expected a file that ends in .png, .gif, .npz"),
        (
            "a.png",
            (8,),
            r"--output: received '.*a.png', expected a file that ends in .npz: items of shape \[8\] are no",
        ),
        ("missing/a.png", (8, 8, 1), r"--output: received '.*a.png', expected a file in a folder that is there"),
    ],
)
def test_outputs_that_cannot_be(tmp_path, name, shape, message):
    with pytest.raises(InputError, match=message):
        check_output(stub_model(item_shape=shape), str(tmp_path / name))
