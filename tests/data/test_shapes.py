"""Data with known factors: the source `shapes`, and NPZ files with `factors`."""

import numpy as np
import pytest
import scipy.ndimage

from tfvae import data
from tfvae.config import DataConfig
from tfvae.data import shapes, splits
from tfvae.errors import InputError

SIZES = (3, 4, 6, 9, 9)
NAMES = ("shape", "scale", "orientation", "x", "y")
SCALES = np.array([4.0, 5.0, 6.0, 7.0])
CENTRES = np.arange(8, 25, 2)


@pytest.fixture(scope="module")
def grid():
    """All pictures `[*SIZES, 32, 32]`, in [0, 1]."""
    return shapes.draw().reshape(*SIZES, 32, 32) / 255.0


@pytest.fixture(scope="module")
def loaded():
    return data.load(DataConfig(source="shapes"))


def moments(pictures):
    """Mass, and the mean column and row of the ink in pixels from the picture's corner: each `[n]`."""
    middle = np.arange(32) + 0.5
    mass = pictures.sum(axis=(-1, -2))
    return mass, (pictures.sum(axis=-2) @ middle) / mass, (pictures.sum(axis=-1) @ middle) / mass


def test_no_two_pictures_are_equal():
    pictures = shapes.draw()
    assert pictures.shape == (5832, 32, 32, 1) and pictures.dtype == np.uint8
    assert (
        len({picture.tobytes() for picture in pictures})
        == len({picture.tobytes() for picture in pictures > 127})
        == 5832
    )
    # Anti-aliased: grey at the edges, white within.
    assert pictures.max() == 255 and len(np.unique(pictures)) > 30


def test_areas_and_that_shapes_lie_within(grid):
    mass, _, _ = moments(grid)
    np.testing.assert_allclose(
        mass - mass[..., :1, :1], 0.0, atol=1e-9
    )  # the same wherever it lies: nothing is cut off
    areas = mass[..., 0, 0].mean(axis=-1)
    np.testing.assert_allclose(areas[0], (2 * 0.75 * SCALES) ** 2, rtol=0.01)
    np.testing.assert_allclose(areas[1], np.pi * 0.6 * SCALES**2, rtol=0.01)
    np.testing.assert_allclose(areas[2] / SCALES**2, areas[2, 0] / 16, rtol=0.01)


def test_places(grid):
    _, column, row = moments(grid)
    # A heart's middle is not that of its ink, but moves with it.
    for found, axis in ((column, -2), (row, -1)):
        np.testing.assert_allclose(np.diff(found, axis=axis), 2.0, atol=1e-6)
    centre = np.broadcast_to(CENTRES[:, None], (2, 4, 6, 9, 9))
    np.testing.assert_allclose(column[:2], centre, atol=1e-6)
    np.testing.assert_allclose(row[:2], np.broadcast_to(CENTRES, centre.shape), atol=1e-6)


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize("turn", range(1, 6))
def test_orientations(grid, kind, turn):
    straight, turned = (grid[kind, 3, k, 4, 4] for k in (0, turn))  # in the middle of the picture
    expected = scipy.ndimage.rotate(straight, -15 * turn, reshape=False, order=1)  # clockwise, as rows go down
    other = scipy.ndimage.rotate(straight, 15 * turn, reshape=False, order=1)
    error = abs(turned - expected).sum() / straight.sum()
    assert error < 0.09
    if kind or turn != 3:  # a square turned by 45 degrees is that turned by -45
        assert abs(turned - other).sum() / straight.sum() > 3 * error


def test_hearts_stand_upright(grid):
    heart = grid[2, 3, 0, 4, 4]
    np.testing.assert_array_equal(heart, heart[:, ::-1])
    rows = heart.sum(axis=1)
    assert rows[:16].sum() > 1.2 * rows[16:].sum()  # the tip points down


def test_what_is_loaded(loaded):
    assert (loaded.name, loaded.item_shape, loaded.num_levels, loaded.label_names) == ("shapes", (32, 32, 1), 256, ())
    assert (loaded.factor_names, loaded.factor_sizes, loaded.num_labels) == (NAMES, SIZES, 5832)
    assert [loaded.split(name).num_examples for name in ("train", "validation", "test")] == [4666, 583, 583]


def test_labels_are_places_in_the_grid(loaded, grid):
    seen = []
    for name, part in zip(("train", "validation", "test"), splits.cut(5832, DataConfig()), strict=True):
        x, labels = loaded.split(name).examples(5830, labels=True)
        np.testing.assert_array_equal(labels, part)
        factors = loaded.factors(labels)
        assert factors.shape == (len(labels), 5) and factors.dtype == np.int64
        np.testing.assert_array_equal(x[..., 0], grid[tuple(factors.T)].astype(np.float32))
        seen.append(factors)
    assert len(np.unique(np.concatenate(seen), axis=0)) == 5832


def test_splits_follow_their_seed(loaded):
    def labels(**fields):
        return data.load(DataConfig(source="shapes", **fields)).test.examples(583, labels=True)[1]

    assert (labels(split_seed=1) != loaded.test.examples(583, labels=True)[1]).any()
    np.testing.assert_array_equal(labels(split_order="sequential"), np.arange(5249, 5832))


