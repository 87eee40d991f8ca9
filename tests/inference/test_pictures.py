import io
import types

import numpy as np
import pytest
import scipy.stats
from PIL import Image

from tests.helpers import binary_data, small_vae
from tfvae import priors
from tfvae.inference import pictures
from tfvae.inference.pictures import all_pictures, can_draw, grid, manifold, png, reconstructions, samples
from tfvae.support import UNIT

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
    monkeypatch.setattr(pictures, "_WIDTH", 1)  # no enlargement
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
    monkeypatch.setattr(pictures, "_WIDTH", 1)
    images = constant_images([-3.0, 0.0, 0.5, 1.0, 7.0, np.nan, np.inf, -np.inf], 1, 1)
    assert grid(images, 8)[0, ::2, 0].tolist() == [0, 0, 128, 255, 255, 0, 255, 0]


@pytest.mark.parametrize(
    ("width", "columns", "factor"), [(8, 10, 7), (28, 10, 2), (28, 20, 1), (64, 10, 1), (1, 1, 640)]
)
def test_small_grids_are_enlarged_by_a_whole_factor(width, columns, factor, monkeypatch):
    images = np.random.default_rng(0).random((columns, 2, width, 1))
    large = grid(images, columns)
    monkeypatch.setattr(pictures, "_WIDTH", 1)
    tiny = grid(images, columns)
    assert large.shape == (factor * tiny.shape[0], factor * tiny.shape[1], 1)
    np.testing.assert_array_equal(large, tiny.repeat(factor, axis=0).repeat(factor, axis=1))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_a_png_holds_the_pixels(channels, mode):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    image = Image.open(io.BytesIO(png(pixels)))
    assert (image.format, image.mode, image.size) == ("PNG", mode, (7, 5))
    np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)


# Pictures of a model --------------------------------------------------------------


class Stub:
    """A model of 1x1 images: its reconstruction is 1 - x, and its decoder shows a function of z."""

    latent_size, num_labels, support = 2, 0, UNIT

    def __init__(self, show=None):
        self.prior = priors.standard_normal(2)
        self.show = show or (lambda z: z[:, 0])

    def reconstruct(self, x, labels=None):
        return 1 - x

    def decode(self, z, labels=None):
        return types.SimpleNamespace(mean=lambda: np.reshape(self.show(np.asarray(z)), (-1, 1, 1, 1)))


@pytest.fixture
def unenlarged(monkeypatch):
    monkeypatch.setattr(pictures, "_WIDTH", 1)


def cells(pixels):
    """The values of a grid of 1x1 images, `[rows, columns]`."""
    return pixels[::2, ::2, 0].astype(int)


def test_the_manifolds_first_latent_grows_to_the_right_and_the_second_upwards(unenlarged):
    def quantile(i):
        return lambda z: scipy.stats.norm.cdf(z[:, i])

    levels = np.round((np.arange(5) + 0.5) / 5 * 255).astype(int)
    right = cells(manifold(Stub(quantile(0)), columns=5))
    up = cells(manifold(Stub(quantile(1)), columns=5))
    np.testing.assert_allclose(right, np.tile(levels, (5, 1)), atol=1)
    np.testing.assert_allclose(up, np.tile(levels[::-1, None], (1, 5)), atol=1)
    assert manifold(Stub()).shape == (39, 39, 1)


@pytest.mark.parametrize(("count", "columns"), [(4, 4), (8, 4), (3, 3)])
def test_rows_of_examples_stand_above_their_reconstructions(unenlarged, count, columns):
    x = constant_images(np.arange(10, 10 + count) / 255, 1, 1)
    found = cells(reconstructions(Stub(), x, columns=columns))
    examples = np.arange(10, 10 + count).reshape(-1, columns)
    assert found.shape == (2 * count // columns, columns)
    np.testing.assert_array_equal(found[::2], examples)
    np.testing.assert_array_equal(found[1::2], 255 - examples)


@pytest.mark.parametrize(("count", "columns"), [(6, 4), (2, 4)])
def test_a_row_that_is_not_full_stands_above_its_reconstructions_too(unenlarged, count, columns):
    x = constant_images(np.arange(10, 10 + count) / 255, 1, 1)
    found = cells(reconstructions(Stub(), x, columns=columns))
    last = np.arange(10, 10 + count)[count // columns * columns :]
    assert len(found) == 2 * -(-count // columns)
    np.testing.assert_array_equal(found[-2, : len(last)], last)
    np.testing.assert_array_equal(found[-1, : len(last)], 255 - last)


def test_reconstructions_are_means_at_the_posteriors_mean(unenlarged):
    vae, x = small_vae(), binary_data(3)
    pixels = reconstructions(vae, x, columns=3)
    assert pixels.shape == (2 * 6 + 1, 3 * 5 + 2, 1)
    means = vae.decode(vae.encode(x).mean()).mean().numpy()
    for i in range(3):
        np.testing.assert_array_equal(pixels[:6, 6 * i : 6 * i + 5], np.round(x[i] * 255))
        np.testing.assert_allclose(pixels[7:, 6 * i : 6 * i + 5], np.round(means[i] * 255), atol=1)


def test_samples_follow_the_seed(unenlarged):
    seen = []
    stub = Stub(lambda z: seen.append(z) or z[:, 0])
    first = samples(stub, count=20, seed=3, columns=5)
    np.testing.assert_array_equal(first, samples(stub, count=20, seed=3, columns=5))
    assert not np.array_equal(first, samples(stub, count=20, seed=4, columns=5))
    assert cells(first).shape == (4, 5)
    np.testing.assert_array_equal(seen[0], seen[1])


def test_samples_are_draws_from_the_prior():
    seen = []
    samples(Stub(lambda z: seen.append(z) or z[:, 0]), count=4_000)
    np.testing.assert_allclose(seen[0].mean(axis=0), 0.0, atol=0.07)
    np.testing.assert_allclose(np.cov(seen[0].T), np.eye(2), atol=0.1)


def test_all_pictures():
    x = binary_data(10)
    two = small_vae(latent_size=2)
    made = all_pictures(two, x, seed=5)
    assert list(made) == ["reconstructions", "samples", "manifold"]
    np.testing.assert_array_equal(made["samples"], samples(two, seed=5))
    np.testing.assert_array_equal(made["reconstructions"], reconstructions(two, x))
    assert list(all_pictures(small_vae(latent_size=3), x)) == ["reconstructions", "samples"]
    assert {pixels.dtype.name for pixels in made.values()} == {"uint8"}


def test_vectors_have_no_pictures():
    assert all_pictures(small_vae((30,), latent_size=2), binary_data(4, (30,))) == {}
