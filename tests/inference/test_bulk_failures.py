"""`tools/predict.py --shards` where files cannot be read or written."""

import contextlib
import errno
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.inference.stubs import stub_model
from tfvae.errors import InputError

pytest.importorskip("apache_beam")

from tests.inference.bulk import bad_ones, example, in_turn, load, predict, rows, save
from tfvae.inference.bulk import forms, reading, units, work
from tfvae.inference.bulk import run as bulk_run
from tfvae.inference.bulk.records import frames

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def numbers(monkeypatch, tmp_path):
    """A file of 8 records, and settings of a model whose code they are."""
    settings = load(monkeypatch, tmp_path, stub_model(lambda name, given: {"mean": given["vector"]}, item_shape=(4,)))
    save(tmp_path / "x.tfrecord", [example(vector=np.full(4, i / 8)) for i in range(8)])
    return tmp_path / "x.tfrecord", settings


@pytest.fixture
def images(monkeypatch, tmp_path):
    """A folder of 8 images, 0.png to 7.png, and settings of a model whose code their level is."""
    monkeypatch.setattr(forms, "_PAUSE", 0.0)
    model = stub_model(lambda name, given: {"mean": given["image"][:, 0, 0]}, item_shape=(1, 1, 1))
    (tmp_path / "in").mkdir()
    for number in range(8):
        Image.new("L", (1, 1), 10 + number).save(tmp_path / "in" / f"{number}.png")
    return tmp_path / "in", load(monkeypatch, tmp_path, model)


def failing(monkeypatch, error, *, times):
    """Has 5.png raise an error so many times when it is read; counts how often that was asked for."""
    content, asked = forms._content, []

    def read(path):
        asked.extend([path] * path.endswith("5.png"))
        if path.endswith("5.png") and len(asked) <= times:
            raise error
        return content(path)

    monkeypatch.setattr(forms, "_content", read)
    return asked


# Input -----------------------------------------------------------------------------


def test_a_link_to_nothing_among_tfrecords_is_said_in_one_line(numbers, tmp_path):
    _, settings = numbers
    (tmp_path / "in").mkdir()
    (tmp_path / "x.tfrecord").rename(tmp_path / "in" / "a.tfrecord")
    (tmp_path / "in" / "b.tfrecord").symlink_to("nothing")
    with pytest.raises(InputError, match=r"^--input: .*b\.tfrecord: received .*No such file.*, expected a file"):
        predict(tmp_path / "out", tmp_path / "in", **settings)
    assert not (tmp_path / "out").exists()


def test_names_that_are_no_utf_8(numbers, tmp_path):
    name = str(tmp_path / "\udcff.tfrecord")
    with pytest.raises(InputError, match=r"^--input: .*received .*utf-8"):
        list(frames(name))
    with pytest.raises(InputError, match=r"^--input: .*received .*utf-8"):
        units.index_records([name])
    try:
        (tmp_path / "x.tfrecord").rename(name)
    except OSError:
        return  # a filesystem that takes no such names
    assert units.listing(str(tmp_path)).files == (name,)


def test_an_image_that_went_while_it_was_listed(images):
    folder, _ = images
    found = units.listing(str(folder))
    (folder / "5.png").unlink()
    with pytest.raises(InputError, match=r"^--input: .*5\.png: received No such file or directory, expected a file"):
        units.index_images(found, "list")


def test_a_list_of_images_that_is_gone(tmp_path):
    unit = units.Unit(0, 0, 1, (units.Piece(str(tmp_path / "files.jsonl"), 0, 0, 1),))
    with pytest.raises(InputError, match=r"^--output: .*files\.jsonl: received .*No such file"):
        list(reading.read(unit, units.IMAGES))


