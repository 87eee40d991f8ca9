"""What there is to do: the input's files and records, and their division into units of equal size."""

import dataclasses
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Sequence

from tensorflow.io import gfile
from tqdm import tqdm

from tfvae.data import paths
from tfvae.errors import InputError
from tfvae.inference.bulk.failures import in_one_line
from tfvae.inference.bulk.records import frames

IMAGES, RECORDS = "images", "records"  # kinds of input
PICTURES = (".png", ".jpg", ".jpeg")

_OF_RECORDS = re.compile(r"\.tfrecords?(-\d+-of-\d+)?$")  # names in a folder, where there may be others beside them
_MARKED = 1_000  # of so many records of a file the place of one is kept
_SETTLED = 5 * 10**9  # nanoseconds after which a file that is written again has another time on any filesystem
_EXPECTED = "a folder of PNG and JPEG files, or files with .tfrecord in their names: a file, a folder or a glob"


def is_remote(path: str) -> bool:
    """Whether a path is one of a filesystem that only TensorFlow knows, such as gs://bucket/folder."""
    return "://" in path


@dataclasses.dataclass(frozen=True)
class Piece:
    """Records of one file that follow each other.

    Attributes:
      file: TFRecords, or the list of image files that `write_list` makes.
      offset: of a record in it, in bytes.
      skip: records from there to the first one of the piece.
      count: records of the piece.
    """

    file: str
    offset: int
    skip: int
    count: int


@dataclasses.dataclass(frozen=True)
class Unit:
    """What is done at once, and written into one file.

    Attributes:
      number: 0, 1, ...
      first: place of its first record in the whole input.
      count: of its records; it may have none.
      pieces: where they are.
    """

    number: int
    first: int
    count: int
    pieces: tuple[Piece, ...]


@dataclasses.dataclass(frozen=True)
class Listing:
    """The files of an input.

    Attributes:
      kind: `IMAGES` or `RECORDS`.
      files: their paths, in the order of their names.
      names: of images, as in a folder; empty for TFRecords.
      labels: of images in subfolders, whose sorted names are `label_names`; else empty.
    """

    kind: str
    files: tuple[str, ...]
    names: tuple[str, ...] = ()
    labels: tuple[int, ...] = ()
    label_names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Scan:
    """What one reading of a TFRecord file found.

    Attributes:
      size: of the file in bytes.
      changed: when it was written, in nanoseconds; 0 where that is not known.
      count, marks: see `Index`.
      digest: of the sizes and checksums of its frames.
    """

    size: int
    changed: int
    count: int
    marks: tuple[int, ...]
    digest: str


