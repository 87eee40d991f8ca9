"""Files that appear whole or not at all."""

import contextlib
import io
import json
import math
import os
import tempfile
from collections.abc import Iterator
from typing import Any

from tfvae.errors import InputError


@contextlib.contextmanager
def appearing(path: str) -> Iterator[str]:
    """Gives the name of an empty file beside `path`: at the end it is renamed onto `path`, after an error removed."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".tmp-")
    os.close(handle)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_atomically(path: str, content: str | bytes) -> None:
    """Writes a file beside `path` and renames it onto `path`."""
    with appearing(path) as temporary, open(temporary, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def npz(arrays: dict[str, Any]) -> bytes:
    """Arrays by name as an NPZ file."""
    import numpy as np  # which `--help` can do without

    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def write_json(path: str, values: Any) -> None:
    """Writes JSON, indented, atomically; null for numbers that are not finite, which JSON has not."""
    write_atomically(path, json.dumps(_finite(values), indent=2, allow_nan=False) + "\n")


def _finite(values: Any) -> Any:
    """`values` with None for each float that is not finite."""
    if isinstance(values, dict):
        return {key: _finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def read_json(path: str) -> Any:
    """Reads JSON; raises `InputError` naming the file where it is not JSON."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a readable JSON file: {error}") from error


def check_folder(path: str, *, flag: str) -> None:
    """Checks that a folder is or could be made and written to, and leaves nothing behind; raises as `make_folder`."""
    missing, above = [], os.path.abspath(path)
    while not os.path.lexists(above):
        missing.append(above)
        above = os.path.dirname(above)
    try:
        make_folder(path, flag=flag)
    finally:
        for folder in missing:
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def check_file(path: str, *, flag: str, suffix: str) -> None:
    """Checks that a file of this kind can be written; raises `InputError` that begins with `flag` otherwise."""
    if not path.endswith(suffix) or os.path.isdir(path):
        raise InputError(f"{flag}: received {path!r}, expected the name of a file that ends in {suffix}")
    try:
        os.lstat(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InputError(
            f"{flag}: received {path!r}, expected a file that can be written ({error.strerror})"
        ) from error
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise InputError(f"{flag}: received {path!r}, expected a file in a folder that is there and can be written to")


def make_folder(path: str, *, flag: str) -> None:
    """Makes a folder that can be written to; raises `InputError` naming `flag` otherwise."""
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{flag}: received {path!r}, expected a folder that can be written to ({reason})") from error
