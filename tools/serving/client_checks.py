"""What the clients check before they send anything, from the server's own metadata: see `check_inputs`."""

import argparse
import os
from collections.abc import Collection
from typing import Any

from client_files import INT64, Array, ClientError

Tensors = dict[str, tuple[str, list[int]]]
Signatures = dict[str, dict[str, Any]]

_TYPES = {"DT_FLOAT": "float32", "DT_INT64": "int64", "DT_BOOL": "bool", "DT_STRING": "bytes"}
MOST_ROWS = 100_000  # of a command: they are held in memory


def described(signatures: dict[str, Any]) -> Signatures:
    """Signatures of `SignatureDef`s as JSON: `method`, and of `inputs` and `outputs` the type and shape by name."""

    def tensor(info: dict[str, Any]) -> tuple[str, list[int]]:
        return str(info["dtype"]), [int(size["size"]) for size in info["tensor_shape"].get("dim", [])]

    return {
        name: {"method": one["method_name"]}
        | {side: {key: tensor(info) for key, info in sorted(one[side].items())} for side in ("inputs", "outputs")}
        for name, one in signatures.items()
        if not name.startswith("__")  # which is TensorFlow's own
    }


def find(signatures: Signatures, name: str, flag: str) -> dict[str, Any]:
    """A signature of a model, which `flag` has chosen."""
    if name not in signatures:
        raise ClientError(
            f"{flag}: received a model without {name!r}, expected one of: {', '.join(sorted(signatures))}"
        )
    return signatures[name]


def only(names: Collection[str], what: str) -> str:
    """The one name that there is."""
    if len(names) != 1:
        raise ClientError(f"--model: received a model with the {what} {sorted(names)}, expected one")
    return next(iter(names))


def check_inputs(given: dict[str, Array], expected: Tensors, flag: str) -> None:
    """Checks arrays against the inputs of a signature.

    A server that merges requests fails all that are in a batch with one of another shape or type, so that one must not
    be sent.

    Args:
      given: by name.
      expected: type and shape by name, in which -1 fits any size.
      flag: where the arrays come from.

    Raises:
      ClientError: for other names, types, shapes or numbers of rows.
    """
    if "label" in given and "label" not in expected:
        raise ClientError(f"--label: expected none, as the signature takes {', '.join(sorted(expected))}")
    if "label" in expected and "label" not in given:
        raise ClientError("--label: expected one, as the model is conditional")
    if given.keys() != expected.keys():
        raise ClientError(
            f"{flag}: holds {sorted(given.keys() - {'label'})}, expected arrays with the names "
            f"{sorted(expected.keys() - {'label'})}"
        )
    for name, array in given.items():
        dtype, shape = _TYPES.get(expected[name][0], expected[name][0]), expected[name][1]
        if array.dtype != dtype:
            scaled = " (bytes of grey levels: divided by 255, if the model card's range is [0, 1])"
            hint = scaled if (array.dtype, dtype) == ("int64", "float32") else ""
            raise ClientError(f"{flag}: {name!r} is of type {array.dtype}, expected {dtype}{hint}")
        fits = len(array.shape) == len(shape) and all(n in (-1, m) for n, m in zip(shape, array.shape, strict=True))
        if not fits or 0 in array.shape:
            rows = " with a row or more" if shape else ", one number"
            raise ClientError(f"{flag}: {name!r} has the shape {list(array.shape)}, expected {shape}{rows}")
    counts = {array.shape[0] for array in given.values() if array.shape}
    if len(counts) > 1:
        raise ClientError(f"{flag}: arrays with {sorted(counts)} rows, expected the same number in all")


def seeds(text: str) -> list[int]:
    """The numbers of a list such as 1,2,3 or 0-63."""
    ranges = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ends = [first, last] if dash else [first, first]
        if not all(end.isascii() and end.isdecimal() for end in ends):
            raise ClientError(f"--seeds: received {text[:100]!r}, expected whole numbers such as 1,2,3 or 0-63")
        if any(len(end) > 19 or int(end) not in INT64 for end in ends):
            raise ClientError(f"--seeds: received {text[:100]!r}, expected numbers of at most {INT64[-1]}")
        ranges.append(range(int(ends[0]), int(ends[1]) + 1))
        if not ranges[-1]:
            raise ClientError(f"--seeds: received {text[:100]!r}, expected whole numbers such as 1,2,3 or 0-63")
    # A range as long as that has no len().
    count = sum(one.stop - one.start for one in ranges)
    if count > MOST_ROWS:
        raise ClientError(f"--seeds: received {count} numbers, expected at most {MOST_ROWS}")
    return [seed for one in ranges for seed in one]


def check_flags(flags: argparse.Namespace) -> None:
    """Checks the numbers among the flags."""
    limits = {
        "port": (1, 65535), "batch_size": (1, 1_000_000), "label": (INT64[0], INT64[-1]), "count": (1, MOST_ROWS),
        "seed": (INT64[0], INT64[-1]), "version": (0, INT64[-1]),
    }  # fmt: skip
    for name, (least, most) in limits.items():
        value = getattr(flags, name, None)
        if value is not None and not least <= value <= most:
            raise ClientError(f"--{name}: received {value}, expected {least} to {most}")
    if not 0.0 < flags.timeout <= 86_400.0:
        raise ClientError(f"--timeout: received {flags.timeout}, expected above 0 and at most 86400 seconds")
    if not getattr(flags, "white", 1.0) > 0.0:
        raise ClientError(f"--white: received {flags.white}, expected a number above 0")


def check_output(path: str, *suffixes: str) -> None:
    """Checks, before a server is asked, that a file could be written."""
    folder = os.path.dirname(path) or "."
    if not path.endswith(suffixes) or os.path.isdir(path):
        raise ClientError(
            f"--output: received {path!r}, expected the name of a file that ends in {' or '.join(suffixes)}"
        )
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise ClientError(
            f"--output: received {path!r}, expected a file in a folder that is there and can be written to"
        )
