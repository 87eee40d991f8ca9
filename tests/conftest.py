"""Two logical CPUs, so that what needs several devices runs on any machine."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()],
)


@pytest.fixture(scope="session")
def two_replicas():
    """A MirroredStrategy over two logical CPUs; one for all tests, as TensorFlow's collectives outlive a strategy."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
