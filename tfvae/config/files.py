"""Config files: Python files with `get_config`."""

import os
import runpy

from tfvae.config.schema import Config
from tfvae.errors import InputError


def split_argument(path: str) -> tuple[str, str]:
    """`configs/iwae.py:mnist` as (`configs/iwae.py`, `mnist`); the argument of `get_config` is empty where none is."""
    file, suffix, argument = path.rpartition(".py:")
    return (file + ".py", argument) if suffix else (path, "")


def from_file(path: str, *, beside: str = "") -> Config:
    """What `get_config()` of a Python file returns; `FILE:ARGUMENT` calls `get_config("ARGUMENT")`.

    A variant of a config starts from the other: `from_file("mnist.py", beside=__file__)`.

    Args:
      path: of the file.
      beside: a file in whose folder `path` begins; empty: the working directory.
    """
    file, argument = split_argument(path)
    get_config = runpy.run_path(os.path.join(os.path.dirname(beside), file))["get_config"]
    return get_config(argument) if argument else get_config()


def variant(name: str, data: str, *, beside: str) -> Config:
    """The config of a data set, to be changed in one respect.

    Args:
      name: of the change; the run is called so on the digits, and `<name>_<data>` elsewhere.
      data: the config of the data set, such as `digits` or `mnist`.
      beside: the file of the variant.

    Raises:
      InputError: where there is no such config.
    """
    if not os.path.isfile(os.path.join(os.path.dirname(beside), f"{data}.py")):
        raise InputError(f"received {data!r} after the colon, expected a config of data, such as digits or mnist")
    config = from_file(f"{data}.py", beside=beside)
    config.name = name if data == "digits" else f"{name}_{data}"
    return config