@dataclasses.dataclass(frozen=True)
class Index:
    """Where the records of an input are.

    Attributes:
      files: of them; for images the one list of their names.
      counts: records of each file, damaged ones too.
      sizes: of each file in bytes; of images together, 0 where they are remote.
      marks: offsets of every `_MARKED`-th record of each file.
      digest: of names, sizes and checksums: another one for other data.
    """

    files: tuple[str, ...]
    counts: tuple[int, ...]
    sizes: tuple[int, ...]
    marks: tuple[tuple[int, ...], ...]
    digest: str

    @property
    def total(self) -> int:
        """All records."""
        return sum(self.counts)

    def units(self, shards: int) -> list[Unit]:
        """As many units as `shards`, whose sizes differ by one record at most."""
        ends = [self.total * number // shards for number in range(shards + 1)]
        pieces: list[list[Piece]] = [[] for _ in range(shards)]
        number, begin = 0, 0
        for file, count, marks in zip(self.files, self.counts, self.marks, strict=True):
            place, end = begin, begin + count
            while place < end:
                while ends[number + 1] <= place:
                    number += 1
                stop = min(end, ends[number + 1])
                mark, skip = divmod(place - begin, _MARKED)
                pieces[number].append(Piece(file, marks[mark], skip, stop - place))
                place = stop
            begin = end
        return [
            Unit(number, ends[number], ends[number + 1] - ends[number], tuple(pieces[number]))
            for number in range(shards)
        ]


def listing(given: str) -> Listing:
    """The files of `--input`: TFRecords, or images of a folder or of its subfolders; see `paths.listing`.

    Raises:
      InputError: where there are none, or none of one kind, or they cannot be looked for.
    """
    with in_one_line("--input", given, _EXPECTED):
        return _listing(given)


def _listing(given: str) -> Listing:
    if gfile.isdir(given):
        # TensorFlow gives up a whole folder for one name that is no UTF-8.
        inside = gfile.listdir(given) if is_remote(given) else os.listdir(given)
        names = sorted(name for name in inside if name[0] != ".")
        found = [os.path.join(given, name) for name in names if _OF_RECORDS.search(name)]
        if not found:
            return _images(given)
        if any(name.lower().endswith(PICTURES) for name in names):
            raise InputError(f"--input: received {given!r} with images and TFRecords in it, expected files of one kind")
    elif ".tfrecord" in os.path.basename(given):
        found = [given] if gfile.exists(given) else sorted(gfile.glob(given))
    elif given.lower().endswith(PICTURES) and gfile.exists(given):
        return _images(given)
    else:
        raise InputError(f"--input: received {given!r}, expected {_EXPECTED}")
    files = tuple(file for file in found if not (gfile.isdir if is_remote(file) else os.path.isdir)(file))
    if not files:
        raise InputError(f"--input: received {given!r}, expected {_EXPECTED}: nothing is there")
    return Listing(RECORDS, files)


def _images(given: str) -> Listing:
    try:
        find = _remote_images if is_remote(given) else paths.listing
        files, labels, label_names, names = find(given, PICTURES, kind="images")
    except InputError as error:
        raise InputError(f"--input: {error}") from error
    return Listing(
        IMAGES, tuple(files), tuple(names), () if labels is None else tuple(map(int, labels)), tuple(label_names)
    )


def _remote_images(folder: str, extensions: tuple[str, ...], *, kind: str) -> paths.Listed:
    """As `paths.listing`, of a flat folder: to find subfolders would ask a remote filesystem about each entry."""
    if not gfile.isdir(folder):
        return [folder], None, (), (os.path.basename(folder),)
    names = sorted(
        name for name in gfile.listdir(folder) if name.lower().endswith(extensions) and not name.startswith(".")
    )
    if not names:
        raise InputError(f"received {folder!r} without {kind}, expected files ending in {', '.join(extensions)} in it")
    return [os.path.join(folder, name) for name in names], None, (), tuple(names)


def index_records(files: Sequence[str], *, known: dict[str, Scan] | None = None, progress: bool = False) -> Index:
    """Finds the records of TFRecord files by the heads of their frames; data are passed over.

    Args:
      files: their paths.
      known: what was found before, by path: files of the same size and time are not read again. It is brought up to
        date.
      progress: whether to show it on a terminal.

    Raises:
      InputError: where a file cannot be read.
    """
    known = {} if known is None else known
    digest = hashlib.sha256()
    for file in tqdm(files, desc="index", unit=" files", disable=None if progress else True):
        size, changed = _state(file)
        if file not in known or not changed or (known[file].size, known[file].changed) != (size, changed):
            known[file] = _scan(file, size, changed)
        digest.update(os.path.basename(file).encode() + b"\0" + bytes.fromhex(known[file].digest))
    found = [known[file] for file in files]
    return Index(
        tuple(files), tuple(one.count for one in found), tuple(one.size for one in found),
        tuple(one.marks for one in found), digest.hexdigest(),
    )  # fmt: skip


def _state(file: str) -> tuple[int, int]:
    """A file's size in bytes, and when it was written in nanoseconds; 0 where it may be written again at that time."""
    with in_one_line("--input", file):
        file.encode()  # see `frames`
        if is_remote(file):
            remote = gfile.stat(file)
            size, changed = remote.length, remote.mtime_nsec
        else:
            here = os.stat(file)  # TensorFlow counts seconds
            size, changed = here.st_size, here.st_mtime_ns
    return size, changed if time.time_ns() - changed > _SETTLED else 0


def _scan(file: str, size: int, changed: int) -> Scan:
    digest, count, marks = hashlib.sha256(), 0, []
    for frame in frames(file, data=False):
        if count % _MARKED == 0:
            marks.append(frame.offset)
        # The checksum of its data stands for them.
        digest.update(frame.size.to_bytes(8, "little") + frame.checksum)
        count += 1
    return Scan(size, changed, count, tuple(marks), digest.hexdigest())


def index_images(found: Listing, list_file: str) -> Index:
    """The index of images, in a list that `image_lines` makes and that is to be at `list_file`.

    Of files of this machine the digest knows sizes and times, of remote ones names alone: to ask for each takes long.

    Raises:
      InputError: where a file cannot be asked for.
    """
    digest, marks, offset, size = hashlib.sha256(), [], 0, 0
    for number, (file, name, line) in enumerate(zip(found.files, found.names, image_lines(found), strict=True)):
        if number % _MARKED == 0:
            marks.append(offset)
        offset += len(line.encode())
        label = found.labels[number] if found.labels else None
        digest.update(json.dumps([name, label]).encode())
        if not is_remote(file):
            with in_one_line("--input", file):
                state = os.stat(file)
            digest.update(f"{state.st_size} {state.st_mtime_ns}\n".encode())
            size += state.st_size
    return Index((list_file,), (len(found.files),), (size,), (tuple(marks),), digest.hexdigest())


def image_lines(found: Listing) -> Iterator[str]:
    """A line of JSON for each image: its path, its name in the folder, and its label or null."""
    labels: Sequence[int | None] = found.labels or [None] * len(found.files)
    for file, name, label in zip(found.files, found.names, labels, strict=True):
        yield json.dumps([file, name, label]) + "\n"
