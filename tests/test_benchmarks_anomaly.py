"""`benchmarks/anomaly.py` in miniature: what it trains on, what it counts, and its page."""

import importlib
import pathlib
import sys

import numpy as np
import pytest
from absl.testing import flagsaver

from tests.helpers import digits_config, small_vae
from tests.inference.stubs import stub_model
from tfvae import config as config_lib
from tfvae.config import DataConfig
from tfvae.data import load
from tfvae.inference.complexity import code_lengths
from tfvae.inference.model import Model

FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def anomaly(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    with flagsaver.flagsaver():  # the script defines flags
        yield importlib.import_module("anomaly")
        del sys.modules["anomaly"]


def test_a_class_is_left_out_of_the_digits_own_splits(anomaly, tmp_path):
    arrays, (validation, test) = anomaly.digits(without=3)
    np.savez(tmp_path / "x.npz", **arrays)
    config = DataConfig(
        source=f"npz:{tmp_path}/x.npz", split_order="sequential", validation_fraction=validation, test_fraction=test
    )
    whole, without = load(DataConfig(source="digits")), load(config)
    for name in ("train", "validation", "test"):
        (x, labels), (found, theirs) = (data.split(name).examples(2_000, labels=True) for data in (whole, without))
        np.testing.assert_array_equal(found, x[labels != 3])
        np.testing.assert_array_equal(theirs, labels[labels != 3])


def test_a_share_of_pixels_becomes_any_level(anomaly):
    clean, mutated = anomaly.digits()[0]["images"], anomaly.digits(mutated=0.2)[0]["images"]
    assert (clean != mutated).mean() == pytest.approx(0.2 * 16 / 17, abs=0.005)  # some become what they were
    np.testing.assert_allclose(np.unique(mutated[clean != mutated]), np.arange(17) / 16)


def test_auroc_counts_pairs_in_which_the_odd_one_is_higher(anomaly):
    odd, others = np.array([3.0, 1.0, 2.0]), np.array([0.0, 1.0, 2.5, 1.5])
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in odd for b in others]
    found = anomaly.auroc({"elbo": odd, "typicality": -odd}, {"elbo": others, "typicality": -others})
    assert found == pytest.approx({"elbo": np.mean(pairs), "typicality": 1 - np.mean(pairs)})


def test_the_spread_over_classes(anomaly):
    found = anomaly.spread([0.5, 0.7, 0.9])
    assert found == pytest.approx({"mean": 0.7, "sd": 0.2, "lowest": 0.5, "highest": 0.9})


def test_simple_images_are_simple(anomaly):
    rng = np.random.default_rng(0)
    x, training, labels = rng.random((50, 8, 8, 1)).astype("f"), rng.random((20, 8, 8, 1)), np.arange(20) % 2
    found = anomaly.simple_images(x, training, labels)
    assert not found["black"].any() and found["black"].shape == found["bar"].shape == x.shape
    np.testing.assert_array_equal(found["clean"], np.round(x))
    np.testing.assert_array_equal(
        found["prototype"], np.round([training[::2].mean(axis=0), training[1::2].mean(axis=0)])
    )
    assert {images.dtype for images in found.values()} == {np.dtype("float32")}
    model = stub_model(item_shape=(8, 8, 1))
    assert code_lengths(model, found["bar"]).max() < code_lengths(model, x).min()


def check(anomaly, result):
    """What holds of any result in which class 8 was held out."""
    [row] = result["held_out"]["classes"]
    labels = load(DataConfig(source="digits")).test.examples(2_000, labels=True)[1]
    assert (row["class"], row["num_odd"], row["num_others"]) == (8, (labels == 8).sum(), (labels != 8).sum())
    black = result["simple"]["images"]["black"]["auroc"]
    assert set(row["auroc"]) == set(black) == set(anomaly.SCORES)
    assert all(0.0 <= value <= 1.0 for value in row["auroc"].values())
    text = anomaly.readme(result)
    assert (
        f"| -ELBO | {row['auroc']['elbo']:.3f} | 0.000 |" in text and f"| elbo | {row['auroc']['elbo']:.2f} |" in text
    )
    assert f"| -ELBO | {black['elbo']:.3f} |" in text


def test_both_parts_with_models_that_have_learned_nothing(anomaly, tmp_path, monkeypatch):
    config = digits_config()
    of = Model.of(small_vae((8, 8, 1)), config=config_lib.to_dict(config))
    seen = []
    monkeypatch.setattr(anomaly, "trained", lambda *_, **which: seen.append(which) or of)
    check(anomaly, anomaly.measure(config, str(tmp_path), classes=[8]))
    assert seen == [{"without": 8}, {"without": 8, "mutated": 0.2}, {}, {"mutated": 0.2}]


@pytest.mark.slow
def test_both_parts_in_miniature(anomaly, tmp_path):
    config = digits_config(num_epochs=2, learning_rate=0.01, pictures_every=0)
    check(anomaly, anomaly.measure(config, str(tmp_path), classes=[8]))
