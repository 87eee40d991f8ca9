"""Frames of TFRecord files, units of an input, and the records of a unit."""

import struct

import numpy as np
import pytest
from PIL import Image

from tfvae.errors import InputError

pytest.importorskip("google_crc32c")

from tests.inference.bulk import save
from tfvae.inference.bulk import reading, records, units
from tfvae.inference.bulk.records import CUT, DATA, END, HEAD, LONG, Frame, frames, masked_crc


def contents(count, seed=0):
    """Random bytes of 0 to 39 bytes each."""
    rng = np.random.default_rng(seed)
    return [rng.bytes(int(size)) for size in rng.integers(0, 40, count)]


@pytest.fixture
def file(tmp_path):
    """A file of 9 records, their contents and offsets."""
    path, data = tmp_path / "a.tfrecord", contents(9)
    return path, data, save(path, data)


def check_whole(found, size):
    """Checks that each byte of a file is in one frame."""
    assert [frame.offset for frame in found] == np.cumsum([0] + [frame.size for frame in found])[:-1].tolist()
    assert sum(frame.size for frame in found) == size


# Frames ----------------------------------------------------------------------------


def test_the_checksum_is_that_of_the_format():
    # CRC-32C of "123456789" is 0xE3069283; masked, it is turned right by 15 bits, and a constant is added.
    assert masked_crc(b"123456789") == (((0xE3069283 >> 15) | (0xE3069283 << 17)) + 0xA282EAD8) % 2**32


@pytest.mark.parametrize("block", [16, 50, 2**19])
def test_sound_frames(file, block, monkeypatch):
    monkeypatch.setattr(records, "_BLOCK", block)
    path, data, offsets = file
    found = list(frames(str(path)))
    assert [frame.data for frame in found] == data and not any(frame.fault for frame in found)
    assert [frame.offset for frame in found] == offsets[:-1]
    heads = list(frames(str(path), data=False))
    assert heads == [frame._replace(data=None) for frame in found]
    assert [frame.checksum for frame in found] == [struct.pack("<I", masked_crc(content)) for content in data]


def test_any_damaged_byte_costs_its_own_record_alone(file):
    path, data, offsets = file
    raw = path.read_bytes()
    for place in range(len(raw)):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 0x41]) + raw[place + 1 :])
        found = list(frames(str(path)))
        check_whole(found, len(raw))
        number = int(np.searchsorted(offsets, place, side="right")) - 1
        fault = HEAD if place < offsets[number] + 12 else DATA
        assert [frame.fault for frame in found] == ["" if i != number else fault for i in range(len(data))], place
        assert [frame.data for frame in found] == [None if i == number else content for i, content in enumerate(data)]


def test_a_file_that_ends_early_has_a_bad_last_record(file):
    path, data, offsets = file
    raw = path.read_bytes()
    for size in range(len(raw)):
        path.write_bytes(raw[:size])
        found = list(frames(str(path)))
        check_whole(found, size)
        whole = int(np.searchsorted(offsets, size, side="right")) - 1
        assert [frame.data for frame in found if not frame.fault] == data[:whole]
        assert [frame.fault for frame in found[whole:]] == ([END] if size > offsets[whole] else [])


@pytest.mark.parametrize("block", [16, 37, 2**19])
def test_reading_goes_on_at_the_next_sound_head(file, block, monkeypatch):
    monkeypatch.setattr(records, "_BLOCK", block)
    path, data, offsets = file
    raw = bytearray(path.read_bytes())
    for number in (3, 4, 8):
        raw[offsets[number]] ^= 1
    path.write_bytes(raw)
    found = list(frames(str(path)))
    check_whole(found, len(raw))
    assert [frame.data for frame in found] == [*data[:3], None, *data[5:8], None]
    assert found[3] == Frame(offsets[3], offsets[5] - offsets[3], None, b"", HEAD)  # two records in one stretch
    assert [frame.offset for frame in frames(str(path), data=False)] == [frame.offset for frame in found]
    for start in range(len(found)):
        assert list(frames(str(path), found[start].offset)) == found[start:]


@pytest.mark.parametrize("length", [40, 10_000])
@pytest.mark.parametrize("block", [16, 2**19])
def test_a_file_that_was_cut_costs_no_record_of_the_one_put_behind_it(file, tmp_path, monkeypatch, length, block):
    monkeypatch.setattr(records, "_BLOCK", block)
    path, data, _ = file
    good = path.read_bytes()
    for kept in (12, 20, 30):  # bytes of the second record, whose length goes into the next file, or beyond it
        begin = save(tmp_path / "cut.tfrecord", [b"first", bytes(length)])[1]
        path.write_bytes((tmp_path / "cut.tfrecord").read_bytes()[: begin + kept] + good)
        found = list(frames(str(path)))
        check_whole(found, begin + kept + len(good))
        assert found[1] == Frame(begin, kept, None, b"", CUT)
        assert [frame.data for frame in found] == [b"first", None, *data]
        heads = list(frames(str(path), data=False))
        assert heads == [frame._replace(data=None) for frame in found]
        assert list(frames(str(path), begin)) == found[1:]