@pytest.mark.parametrize("binarization", ["threshold", "static", "dynamic"])
def test_binarization(loaded, binarization):
    grey = loaded.test.examples(583)
    x = data.load(DataConfig(source="shapes", binarization=binarization)).test.examples(583)
    assert set(np.unique(x)) == {0.0, 1.0}
    sure = (grey == 0) | (grey == 1)
    np.testing.assert_array_equal(x[sure], grey[sure])
    if binarization == "threshold":
        np.testing.assert_array_equal(x, grey > 0.5)
    else:
        assert abs((x - grey)[~sure].mean()) < 0.01 and (x != (grey > 0.5)).any()


def test_conditional_models_are_refused(loaded):
    with pytest.raises(InputError) as caught:
        loaded.labels_for(DataConfig(source="shapes"))
    assert str(caught.value) == (
        "model.conditional: received True for shapes, whose 5832 labels are places in a grid of shape, scale, "
        "orientation, x, y, expected labels that are classes"
    )


def test_other_sources_have_no_factors():
    digits = data.load(DataConfig())
    assert digits.factor_names == digits.factor_sizes == () and digits.labels_for(DataConfig()) == 10


# NPZ files --------------------------------------------------------------------

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 4, 5), dtype=np.uint8)
FACTORS = np.stack([np.arange(30) % 2, np.arange(30) // 10, np.zeros(30, int)], axis=-1)


@pytest.fixture
def opened(tmp_path):
    """`load` of an NPZ file of the images and these arrays, in their order."""

    def load(**arrays):
        np.savez(tmp_path / "x.npz", images=IMAGES, **arrays)
        return data.load(DataConfig(source=f"npz:{tmp_path / 'x.npz'}", split_order="sequential"))

    return load


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.uint64, np.int8])
def test_factors_of_a_file(opened, dtype):
    d = opened(factors=FACTORS.astype(dtype), factor_names=np.array(["side", "tens", "nothing"]))
    assert (d.factor_names, d.factor_sizes, d.label_names) == (("side", "tens", "nothing"), (2, 3, 1), ())
    assert d.num_labels == 6  # that of the grid, of which one place may be empty
    for name, part in (("train", slice(0, 24)), ("validation", slice(24, 27)), ("test", slice(27, 30))):
        x, labels = d.split(name).examples(30, labels=True)
        np.testing.assert_array_equal(x[..., 0], IMAGES[part] / np.float32(255))
        np.testing.assert_array_equal(labels, 3 * FACTORS[part, 0] + FACTORS[part, 1])
        np.testing.assert_array_equal(d.factors(labels), FACTORS[part])


def test_factors_without_names(opened):
    d = opened(factors=FACTORS > 0)
    assert d.factor_names == ("factor_0", "factor_1", "factor_2") and d.factor_sizes == (2, 2, 1)
    assert opened(factors=FACTORS + [5, 0, 0]).factor_sizes == (7, 3, 1)  # the least need not be 0
    empty = opened(factors=np.array([[0, 1]] * 29 + [[1, 0]]))
    assert empty.num_labels == 4  # the place (1, 1) has the largest label, and no example


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"factors": FACTORS, "labels": np.zeros(30, int)}, "the keys 'labels' and 'factors', expected one of the two"),
        ({"factors": FACTORS[:7]}, r"'factors' of shape (7, 3), expected [30, num_factors], a row for each image"),
        ({"factors": FACTORS[:, 0]}, r"'factors' of shape (30,), expected [30, num_factors], a row for each image"),
        ({"factors": FACTORS[:, :0]}, r"'factors' of shape (30, 0), expected [30, num_factors], a row for each image"),
        ({"factors": FACTORS[..., None]}, r"'factors' of shape (30, 3, 1), expected [30, num_factors], a row for each"),
        ({"factors": FACTORS / 2}, "'factors' of type float64, expected integers"),
        ({"factors": FACTORS.astype(str)}, "'factors' of type <U21, expected integers"),
        ({"factors": FACTORS - 1}, "values from -1 to 1 in 'factors', expected integers of at least 0"),
        ({"factors": FACTORS + 2**31}, f"'factors' with {(2**31 + 2) * (2**31 + 3) * (2**31 + 1)} combinations"),
        ({"factors": FACTORS.astype(np.uint64) + np.uint64(2**63)}, "combinations, expected fewer than 2^63"),
        ({"factors": FACTORS, "factor_names": np.array(["a"])}, "'factor_names' of shape (1,), expected [3], one for"),
        ({"factors": FACTORS, "factor_names": np.arange(3)}, "'factor_names' of type int64, expected strings"),
        (
            {"factors": FACTORS, "factor_names": np.array(list("aba"))},
            "'factor_names' ['a', 'b', 'a'], expected a name",
        ),
        ({"factor_names": np.array(list("abc"))}, "the key 'factor_names' alone, expected 'factors' beside it"),
        ({"factor_names": np.array(["a"]), "labels": np.zeros(30, int)}, "the key 'factor_names' alone, expected"),
        ({"factors": FACTORS.astype(object)}, "pickled objects or another format, expected an .npz file of plain"),
    ],
)
def test_unfit_factors(opened, arrays, message):
    with pytest.raises(InputError) as caught:
        opened(**arrays)
    text = str(caught.value)
    assert text.startswith("data.source: ") and "x.npz: received " in text and message in text and "\n" not in text
