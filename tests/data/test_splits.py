"""The rules of splitting."""

import re

import numpy as np
import pytest

from tfvae.config import DataConfig
from tfvae.data import splits
from tfvae.errors import InputError


@pytest.mark.parametrize("size", [3, 10, 101, 1797])
@pytest.mark.parametrize("order", ["random", "sequential"])
def test_cut_is_a_partition(size, order):
    parts = splits.cut(size, DataConfig(split_order=order, validation_fraction=0.2, test_fraction=0.1))
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(size))
    assert [len(part) for part in parts[1:]] == [max(1, round(0.2 * size)), max(1, round(0.1 * size))]


def test_cut_follows_its_order():
    config = DataConfig(split_order="sequential")
    np.testing.assert_array_equal(np.concatenate(splits.cut(50, config)), np.arange(50))
    config = DataConfig(split_seed=3)
    expected = np.random.default_rng(3).permutation(50)
    train, validation, test = splits.cut(50, config)
    np.testing.assert_array_equal(train, expected[:40])
    np.testing.assert_array_equal(validation, expected[40:45])
    np.testing.assert_array_equal(test, expected[45:])


def test_too_little_to_cut():
    with pytest.raises(InputError, match="received 2 examples in 'npz:x', expected at least 3"):
        splits.cut(2, DataConfig(source="npz:x"))
    with pytest.raises(InputError, match=r"data\.validation_fraction: received 0.6, with data.test_fraction = 0.5"):
        splits.cut(100, DataConfig(validation_fraction=0.6, test_fraction=0.5))


@pytest.mark.parametrize(
    ("sizes", "fields", "expected"),
    [
        ({"train": 100, "test": 10}, {}, ("train[:90]", "train[90:100]", "test")),
        ({"train": 100, "validation": 5, "test": 10}, {}, ("train", "validation", "test")),
        ({"train": 100}, {}, ("train[:80]", "train[80:90]", "train[90:]")),
        ({"train": 100, "validation": 9}, {}, ("train[:90]", "validation", "train[90:]")),
        ({"train": 100, "test": 10}, {"validation_split": "test[:5]"}, ("train", "test[:5]", "test")),
        ({"a": 5, "test": 10}, {"train_split": "a", "validation_split": "test[:1]"}, ("a", "test[:1]", "test")),
    ],
)
def test_tfds_expressions(sizes, fields, expected):
    found = splits.expressions(DataConfig(**fields), sizes)
    assert tuple(found[name] for name in ("train", "validation", "test")) == expected


def test_tfds_set_without_train():
    with pytest.raises(InputError, match=r"data\.train_split: received '', .* no split 'train' but: everything"):
        splits.expressions(DataConfig(source="tfds:x"), {"everything": 5})


def test_refuse_names_the_field():
    splits.refuse(DataConfig(source="npz:x"), *splits.SPLIT_FIELDS, "resize")
    with pytest.raises(InputError, match=re.escape("data.resize: received (2, 2), expected (): a 'npz' source")):
        splits.refuse(DataConfig(source="npz:x", resize=(2, 2)), "resize")
