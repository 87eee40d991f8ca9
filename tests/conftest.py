"""Two logical CPUs, so that what needs several devices runs on any machine."""

import pathlib

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


# Files that take minutes: with one of them left at the end, one process works and the others wait.
FIRST = ("tools/test_resume", "tools/test_scripts", "test_contributing", "training/test_train", "studies/test_studies",
         "tools/test_bad_input", "training/test_multi_worker", "export/test_saved_model")  # fmt: skip
SLOW_CASES = pathlib.Path(__file__).with_name("slow_cases.txt")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Marks as slow the cases that take seconds and show for other parts what a quick case of the same test shows.

    Puts the longest files first.
    """
    slow = set(SLOW_CASES.read_text().splitlines())
    for item in items:
        if item.nodeid in slow:
            item.add_marker("slow")
    first = {f"tests/{name}.py": place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: first.get(item.nodeid.partition("::")[0], len(first)))


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """A folder with `run`, a finished run of the digits, and `export`, its export; for reading only."""
    from tests.helpers import digits_config
    from tfvae.training import train_and_evaluate

    place = tmp_path_factory.mktemp("small")
    config = digits_config(num_epochs=20, pictures_every=0)
    train_and_evaluate(config, str(place / "run"), export_dir=str(place / "export"), verbose=False)
    return place


@pytest.fixture(scope="session")
def two_replicas():
    """A MirroredStrategy over two logical CPUs; one for all tests, as TensorFlow's collectives outlive a strategy."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
