"""TFRecord files frame by frame, by offset, damaged frames among them.

A frame is the length of its data (8 bytes, little-endian), the checksum of these 8 bytes, the data, and the checksum of
the data: CRC-32C each, masked. TensorFlow's own reader ends at the first damaged frame, and tells of no offsets.
"""

import functools
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
from tensorflow.io.gfile import GFile

from tfvae.inference.bulk.failures import in_one_line

_HEAD, _FOOT = 12, 4  # bytes before and after the data
_BLOCK = 2**19  # bytes that are read at once
_MOST = 2**31  # bytes of data: no message of protocol buffers, and so no tf.Example, is as long

HEAD, DATA, CUT, END, LONG = (
    "the checksum of its length is wrong",
    "the checksum of its data is wrong",
    "another frame begins inside it",
    "the file ends inside it",
    f"its data are as long as no message can be, {_MOST} bytes or more",
)


class Frame(NamedTuple):
    """A stretch of a file.

    Attributes:
      offset: of its first byte in the file.
      size: bytes of the file that it takes, with its head and its checksums.
      data: what it holds; None where that is damaged, or was not asked for.
      checksum: of the data as the file has it, 4 bytes; empty where there is none.
      fault: how it is damaged, in words; empty: in no way that was looked for.
    """

    offset: int
    size: int
    data: bytes | None
    checksum: bytes
    fault: str


def masked_crc(data: bytes) -> int:
    """The checksum of a frame: CRC-32C, turned and shifted, as data may hold checksums themselves."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def frames(path: str, start: int = 0, *, data: bool = True, flag: str = "--input") -> Iterator[Frame]:
    """The frames of a file; each byte from `start` on is in one of them.

    A frame whose length is damaged, or longer than what is there of it, goes up to the next head that is sound, or to
    the end, and may so stand for several. The frames are the same from wherever the reading starts.

    Args:
      path: of the file; also on a filesystem that `tf.io.gfile` knows.
      start: the offset of a frame.
      data: whether to read data and check it; without, heads alone are looked at where the next one is sound.
      flag: that the file is of, for messages.

    Raises:
      InputError: where the file cannot be read.
    """
    with in_one_line(flag, path):
        path.encode()  # what is no UTF-8 TensorFlow calls an argument of a wrong type
        with GFile(path, "rb") as file:
            size, window = file.size(), _Window(file)
            while start < size:
                frame = _frame(window, start, size, data)
                yield frame
                start += frame.size


class _Window:
    """Bytes of a file by their place. A `GFile` takes longer to seek than to read a small record."""

    def __init__(self, file: Any) -> None:
        self._file, self._start, self._block = file, 0, b""

    def __call__(self, offset: int, count: int) -> bytes:
        """The `count` bytes from `offset` on; fewer at the end of the file."""
        first = offset - self._start
        if first < 0 or first + count > len(self._block):
            self._file.seek(offset)
            self._start, self._block, first = offset, self._file.read(max(count, _BLOCK)), 0
        return self._block[first : first + count]


def _frame(window: _Window, offset: int, size: int, data: bool) -> Frame:
    """The frame at an offset of a file of `size` bytes."""
    head = window(offset, _HEAD)
    if len(head) < _HEAD:
        return Frame(offset, size - offset, None, b"", END)
    length, checksum = struct.unpack("<QI", head)
    if masked_crc(head[:8]) != checksum:
        return Frame(offset, _next_head(window, offset + 1, size) - offset, None, b"", HEAD)
    whole = _HEAD + length + _FOOT
    after = offset + whole
    if after > size:
        return _cut(window, offset, size)
    if length >= _MOST:
        return Frame(offset, whole, None, b"", LONG)
    if not data and _follows(window, after, size):
        return Frame(offset, whole, None, window(after - _FOOT, _FOOT), "")
    found = window(offset + _HEAD, length + _FOOT)
    content, foot = found[:length], found[length:]
    if masked_crc(content) == struct.unpack("<I", foot)[0]:
        return Frame(offset, whole, content if data else None, foot, "")
    # Where nothing sound follows, the frame is not as long as it says: a file was cut, and another put behind it.
    return Frame(offset, whole, None, foot, DATA) if _follows(window, after, size) else _cut(window, offset, size)


def _follows(window: _Window, offset: int, size: int) -> bool:
    """Whether the file ends at an offset, or has a sound head there."""
    head = window(offset, _HEAD)
    return offset == size or (len(head) == _HEAD and masked_crc(head[:8]) == struct.unpack("<I", head[8:])[0])


def _cut(window: _Window, offset: int, size: int) -> Frame:
    """A frame that is longer than what is there of it."""
    end = _next_head(window, offset + 1, size)
    return Frame(offset, end - offset, None, b"", END if end == size else CUT)


def _next_head(window: _Window, offset: int, size: int) -> int:
    """The first offset from here on of a sound head whose frame lies within the file; `size` where there is none."""
    zeros, tables = _tables()
    while offset + _HEAD + _FOOT <= size:
        block = np.frombuffer(window(offset, _BLOCK), np.uint8)
        count = len(block) - _HEAD + 1
        # The checksum of 8 bytes is an XOR of one number for each of them: all places of the block at once.
        crc = np.full(count, zeros, np.uint32)
        for place, table in enumerate(tables):
            crc ^= table[block[place : place + count]]
        masked = ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)
        stored = sum(block[8 + byte : 8 + byte + count].astype(np.uint32) << np.uint32(8 * byte) for byte in range(4))
        for place in np.flatnonzero(masked == stored).tolist():
            (length,) = struct.unpack("<Q", block[place : place + 8].tobytes())
            if _HEAD + length + _FOOT <= size - offset - place:
                return offset + place
        offset += count
    return size


@functools.cache
def _tables() -> tuple[np.uint32, np.ndarray]:
    """CRC-32C of 8 zeros, and what it is XORed with for each value of each byte, uint32 `[8, 256]`."""
    zeros = google_crc32c.value(bytes(8))
    table = [
        [google_crc32c.value(bytes(place) + bytes([value]) + bytes(7 - place)) ^ zeros for value in range(256)]
        for place in range(8)
    ]
    return np.uint32(zeros), np.array(table, np.uint32)
