import io
import types

import numpy as np
import pytest
import scipy.stats
from PIL import Image
from tensorflow_probability import distributions as tfd

from tests.helpers import binary_data, small_vae
from tfvae import posteriors, priors
from tfvae.inference import pictures
from tfvae.inference.pictures import (
    CAPTIONS,
    all_pictures,
    can_draw,
    grid,
    manifold,
    png,
    reconstructions,
    samples,
    traversal,
)
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


class Latents(Stub):
    """Codes of examples are a table's rows, with a normal posterior of given scales; z is kept as it is decoded."""

    def __init__(self, codes, scales, num_labels=0):
        super().__init__(lambda z: np.zeros(len(z)))
        self.codes, self.num_labels = np.asarray(codes, np.float32), num_labels
        self.scales, self.latent_size = np.asarray(scales, np.float32), self.codes.shape[1]

    def encode(self, x, labels=None):
        scales = np.broadcast_to(self.scales, self.codes.shape)
        return tfd.MultivariateNormalDiag(self.codes[: len(x)], scales[: len(x)])

    def decode(self, z, labels=None):
        self.seen, self.labels = np.asarray(z), labels
        return super().decode(z)


def decoded(stub, count, *, labels=None, columns=5, **kwargs):
    """The latents of a traversal, `[rows, columns, latent_size]`."""
    pixels = traversal(stub, np.zeros((count, 1, 1, 1), np.float32), labels, columns=columns, **kwargs)
    assert pixels.dtype == np.uint8
    return stub.seen.reshape(-1, columns, stub.latent_size)


def test_each_row_moves_one_latent_of_the_first_examples_code(unenlarged):
    codes = np.random.default_rng(0).normal(size=(50, 3)) * [0.1, 5.0, 1.0] + [0.0, 10.0, -3.0]
    stub = Latents(codes, [1e-6, 1e-6, 1e-6])
    z = decoded(stub, 50)
    ends = np.quantile(np.repeat(codes, 20, axis=0), [0.01, 0.99], axis=0)
    assert z.shape == (3, 5, 3)
    for row, latent in enumerate([1, 2, 0]):  # the most active first
        others = [i for i in range(3) if i != latent]
        np.testing.assert_allclose(z[row][:, others], np.tile(codes[0, others], (5, 1)), rtol=1e-5)
        np.testing.assert_allclose(z[row][[0, -1], latent], ends[:, latent], atol=1e-3)
        steps = np.diff(z[row][:, latent])
        assert steps.min() > 0
        np.testing.assert_allclose(steps, steps[0], rtol=1e-3)


def test_a_latent_that_tells_nothing_moves_over_its_posterior():
    # Its center is the same for all examples: what it does, it does over the draws.
    z = decoded(Latents(np.tile([[0.0, 1.0], [0.0, -1.0]], (25, 1)), [2.0, 0.01]), 50)
    np.testing.assert_allclose(z[1][[0, -1], 0], scipy.stats.norm.ppf([0.01, 0.99]) * 2.0, atol=0.6)


def test_a_traversal_has_the_most_active_rows_and_follows_the_seed():
    stub = Latents(np.random.default_rng(0).normal(size=(20, 15)) * np.arange(15), np.ones(15))
    z = decoded(stub, 20, seed=1)
    assert z.shape == (10, 5, 15)
    moved = [int(np.ptp(row, axis=0).argmax()) for row in z]
    np.testing.assert_array_equal(moved, np.argsort(-stub.codes.var(axis=0))[:10])
    np.testing.assert_array_equal(z, decoded(stub, 20, seed=1))
    assert not np.array_equal(z, decoded(stub, 20, seed=2))


def test_latents_on_the_simplex_keep_their_sum_and_the_others_their_proportions():
    codes = np.random.default_rng(0).dirichlet([1.0, 2.0, 3.0], size=30)
    z = decoded(Latents(codes, [1e-9] * 3), 30)
    np.testing.assert_allclose(z.sum(axis=-1), 1.0, atol=1e-4)
    assert z.min() >= 0
    for row in z:
        latent = int(np.ptp(row, axis=0).argmax())
        a, b = (i for i in range(3) if i != latent)
        np.testing.assert_allclose(row[:, a] / row[:, b], codes[0, a] / codes[0, b], rtol=1e-3)


def test_a_conditional_model_keeps_the_label_of_the_example():
    stub = Latents(np.random.default_rng(0).normal(size=(6, 2)), [1.0, 1.0], num_labels=4)
    decoded(stub, 6, labels=np.array([3, 0, 1, 2, 0, 1]))
    assert stub.labels.tolist() == [3] * 10


@pytest.mark.parametrize(
    ("posterior", "prior"),
    [
        (posteriors.Normal(), priors.StandardNormal()),
        (posteriors.FullNormal(), priors.StandardNormal()),
        (posteriors.Gamma(), priors.Gamma()),
        (posteriors.Kumaraswamy(), priors.StandardUniform()),
        (posteriors.Dirichlet(), priors.SymmetricDirichlet()),
        (posteriors.InverseAutoregressiveFlow(), priors.StandardNormal()),
    ],
)
def test_every_support_can_be_traversed(posterior, prior, monkeypatch):
    vae, x = small_vae(posterior=posterior, prior=prior), binary_data(7)
    seen, decode = [], vae.decode
    monkeypatch.setattr(vae, "decode", lambda z, labels=None: seen.append(np.asarray(z)) or decode(z, labels))
    pixels = traversal(vae, x)
    assert pixels.shape[0] // pixels.shape[1] == 0 and pixels.std() > 0
    assert np.isfinite(vae.prior.log_prob(seen[0])).all()  # inside the support


def test_all_pictures():
    x = binary_data(10)
    two = small_vae(latent_size=2)
    made = all_pictures(two, x, seed=5)
    assert list(made) == ["reconstructions", "samples", "manifold", "traversal"]
    assert list(CAPTIONS) == list(made)
    np.testing.assert_array_equal(made["samples"], samples(two, seed=5))
    np.testing.assert_array_equal(made["reconstructions"], reconstructions(two, x))
    np.testing.assert_array_equal(made["traversal"], traversal(two, x, seed=5))
    assert list(all_pictures(small_vae(latent_size=3), x)) == ["reconstructions", "samples", "traversal"]
    assert {pixels.dtype.name for pixels in made.values()} == {"uint8"}


def test_vectors_have_no_pictures():
    assert all_pictures(small_vae((30,), latent_size=2), binary_data(4, (30,))) == {}
