"""Preparation: exact where it is deterministic, right on average where it draws."""

import numpy as np
import pytest
import tensorflow as tf

from tfvae import config
from tfvae.config import DataConfig
from tfvae.data import pipeline
from tfvae.data.pipeline import Preparation, fit_images, noise_key, permutation, uniform
from tfvae.errors import InputError

LEVELS = np.arange(256, dtype=np.uint8)


def prepared(values, *, at=(0, 0), **kwargs):
    return Preparation(**kwargs)(tf.constant(values), key=7, at=at).numpy()


def test_none_divides_by_the_largest_level():
    np.testing.assert_array_equal(prepared(LEVELS, num_levels=256), LEVELS.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(prepared(LEVELS[:17], num_levels=17), np.arange(17, dtype=np.float32) / 16)
    floats = np.array([0.0, 0.25, 1.0], np.float32)
    np.testing.assert_array_equal(prepared(floats), floats)


def test_scale_none_leaves_values_as_they_are():
    np.testing.assert_array_equal(prepared(LEVELS, num_levels=256, scale="none"), LEVELS.astype(np.float32))
    values = np.array([-3.5, 0.25, 1e9], np.float32)
    np.testing.assert_array_equal(prepared(values, scale="none"), values)
    np.testing.assert_array_equal(Preparation(num_levels=17, scale="none").mean(tf.constant(values)), values)
    assert Preparation.from_config(DataConfig(scale="none"), 17) == Preparation(num_levels=17, scale="none")


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [("binarization", "dynamic", "'none'"), ("binarization", "threshold", "'none'"), ("dequantize", True, "False")],
)
def test_scale_none_takes_no_other_preparation(field, value, expected):
    config.validate(DataConfig(scale="none"))
    says = rf"^data\.{field}: received {value!r}, expected {expected} with scale 'none'$"
    with pytest.raises(InputError, match=says):
        config.validate(DataConfig(scale="none", **{field: value}), "data.")


def test_threshold_is_strict():
    x = prepared(np.array([0.0, 0.3, 0.30001, 1.0], np.float32), binarization="threshold", threshold=0.3)
    np.testing.assert_array_equal(x, [0, 0, 1, 1])
    x = prepared(LEVELS, num_levels=256, binarization="threshold", threshold=0.5)
    np.testing.assert_array_equal(x, LEVELS >= 128)


@pytest.mark.parametrize("binarization", ["none", "static", "dynamic", "threshold"])
@pytest.mark.parametrize("num_levels", [None, 2, 256])
def test_zero_and_one_stay(binarization, num_levels):
    binary = np.tile(np.array([0, 1], np.float32 if num_levels is None else np.uint8), 50_000)
    values = binary * np.array((num_levels or 2) - 1, binary.dtype)
    np.testing.assert_array_equal(prepared(values, num_levels=num_levels, binarization=binarization), binary)


@pytest.mark.parametrize("noise", [0.0, np.nextafter(np.float32(1), np.float32(0))])
@pytest.mark.parametrize("num_levels", [None, 2, 17, 256])
def test_zero_and_one_stay_at_the_ends_of_the_noise(monkeypatch, noise, num_levels):
    monkeypatch.setattr(pipeline, "uniform", lambda shape, **kwargs: tf.fill(shape, tf.constant(noise, tf.float32)))
    values = np.array([0, (num_levels or 2) - 1], np.float32 if num_levels is None else np.uint8)
    np.testing.assert_array_equal(prepared(values, num_levels=num_levels, binarization="dynamic"), [0, 1])


@pytest.mark.parametrize("binarization", ["static", "dynamic"])
def test_draws_one_with_the_probability_of_its_level(binarization):
    draws = prepared(np.tile(LEVELS, (20_000, 1)), num_levels=256, binarization=binarization)
    assert set(np.unique(draws)) == {0.0, 1.0} and draws.dtype == np.float32
    error = draws.mean(axis=0) - LEVELS / 255
    assert abs(error).max() < 4.5 * np.sqrt(0.25 / 20_000)
    assert abs(error.mean()) < 4 * np.sqrt(1 / 6 / 20_000 / 256)


def test_dequantization_fills_each_level():
    x = prepared(np.tile(LEVELS, (4_000, 1)), num_levels=256, dequantize=True)
    assert x.dtype == np.float32 and x.min() >= 0 and x.max() <= 1
    offset = x * 256 - LEVELS
    assert offset.min() >= 0 and offset.max() <= 1.0
    np.testing.assert_allclose(offset.mean(), 0.5, atol=0.002)
    np.testing.assert_allclose(offset.std(), np.sqrt(1 / 12), atol=0.002)


@pytest.mark.parametrize(
    "kwargs",
    [{}, {"binarization": "dynamic"}, {"binarization": "threshold", "threshold": 0.4}, {"dequantize": True}],
)
def test_mean_is_the_mean_over_noise(kwargs):
    values = np.tile(LEVELS, (5_000, 1))
    expected = prepared(values, num_levels=256, **kwargs).mean(axis=0)
    mean = Preparation(num_levels=256, **kwargs).mean(tf.constant(LEVELS)).numpy()
    np.testing.assert_allclose(mean, expected, atol=0.03)
    assert abs(mean - expected).mean() < 0.005


def test_noise_is_a_pure_function_of_what_names_it():
    def noise(seed=0, use=pipeline.TRAINING, split=0, at=(0, 0)):
        return uniform(tf.constant([1000]), key=noise_key(seed, use, split), at=at).numpy()

    names = [{}, {"seed": 1}, {"use": pipeline.FIXED}, {"split": 1}, {"at": (1, 0)}, {"at": (0, 1)}]
    draws = [noise(**name) for name in names]
    for name, draw in zip(names, draws, strict=True):
        np.testing.assert_array_equal(noise(**name), draw)
    assert len({draw.tobytes() for draw in draws}) == len(names)
    assert np.abs(np.corrcoef(draws) - np.eye(len(names))).max() < 0.15
    assert noise(seed=2**64).shape == (1000,)


def test_permutation_holds_each_number_once():
    orders = [permutation(1000, key=5, epoch=tf.constant(epoch, tf.int64)).numpy() for epoch in (0, 1, 0)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(1000))
    np.testing.assert_array_equal(orders[0], orders[2])
    assert (orders[0] != orders[1]).mean() > 0.9
    assert (orders[0] != np.arange(1000)).mean() > 0.9


def test_dequantization_of_floats_is_refused():
    with pytest.raises(InputError, match=r"data\.dequantize: received True, expected False for npz:x"):
        Preparation.from_config(DataConfig(source="npz:x", dequantize=True), None)


def test_fit_images():
    images = tf.constant(np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3), dtype=np.uint8))
    assert fit_images(images, DataConfig()) is images
    small = fit_images(images, DataConfig(resize=(4, 3)))
    assert small.shape == (2, 4, 3, 3) and small.dtype == tf.uint8
    grey = fit_images(images, DataConfig(grayscale=True)).numpy()
    np.testing.assert_allclose(grey[..., 0], images.numpy() @ [0.299, 0.587, 0.114], atol=1)
    # A picture of one colour is that colour at any size.
    flat = fit_images(tf.fill([5, 7, 1], tf.constant(200, tf.uint8)), DataConfig(resize=(9, 2)))
    np.testing.assert_array_equal(flat, np.full((9, 2, 1), 200))
