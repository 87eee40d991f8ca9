"""The images of `compare.py`, written once for all sides."""

import os
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae import data
from tfvae.config import DataConfig
from tfvae.errors import InputError

NUM_IMAGES, NUM_VALIDATION, NUM_TEST = 60_000, 100, 1_000
LEVELS = {"w1": 2, "w2": 256}


def write_images(folder: str) -> str:
    """MNIST's training images for each work, and some others beside them; what they are.

    Writes `<work>.npy`, uint8 `[60000, 784]`: binarized once for w1, grey levels for w2. `<work>_held_out.npy`,
    `[1100, 784]`, is for tfvae, which validates in each epoch.
    """
    try:
        for work, binarization in (("w1", "static"), ("w2", "none")):
            config = DataConfig(
                source="tfds:mnist", download=False, binarization=binarization,
                train_split="train", validation_split=f"test[:{NUM_VALIDATION}]",
                test_split=f"test[{NUM_VALIDATION}:{NUM_VALIDATION + NUM_TEST}]",
            )  # fmt: skip
            found = data.load(config)
            train, validation, test = (_levels(found.split(name), LEVELS[work]) for name in data.dataset.SPLIT_NAMES)
            _write(os.path.join(folder, f"{work}.npy"), train, np.concatenate([validation, test]))
    except InputError as error:
        for work, levels in LEVELS.items():
            write_random(os.path.join(folder, f"{work}.npy"), NUM_IMAGES, levels=levels)
        return f"random images in place of MNIST ({error})"
    return "MNIST"


def _levels(split: Any, levels: int) -> np.ndarray:
    """The prepared examples as integers below `levels`."""
    batches = [batch.numpy() for batch in split.evaluation_batches(batch_size=10_000)]
    return np.rint(np.concatenate(batches).reshape(-1, 28 * 28) * (levels - 1)).astype(np.uint8)


def _write(path: str, images: np.ndarray, others: np.ndarray) -> None:
    np.save(path, images)
    np.save(held_out(path), others)


def held_out(path: str) -> str:
    """The file of validation and test images beside that of training images."""
    return path.removesuffix(".npy") + "_held_out.npy"


def write_random(path: str, num_images: int, *, levels: int) -> None:
    """As `write_images`, of random levels."""
    images = np.random.default_rng(0).integers(0, levels, (num_images + NUM_VALIDATION + NUM_TEST, 784), np.uint8)
    _write(path, images[:num_images], images[num_images:])


def write_records(folder: str, num_images: int) -> str:
    """TFRecord files of random binary images; the glob."""
    generator = np.random.default_rng(0)
    for name, count in (("train", num_images), ("validation", NUM_VALIDATION), ("test", NUM_TEST)):
        with tf.io.TFRecordWriter(os.path.join(folder, f"{name}.tfrecord")) as writer:
            for image in generator.integers(0, 2, (count, 784), np.uint8):
                feature = {key: _integer(size) for key, size in (("height", 28), ("width", 28), ("channels", 1))}
                feature["image"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image.tobytes()]))
                writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return os.path.join(folder, "*.tfrecord")


def _integer(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
