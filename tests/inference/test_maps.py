import io
import sys
import types

import matplotlib.colors
import numpy as np
import pytest
from PIL import Image

from tfvae.errors import InputError
from tfvae.evaluation.feature_space import one_thread
from tfvae.inference import maps
from tfvae.inference.codes import Batch, Codes
from tfvae.inference.maps import MAPS, Plane, draw, picture

RNG = np.random.default_rng(0)


def codes_of(z, labels=None, names=None, label_names=(), total=None):
    z = np.asarray(z, np.float32)
    index = 2 * np.arange(len(z))
    return Codes(z, Batch(index, np.zeros((len(z), 1)), labels, names), label_names, total or len(z))


def clusters(size=20, latents=4):
    """Two clouds far apart, `[2 * size, latents]`, and which is which."""
    which = np.arange(2 * size) % 2
    return RNG.normal(size=(2 * size, latents)) + 30 * which[:, None] * np.eye(latents)[1], which


def test_pca_is_the_projection_on_the_first_eigenvectors():
    z = RNG.normal(size=(50, 4)) * [1.0, 5.0, 0.1, 2.0] + 7
    plane = MAPS["pca"](z, 0)
    values, vectors = np.linalg.eigh(np.cov(z.T))
    expected = (z - z.mean(axis=0)) @ vectors[:, [3, 2]]
    signs = np.sign((expected * plane.points).sum(axis=0))
    np.testing.assert_allclose(plane.points, expected * signs, atol=1e-8)
    shares = values[::-1] / values.sum()
    assert plane.axes == (
        f"component 1: {shares[0]:.0%} of the variance",
        f"component 2: {shares[1]:.0%} of the variance",
    )


def test_pca_of_one_latent_is_a_line():
    z = RNG.normal(size=(10, 1))
    plane = MAPS["pca"](z, 0)
    np.testing.assert_allclose(np.abs(plane.points[:, 0]), np.abs(z[:, 0] - z.mean()), atol=1e-12)
    assert not plane.points[:, 1].any() and plane.axes[1].startswith("component 2: 0%")


@pytest.mark.parametrize("latents", [1, 4])
def test_tsne_keeps_clusters_apart_and_follows_the_seed(latents):
    z, which = clusters(latents=max(2, latents))
    z = z[:, 1 : 1 + latents] if latents == 1 else z
    with one_thread():
        points, again = (MAPS["tsne"](z, 3).points for _ in range(2))
    near = np.linalg.norm(points[:, None] - points, axis=-1) + 1e9 * np.eye(len(z))
    assert np.isfinite(points).all() and points.shape == (40, 2)
    np.testing.assert_array_equal(which[near.argmin(axis=1)], which)
    np.testing.assert_array_equal(points, again)


def test_umap_that_is_not_installed_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(InputError, match=r"^--map: received 'umap'.*pip install umap-learn.*expected pca or tsne"):
        maps.write(codes_of(clusters()[0]), "umap", str(tmp_path / "map.png"), what="x")
    assert not list(tmp_path.iterdir())


def test_umap_is_given_the_seed(monkeypatch):
    class UMAP:
        def __init__(self, n_components, random_state):
            self.settings = n_components, random_state

        def fit_transform(self, z):
            return np.tile(np.float32(self.settings), (len(z), 1))

    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=UMAP))
    np.testing.assert_array_equal(MAPS["umap"](np.zeros((6, 3)), 2**32 + 5).points, np.tile([2.0, 5.0], (6, 1)))


# Pictures ---------------------------------------------------------------------------


def drawn(count=6, labels=None, label_names=(), axes=("", ""), title="a title"):
    plane = Plane(RNG.normal(size=(count, 2)), "PCA", axes)
    figure = draw(plane, labels, label_names, title=title)
    return plane, figure, figure.axes[0]


def test_each_label_has_its_colour_and_its_name():
    labels = np.array([2, 0, 2, 5, 0, 2])
    plane, figure, axes = drawn(labels=labels, label_names=("zero", "one", "$2"))
    for scatter, value in zip(axes.collections, (0, 2, 5), strict=True):
        np.testing.assert_array_equal(scatter.get_offsets(), plane.points[labels == value])
    assert len({tuple(scatter.get_facecolor()[0]) for scatter in axes.collections}) == 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["zero", r"\$2", "5"]
    assert axes.get_title() == "a title"


def test_up_to_twenty_labels_have_colours_of_their_own_and_more_share_a_scale():
    for count, kinds in ((10, 10), (20, 20), (21, 1)):
        _, figure, axes = drawn(count, labels=np.arange(count))
        assert (
            len(axes.collections) == kinds
            and bool(figure.legends) == (kinds > 1)
            and len(figure.axes) == 1 + (kinds == 1)
        )
        if kinds > 1:
            assert len({matplotlib.colors.to_hex(s.get_facecolor()[0]) for s in axes.collections}) == kinds


def test_without_labels_there_is_no_legend():
    plane, figure, axes = drawn(axes=("to the right", "up"))
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), plane.points)
    assert not figure.legends and (axes.get_xlabel(), axes.get_ylabel()) == ("to the right", "up")
    assert len(axes.get_xticks())


def test_axes_without_a_meaning_have_no_numbers():
    _, _, axes = drawn()
    assert not len(axes.get_xticks()) and not len(axes.get_yticks())


def test_the_same_points_give_the_same_bytes():
    plane = Plane(RNG.normal(size=(6, 2)), "PCA")
    content = picture(plane, np.arange(6), title="$a_b")
    assert content == picture(plane, np.arange(6), title="$a_b")
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG" and min(image.size) > 600


# Files ------------------------------------------------------------------------------


def test_the_title_says_what_it_is(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(maps, "picture", lambda *args, title: said.append((args[1].tolist(), args[2], title)) or b"")
    z, which = clusters(5)
    maps.write(codes_of(z, which, label_names=("a", "b"), total=2_000), "pca", str(tmp_path / "map.png"), what="digits")
    maps.write(codes_of(z, which), "pca", str(tmp_path / "map.png"), what="digits")
    start = "PCA of the posterior means of"
    assert said == [
        (which.tolist(), ("a", "b"), f"{start} 10 of 2,000 examples: digits"),
        (which.tolist(), (), f"{start} 10 examples: digits"),
    ]


def test_points_can_be_written(tmp_path):
    z, which = clusters(5)
    names = np.array([f"{i}.png" for i in range(10)])
    plane = maps.write(codes_of(z, which, names), "pca", str(tmp_path / "map.npz"), what="x")
    with np.load(tmp_path / "map.npz") as arrays:
        np.testing.assert_array_equal(arrays["points"], plane.points)
        np.testing.assert_array_equal(arrays["index"], 2 * np.arange(10))
        assert arrays["label"].tolist() == which.tolist() and arrays["name"].tolist() == names.tolist()


@pytest.mark.parametrize(("method", "path", "count", "says"), [
    ("tsn", "map.png", 10, "^--map: received 'tsn', expected one of: pca, tsne, umap$"),
    ("pca", "map.csv", 10, r"^--output: received .*map\.csv', expected a file that ends in \.png or \.npz"),
    ("pca", "none/map.png", 10, "^--output: received .*expected a file in a folder"),
    ("pca", "map.png", 4, "^--input: received 4 examples, expected at least 5"),
])  # fmt: skip
def test_what_cannot_be_had_is_one_line(tmp_path, method, path, count, says):
    with pytest.raises(InputError, match=says):
        maps.write(codes_of(RNG.normal(size=(count, 3))), method, str(tmp_path / path), what="x")
    assert not list(tmp_path.iterdir())
