"""Files that the clients of a model server read and write, with Python's standard library alone.

The clients run where tfvae, and NumPy, may not be installed: so what there is of them in `tfvae/files.py` is not used.
"""

import ast
import contextlib
import dataclasses
import io
import math
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

# NumPy's letters for a type, without the byte order: what `struct` calls it, and the type that a signature has for it.
_TYPES = {
    "f2": ("e", "float32"), "f4": ("f", "float32"), "f8": ("d", "float32"), "b1": ("?", "bool"),
    "i1": ("b", "int64"), "i2": ("h", "int64"), "i4": ("i", "int64"), "i8": ("q", "int64"),
    "u1": ("B", "int64"), "u2": ("H", "int64"), "u4": ("I", "int64"), "u8": ("Q", "int64"),
}  # fmt: skip
_WRITTEN = {"float32": ("<f4", "f"), "int64": ("<i8", "q"), "bool": ("|b1", "?")}
INT64 = range(-(2**63), 2**63)
_LARGEST = 3.4028235e38  # that float32 holds
_COLOR_TYPES = {1: 0, 3: 2, 4: 6}  # channels: a PNG's number for them
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"  # what a file begins with


class ClientError(Exception):
    """What a user is told in one line."""


def _holds(dtype: str, values: Iterable[Any]) -> bool:
    """Whether a type has room for all numbers: NaN and infinite ones are numbers of a float."""
    if dtype == "int64":
        return all(INT64[0] <= value <= INT64[-1] for value in values)
    return dtype == "bool" or not any(_LARGEST < abs(value) < math.inf for value in values)


@dataclasses.dataclass(frozen=True)
class Array:
    """Values of one type.

    Attributes:
      dtype: float32, int64 or bool, or bytes.
      shape: the size of each axis.
      values: all of them, the last axis fastest.
    """

    dtype: str
    shape: tuple[int, ...]
    values: Sequence[Any]

    @classmethod
    def of(cls, nested: Any) -> "Array":
        """An array of nested lists of one type; whole numbers among floats are floats."""
        shape: list[int] = []
        values = [nested]
        while values and isinstance(values[0], list):
            shape.append(len(values[0]))
            if any(not isinstance(part, list) or len(part) != shape[-1] for part in values):
                raise ValueError("lists of different lengths")
            values = [one for part in values for one in part]
        kinds = {type(value) for value in values} or {float}
        if kinds == {int, float}:
            kinds = {float}
        kind = kinds.pop() if len(kinds) == 1 else object
        dtype = {bool: "bool", int: "int64", float: "float32"}.get(kind)
        if dtype is None or len(values) != math.prod(shape) or not _holds(dtype, values):
            raise ValueError("something that is no array of numbers")
        return cls(dtype, tuple(shape), [float(value) for value in values] if kind is float else values)

    @classmethod
    def joined(cls, parts: Sequence["Array"]) -> "Array":
        """The rows of all parts, one after the other."""
        values = [one for part in parts for one in part.values]
        return cls(parts[0].dtype, (sum(part.shape[0] for part in parts), *parts[0].shape[1:]), values)

    def rows(self, start: int, stop: int) -> "Array":
        """Rows from `start` to before `stop`, or to the last."""
        size, stop = math.prod(self.shape[1:]), min(stop, self.shape[0])
        return Array(self.dtype, (stop - start, *self.shape[1:]), self.values[start * size : stop * size])

    def nested(self) -> Any:
        """Nested lists, or the one value of an array without axes."""
        parts = list(self.values)
        for size in reversed(self.shape[1:]):
            parts = [parts[start : start + size] for start in range(0, len(parts), size)]
        return parts if self.shape else parts[0]


def write_atomically(path: str, content: bytes) -> None:
    """Writes a file beside `path` and renames it onto `path`, so that nobody sees half of it."""
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".tmp-")
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise ClientError(f"--output: {path!r} cannot be written ({error.strerror})") from error
        raise