def test_an_image_that_cannot_be_read_is_set_aside(monkeypatch, images, tmp_path):
    folder, settings = images
    begin = bulk_run._begin
    monkeypatch.setattr(bulk_run, "_begin", lambda *given: begin(*given) or os.remove(folder / "5.png"))
    with contextlib.suppress(OSError):  # filesystems may take no such names
        os.rename(folder / "6.png", folder / "\udcff.png")
    expected = {"5.png", "\udcff.png"} & {*os.listdir(folder)}
    figures = predict(tmp_path / "out", folder, **settings)
    assert figures["reasons"] == {"unreadable": len(expected)} and figures["read"] == 8
    found = {line["name"]: line["detail"] for line in bad_ones(tmp_path / "out")}
    assert found.keys() == expected and "No such file" in found["5.png"]
    assert set(rows(tmp_path / "out")["name"][:, 0]) == {f"{number}.png" for number in range(8)} - {"5.png", "6.png"}


def test_leave_to_read_is_asked_for_twice(monkeypatch, images, tmp_path):
    in_turn(monkeypatch)
    folder, settings = images
    asked = failing(monkeypatch, tf.errors.PermissionDeniedError(None, None, "5.png; Permission denied"), times=2)
    assert predict(tmp_path / "out", folder, **settings)["reasons"] == {"unreadable": 1}
    assert len(asked) == 2


@pytest.mark.parametrize("error", [tf.errors.UnavailableError(None, None, "the disk is away"), FULL])
def test_a_disk_that_fails_ends_the_run_where_it_fails_twice(monkeypatch, images, tmp_path, error):
    folder, settings = images
    with monkeypatch.context() as patch:
        asked = failing(patch, error, times=1)
        assert predict(tmp_path / "out", folder, **settings)["bad"] == 0 and len(asked) == 2
    failing(monkeypatch, error, times=2)
    with pytest.raises(InputError, match=r"^--input: .*5\.png: received (the disk is away|No space.*), expected"):
        predict(tmp_path / "other", folder, **settings)


# Output ----------------------------------------------------------------------------


@pytest.mark.parametrize("error", [FULL, tf.errors.ResourceExhaustedError(None, None, "part; No space left on device")])
def test_a_disk_that_is_full(monkeypatch, numbers, tmp_path, error):
    source, settings = numbers
    writing = work.writing

    @contextlib.contextmanager
    def full(path):
        with writing(path) as add:
            yield add
            raise error  # when what is left in memory is written

    monkeypatch.setattr(work, "writing", full)
    with pytest.raises(InputError, match=r"^--output: .*part-0000\d-of-00004\.tfrecord: received .*No space left"):
        predict(tmp_path / "out", source, **settings)
    assert not list((tmp_path / "out").glob("part-*"))


@pytest.mark.parametrize(("error", "expected"), [
    (FULL, "^--shards: received 'No space left on device' of a worker, expected"),
    (UnicodeEncodeError("utf-8", "a", 0, 1, "no"), "^--shards: received \"'utf-8' codec can't encode .* of a worker"),
])  # fmt: skip
def test_what_a_filesystem_says_elsewhere_in_a_worker(monkeypatch, numbers, tmp_path, error, expected):
    source, settings = numbers

    def run(self, unit):
        raise error

    monkeypatch.setattr(work.Worker, "run", run)
    with pytest.raises(InputError, match=expected):
        predict(tmp_path / "out", source, **settings)


def test_what_fails_in_the_model_keeps_its_name(monkeypatch, numbers, tmp_path):
    source, settings = numbers
    outputs = work.outputs

    def exhausted(model, name, batch, *rest, **others):
        if batch.x.any():  # not in the look at the signature
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")
        return outputs(model, name, batch, *rest, **others)

    monkeypatch.setattr(work, "outputs", exhausted)
    with pytest.raises(RuntimeError, match="OOM when allocating"):
        predict(tmp_path / "out", source, **settings)


def test_a_runner_that_does_not_start(numbers, tmp_path):
    source, settings = numbers
    with pytest.raises(InputError, match=r"^--pipeline_options: received FnApiRunner, which does not start \("):
        predict(tmp_path / "out", source, pipeline_options="--direct_num_workers=-3", **settings)
