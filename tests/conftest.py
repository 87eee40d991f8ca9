"""Two logical CPUs, so that what needs several devices runs on any machine."""

import pytest

from tfvae import cli

# What TensorFlow writes while it loads would otherwise come after pytest's closing line.
with cli.quiet():
    import tensorflow as tf

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()],
    )
    tf.config.list_logical_devices()


@pytest.fixture(scope="session")
def two_replicas():
    """A MirroredStrategy over two logical CPUs; one for all tests, as TensorFlow's collectives outlive a strategy."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
