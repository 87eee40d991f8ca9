"""Rows of a table back to what would be written in it."""

import csv
import io

import numpy as np

from tfvae.data.tables import decode
from tfvae.errors import InputError
from tfvae.files import check_file, write_atomically
from tfvae.inference.model import Model

_SOURCES = ("table", "csv")


def is_table(model: Model) -> bool:
    """Whether the model's items are rows of a table."""
    return bool(model.config) and model.config["data"]["source"].partition(":")[0] in _SOURCES


def write_csv(model: Model, items: np.ndarray, path: str) -> None:
    """Writes items `[n, columns]` in the units and words of the table that the model was trained on.

    Raises:
      InputError: for a model of other data, or a file that cannot be written; begins with --output.
    """
    check_file(path, flag="--output", suffix=".csv")
    if not is_table(model):
        raise InputError(
            f"{model.origin}: received a model of other data, expected one of a table: {', '.join(_SOURCES)}"
        )
    names, rows = decode(items, tuple(model.config["data"]["encoding"]))
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([names, *rows])
    write_atomically(path, stream.getvalue())