def read_image(path: str) -> bytes:
    """The bytes of a PNG or JPEG file; the model decodes them."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise ClientError(f"received {path!r}, expected a PNG or JPEG file ({error.strerror})") from error
    if not data.startswith((_PNG, _JPEG)):
        raise ClientError(f"received {path!r}, which is neither PNG nor JPEG")
    return data


def read_npz(path: str) -> dict[str, Array]:
    """The arrays of an NPZ file by name: floats as float32, whole numbers as int64."""
    try:
        with zipfile.ZipFile(path) as file:
            names = [name for name in file.namelist() if name.endswith(".npy")]
            return {name.removesuffix(".npy"): _array(file.read(name)) for name in names}
    except OSError as error:
        raise ClientError(f"--input: received {path!r}, expected an NPZ file ({error.strerror or error})") from error
    except (zipfile.BadZipFile, zlib.error, ValueError, SyntaxError, KeyError, TypeError, struct.error) as error:
        reason = " ".join(str(error).split())
        raise ClientError(f"--input: {path!r} is no NPZ file of numbers or truth values ({reason})") from error


def _array(data: bytes) -> Array:
    """An array of NumPy's format: mark, version, length of the head, the head as a Python literal, the numbers."""
    if data[:6] != b"\x93NUMPY":
        raise ValueError("an array without NumPy's mark")
    length, start = (2, 10) if data[6] == 1 else (4, 12)
    stop = start + int.from_bytes(data[8 : 8 + length], "little")
    head = ast.literal_eval(data[start:stop].decode("latin1"))
    descr, shape = str(head["descr"]), head["shape"]
    order, kind = descr[0].replace("|", "<"), descr[1:]
    if kind not in _TYPES:
        raise ValueError(f"an array of type {descr!r}")
    if head["fortran_order"] and len(shape) > 1:
        raise ValueError("an array in Fortran's order")
    code, dtype = _TYPES[kind]
    values = struct.unpack(f"{order}{math.prod(shape)}{code}", data[stop:])
    if not _holds(dtype, values):
        raise ValueError(f"a number that {dtype} does not hold")
    return Array(dtype, shape, values)


def npz(arrays: dict[str, Array]) -> bytes:
    """Arrays by name as an NPZ file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, array in arrays.items():
            descr, code = _WRITTEN[array.dtype]
            head = repr({"descr": descr, "fortran_order": False, "shape": array.shape})
            head += " " * (63 - (10 + len(head)) % 64) + "\n"  # numbers begin at a multiple of 64
            mark = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head))
            numbers = struct.pack(f"<{len(array.values)}{code}", *array.values)
            file.writestr(f"{name}.npy", mark + head.encode("latin1") + numbers)
    return stream.getvalue()


def png(images: Array, *, white: float) -> bytes:
    """A picture of all images, in as many columns as rows or one more.

    Args:
      images: `[N, height, width, channels]` with 1, 3 or 4 channels.
      white: the number that is as bright as can be; 0 is black.
    """
    count, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(count))
    pixels = bytes(round(min(255.0, max(0.0, 255.0 * (value / white)))) for value in images.values)  # NaN is black
    size = width * channels
    lines = bytearray()
    for first in range(0, count, columns):
        for line in range(height):
            lines.append(0)  # no filter
            for place in range(first, first + columns):
                start = (place * height + line) * size
                lines += pixels[start : start + size].ljust(size, b"\0")  # black where there is no image any more
    head = struct.pack(">IIBBBBB", columns * width, -(-count // columns) * height, 8, _COLOR_TYPES[channels], 0, 0, 0)
    chunks: Iterable[tuple[bytes, bytes]] = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(lines))), (b"IEND", b"")]
    parts = [struct.pack(">I", len(data)) + name + data + _checksum(name + data) for name, data in chunks]
    return _PNG + b"".join(parts)


def is_picture(array: Array) -> bool:
    """Whether `png` can draw it."""
    return len(array.shape) == 4 and array.shape[-1] in _COLOR_TYPES


def _checksum(data: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(data))
