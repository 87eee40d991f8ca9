"""`load` itself: the registry of sources and what holds for all of them."""

import re

import numpy as np
import pytest
from absl import logging

from tfvae import data
from tfvae.config import DataConfig
from tfvae.errors import InputError
from tfvae.likelihoods import Poisson

FORMS = (
    "digits, digits_table, shapes, tfds:<name>, npz:<file>, images:<folder>, tfrecord:<glob>, tones, wav:<folder>, "
    "sentences, text:<file>, topics, words:<file>, table:<name>, csv:<file>"
)


@pytest.mark.parametrize(
    "source", ["mnist", "", "digits:x", "digits_table:x", "shapes:x", "npz:", "npz", "tfds", "s3:x"]
)
def test_unknown_source(source):
    with pytest.raises(InputError) as caught:
        data.load(DataConfig(source=source))
    assert str(caught.value) == f"data.source: received {source!r}, expected one of: {FORMS}"


def test_the_shape_found_wins(monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "info", lambda message, *args: lines.append(message % args))
    assert data.load(DataConfig(item_shape=(28, 28, 1))).item_shape == (8, 8, 1)
    assert lines == ["data.item_shape: examples of digits are (8, 8, 1), not (28, 28, 1): the data's shape is taken"]
    data.load(DataConfig(item_shape=(8, 8, 1)))
    data.load(DataConfig())
    assert len(lines) == 1


@pytest.mark.parametrize(("top", "num_levels"), [(1, 2), (2, 256)])
def test_bytes_of_zero_and_one_are_binary(tmp_path, top, num_levels):
    images = np.random.default_rng(0).integers(0, top + 1, (50, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", images=images)
    d = data.load(DataConfig(source=f"npz:{tmp_path / 'x.npz'}"))
    assert d.num_levels == num_levels
    assert d.train.examples(40).max() == np.float32(top) / (num_levels - 1)


def test_bytes_of_zero_and_one_stay_with_scale_none(tmp_path):
    images = np.random.default_rng(0).integers(0, 2, (50, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", images=images)
    d = data.load(DataConfig(source=f"npz:{tmp_path / 'x.npz'}", scale="none", split_order="sequential"))
    assert d.num_levels == 256
    np.testing.assert_array_equal(d.train.examples(40)[..., 0], images[:40])


@pytest.mark.parametrize(("place", "field"), [
    (79, "data.source"), (80, "data.source, validation split"), (99, "data.source, test split"),
])  # fmt: skip
def test_a_value_outside_the_support_is_refused_in_each_split(tmp_path, place, field):
    counts = np.ones((100, 4), np.float32)
    counts[place, 2] = -1
    np.savez(tmp_path / "x.npz", images=counts)
    config = DataConfig(source=f"npz:{tmp_path / 'x.npz'}", scale="none", split_order="sequential")
    with pytest.raises(InputError) as caught:
        data.load(config, check=Poisson().check)
    says = "received -1 at [2] for a poisson likelihood, expected whole numbers of at least 0"
    assert str(caught.value) == f"{field}: {says}"


@pytest.mark.parametrize("source", ["npz:missing.npz", "images:missing", "tfrecord:missing-*"])
def test_missing_data(monkeypatch, tmp_path, source):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TFVAE_DATA_DIR", raising=False)
    with pytest.raises(InputError) as caught:
        data.load(DataConfig(source=source))
    name = source.partition(":")[2]
    assert f"data.source: received {source!r}, expected " in str(caught.value)
    assert str(tmp_path / name) in str(caught.value) and "TFVAE_DATA_DIR" in str(caught.value)
    (tmp_path / "folder").mkdir()
    monkeypatch.setenv("TFVAE_DATA_DIR", str(tmp_path / "folder"))
    with pytest.raises(InputError, match=f"nothing at .*{re.escape(name)} and .*folder"):
        data.load(DataConfig(source=source))


def test_relative_paths_are_looked_for_in_the_data_folder(monkeypatch, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("TFVAE_DATA_DIR", str(tmp_path / "there"))
    np.savez(tmp_path / "there" / "x.npz", images=np.zeros((9, 2, 2)))
    assert data.load(DataConfig(source="npz:x.npz")).item_shape == (2, 2, 1)
    # What is here comes first.
    np.savez(tmp_path / "here" / "x.npz", images=np.zeros((9, 3, 3)))
    assert data.load(DataConfig(source="npz:x.npz")).item_shape == (3, 3, 1)


@pytest.mark.parametrize("field", ["train_split", "validation_split", "test_split", "resize", "grayscale"])
@pytest.mark.parametrize("source", ["digits", "shapes", "npz:x.npz", "images:x"])
def test_fields_that_a_source_has_no_use_for(source, field):
    if source == "images:x" and field in ("resize", "grayscale"):
        pytest.skip("folders take it")
    value = {"resize": (4, 4), "grayscale": True}.get(field, "train")
    with pytest.raises(
        InputError, match=f"data.{field}: received .* expected .*: a '{source.partition(':')[0]}' source"
    ):
        data.load(DataConfig(source=source, **{field: value}))
