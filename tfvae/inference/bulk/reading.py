"""The records of a unit one by one, each with where it is, and with what is wrong with it where that is known."""

import dataclasses
import itertools
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from tensorflow.io.gfile import GFile

from tfvae.errors import InputError
from tfvae.inference.bulk.failures import in_one_line
from tfvae.inference.bulk.records import frames
from tfvae.inference.bulk.units import IMAGES, Piece, Unit

# Why a record is set aside.
DAMAGED = "damaged_frame"
UNREADABLE = "unreadable"
NO_EXAMPLE = "not_an_example"
MISSING, WRONG_TYPE, WRONG_SIZE = "missing_feature", "wrong_type", "wrong_size"
UNDECODABLE, OTHER_SHAPE = "undecodable_image", "other_shape"
OUT_OF_RANGE, UNKNOWN_LABEL, NOT_VALID = "out_of_range", "unknown_label", "not_valid"


class Fault(NamedTuple):
    """Why a record is set aside: one of the reasons above, and that in words."""

    reason: str
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """A record of the input.

    Attributes:
      place: in the whole input.
      file: that holds it, or that it is.
      offset: of its frame in the file; None of an image.
      data: of its frame, where that is sound; None of an image, which is read when it is decoded.
      fault: of its frame.
      name, label: of an image, as in the folder, and of its subfolder.
    """

    place: int
    file: str
    offset: int | None = None
    data: bytes | None = None
    fault: Fault | None = None
    name: str | None = None
    label: int | None = None

    def line(self, fault: Fault) -> dict[str, Any]:
        """What is said of it where it is set aside."""
        at = {"name": self.name} if self.offset is None else {"offset": self.offset}
        return {"place": self.place, "file": self.file, **at, "reason": fault.reason, "detail": fault.detail}


def read(unit: Unit, kind: str) -> Iterator[Record]:
    """The records of a unit in their order.

    Raises:
      InputError: where a file cannot be read, or holds fewer than it did when the units were made.
    """
    place = unit.first
    for piece in unit.pieces:
        count = 0
        for record in itertools.islice((_images if kind == IMAGES else _records)(piece, place), piece.count):
            yield record
            count += 1
        if count != piece.count:
            raise InputError(
                f"--input: {piece.file}: received {count} records in place of {piece.count}, expected a file that "
                "nobody changes meanwhile"
            )
        place += count


def _records(piece: Piece, place: int) -> Iterator[Record]:
    start = piece.offset
    for frame in itertools.islice(frames(piece.file, start, data=False), piece.skip):
        start = frame.offset + frame.size
    for number, frame in enumerate(frames(piece.file, start)):
        fault = Fault(DAMAGED, f"{frame.fault}: {frame.size} bytes") if frame.fault else None
        yield Record(place + number, piece.file, frame.offset, frame.data, fault)


def _images(piece: Piece, place: int) -> Iterator[Record]:
    with in_one_line("--output", piece.file), GFile(piece.file, "rb") as lines:
        lines.seek(piece.offset)
        for number in itertools.count(-piece.skip):
            line = lines.readline()
            if not line:
                return
            if number >= 0:
                file, name, label = json.loads(line)
                yield Record(place + number, file, name=name, label=label)