def test_a_head_that_claims_more_than_the_file_has_is_no_place_to_go_on(tmp_path):
    length = struct.pack("<Q", 10_000)
    trap = length + struct.pack("<I", masked_crc(length))
    offsets = save(tmp_path / "a.tfrecord", [b"x" * 20 + trap + b"y" * 20, b"next"])
    raw = bytearray((tmp_path / "a.tfrecord").read_bytes())
    raw[0] ^= 1
    (tmp_path / "a.tfrecord").write_bytes(raw)
    assert [(frame.offset, frame.data) for frame in frames(str(tmp_path / "a.tfrecord"))] == [
        (0, None), (offsets[1], b"next"),
    ]  # fmt: skip


def test_data_that_no_message_can_have_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_MOST", 30)
    save(tmp_path / "a.tfrecord", [b"x" * 29, b"x" * 30, b"y"])
    found = list(frames(str(tmp_path / "a.tfrecord")))
    assert [frame.fault for frame in found] == ["", LONG, ""] and found[1].data is None


# Units -----------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 23, 60])
def test_units_hold_each_record_once_in_order(tmp_path, shards, monkeypatch):
    monkeypatch.setattr(units, "_MARKED", 3)
    expected = []
    for number, count in enumerate((4, 0, 11, 1, 7)):
        data = contents(count, seed=number)
        save(tmp_path / f"{number}.tfrecord", data)
        expected += [(str(tmp_path / f"{number}.tfrecord"), content) for content in data]
    index = units.index_records(units.listing(str(tmp_path)).files)
    made = index.units(shards)
    assert index.total == 23 and index.counts == (4, 0, 11, 1, 7)
    assert [unit.number for unit in made] == list(range(shards))
    counts = [unit.count for unit in made]
    assert sum(counts) == 23 and max(counts) - min(counts) <= 1
    found = [record for unit in made for record in reading.read(unit, units.RECORDS)]
    assert [record.place for record in found] == list(range(23))
    assert [(record.file, record.data) for record in found] == expected


@pytest.mark.parametrize("shards", [1, 4])
def test_units_of_images(tmp_path, shards, monkeypatch):
    monkeypatch.setattr(units, "_MARKED", 2)
    for name in ("b/2.png", "a/1.png", "b/1.jpg", "a/größe 3.PNG", "b/.hidden.png", "b/4.txt", "c/5.jpeg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2)).save(tmp_path / "in" / name, format="png")
    found = units.listing(str(tmp_path / "in"))
    assert (found.kind, found.label_names, found.labels) == (units.IMAGES, ("a", "b", "c"), (0, 0, 1, 1, 2))
    (tmp_path / "list").write_text("".join(units.image_lines(found)), encoding="utf-8")
    index = units.index_images(found, str(tmp_path / "list"))
    read = [record for unit in index.units(shards) for record in reading.read(unit, units.IMAGES)]
    assert [(record.place, record.name, record.label) for record in read] == [
        (0, "a/1.png", 0), (1, "a/größe 3.PNG", 0), (2, "b/1.jpg", 1), (3, "b/2.png", 1), (4, "c/5.jpeg", 2),
    ]  # fmt: skip
    assert [record.file for record in read] == list(found.files)


def test_the_digest_sees_other_data(tmp_path):
    def digest():
        return units.index_records(units.listing(str(tmp_path)).files).digest

    save(tmp_path / "a.tfrecord", [b"one", b"two"])
    before = digest()
    assert digest() == before
    save(tmp_path / "a.tfrecord", [b"one", b"2wo"])  # as long as before
    assert digest() != before
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    (tmp_path / "a.tfrecord").unlink()
    before = units.index_images(units.listing(str(tmp_path)), "list").digest
    Image.new("L", (2, 2), 1).save(tmp_path / "a.png")
    assert units.index_images(units.listing(str(tmp_path)), "list").digest != before


def test_files_by_name_glob_and_folder(tmp_path):
    for name in ("x-2.tfrecord", "x-10.tfrecord", "y.tfrecord-00000-of-00001", ".z.tfrecord", "[1].tfrecords"):
        save(tmp_path / name, [b"data"])
    names = ["[1].tfrecords", "x-10.tfrecord", "x-2.tfrecord", "y.tfrecord-00000-of-00001"]

    def listed(given):
        return [file.rpartition("/")[2] for file in units.listing(str(given)).files]

    (tmp_path / "x-2.tfrecord.index").touch()
    assert listed(tmp_path) == names and listed(tmp_path / "x-*.tfrecord") == names[1:3]
    assert listed(tmp_path / names[0]) == names[:1] and listed(tmp_path / names[3]) == names[3:]


@pytest.mark.parametrize(
    "given", ["none", "none.tfrecord", "none*.tfrecord", "x.npz", "*.png", "none.png", "digits", "empty"]
)
def test_other_inputs_are_refused_in_one_line(tmp_path, given):
    (tmp_path / "x.npz").touch()
    (tmp_path / "empty").mkdir()
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="^--input: .*expected .*(PNG|png)"):
        units.listing(str(tmp_path / given))


def test_a_folder_of_both_kinds_is_refused(tmp_path):
    save(tmp_path / "x.tfrecord", [b"data"])
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="^--input: .* with images and TFRecords in it, expected files of one kind"):
        units.listing(str(tmp_path))


def test_a_file_that_got_shorter_is_refused(file):
    path, _, offsets = file
    unit = units.index_records([str(path)]).units(1)[0]
    path.write_bytes(path.read_bytes()[: offsets[5]])
    with pytest.raises(InputError, match=r"^--input: .*a\.tfrecord: received 5 records in place of 9"):
        list(reading.read(unit, units.RECORDS))
