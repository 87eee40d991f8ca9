import json
import os
import stat

import numpy as np
import pytest

from tfvae import files
from tfvae.errors import InputError
from tfvae.files import make_folder, read_json, write_atomically, write_json


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize(("content", "data"), [("grün\n", "grün\n".encode()), (b"\x00\xff", b"\x00\xff"), ("", b"")])
def test_a_file_holds_what_was_written(tmp_path, content, data):
    path = tmp_path / "file"
    for _ in range(2):
        write_atomically(str(path), content)
        assert path.read_bytes() == data and os.listdir(tmp_path) == ["file"]


def test_a_path_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_atomically("file", "new")
    assert (tmp_path / "file").read_text() == "new"


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["OSError", "KeyboardInterrupt"])
def test_a_failure_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch, step, error):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(type(error)):
        write_atomically(str(path), "new content")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["file"]


def test_the_file_is_whole_before_it_has_its_name(tmp_path, monkeypatch):
    path, seen, replace = tmp_path / "file", [], os.replace

    def look(source, target):
        with open(source) as file:
            seen.append((file.read(), os.path.dirname(source), target, path.exists()))
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", look)
    write_atomically(str(path), "content")
    assert seen == [("content", str(tmp_path), str(path), False)]


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0o000, 0o666)])
def test_permissions_follow_the_umask(tmp_path, umask, mask, expected):
    umask(mask)
    write_atomically(str(tmp_path / "file"), "content")
    assert mode(tmp_path / "file") == expected
    assert umask(0o022) == mask, "the umask itself must stay"


def test_json_comes_back(tmp_path):
    path, values = str(tmp_path / "file.json"), {"a": [1, 0.1, None], "ü": {"b": "c"}}
    write_json(path, values)
    assert read_json(path) == values
    with open(path) as file:
        text = file.read()
    assert json.loads(text) == values and text.endswith("}\n") and '\n  "a"' in text


def test_numbers_that_json_has_not_are_null(tmp_path):
    path = str(tmp_path / "file.json")
    inf = float("inf")
    write_json(path, {"a": [1.5, float("nan"), (inf, 2)], "b": {"c": np.float64("nan"), "d": -inf, "e": True}})
    found = json.loads((tmp_path / "file.json").read_text(), parse_constant=pytest.fail)
    assert found == {"a": [1.5, None, [None, 2]], "b": {"c": None, "d": None, "e": True}}


def test_what_is_no_json_leaves_the_file(tmp_path):
    path = tmp_path / "file.json"
    path.write_text("{}")
    with pytest.raises(TypeError):
        write_json(str(path), {"a": object()})
    assert path.read_text() == "{}" and os.listdir(tmp_path) == ["file.json"]


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", None], ids=["cut", "empty", "no text", "missing"])
def test_bad_json_is_named(tmp_path, content):
    path = tmp_path / "config.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_json(str(path))
    assert str(error.value).startswith(f"{path}: expected a readable JSON file: ")


def test_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b"
    for _ in range(2):
        make_folder(str(path), flag="--workdir")
        assert path.is_dir() and os.listdir(path) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    path = tmp_path / "file"
    path.write_text("content")
    for bad in (path, path / "folder"):
        with pytest.raises(
            InputError, match="^--workdir: received .*expected a folder that can be written to"
        ) as error:
            make_folder(str(bad), flag="--workdir")
        assert repr(str(bad)) in str(error.value)
    assert path.read_text() == "content"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_closed_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match=r"^--export_dir: .*\(Permission denied\)"):
        make_folder(str(tmp_path), flag="--export_dir")
