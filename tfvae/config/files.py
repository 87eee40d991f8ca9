"""Config files: Python files with `get_config`."""

import inspect
import os
import runpy
from collections.abc import Callable
from typing import Any

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

    Raises:
      InputError: where what follows the colon is no name.
    """
    file, argument = split_argument(path)
    if path.endswith(".py:") or (argument and not argument.isidentifier()):
        raise InputError(f"received {argument!r} after the colon, expected a name, such as digits or mnist")
    get_config = _get_config(os.path.join(os.path.dirname(beside), file))
    return get_config(argument) if argument else get_config()


def _get_config(file: str) -> Callable[..., Any]:
    return runpy.run_path(file)["get_config"]


def variant(name: str, data: str, *, beside: str) -> Config:
    """The config of a data set, to be changed in one respect.

    Args:
      name: of the change; the run is called so on the digits, and `<name>_<data>` elsewhere.
      data: the config of the data set, such as `digits` or `mnist`.
      beside: the file of the variant.

    Raises:
      InputError: where there is no such config, or it is a variant itself: its `get_config` takes an argument.
    """
    file = os.path.join(os.path.dirname(beside), f"{data}.py")
    get_config = _get_config(file) if data.isidentifier() and os.path.isfile(file) else None
    if get_config is None or inspect.signature(get_config).parameters:
        raise InputError(f"received {data!r} after the colon, expected a config of data, such as digits or mnist")
    config = get_config()
    config.name = name if data == "digits" else f"{name}_{data}"
    return config
