"""The files of the clients, against NumPy and TensorFlow; a stand-in for a server says what it is sent."""

import os
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.conftest import TOOLS


@pytest.fixture
def files(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import client_files

    return client_files


ARRAYS = {
    "half": np.array([0.5, -2.0, np.inf], np.float16),
    "single": np.linspace(-1.0, 1.0, 24, dtype=np.float32).reshape(2, 3, 4),
    "double": np.array([[1e-3, np.nan]]),
    "other order": np.array([1.5, 2.5], ">f4"),
    "bytes": np.arange(256, dtype=np.uint8).reshape(4, 64),
    "int32": np.array([-(2**31), 2**31 - 1], np.int32),
    "int64": np.array([2**62, -1]),
    "flags": np.array([[True, False]]),
    "one": np.array(3.0),
    "none": np.zeros((0, 5), np.float32),
}


def test_arrays_come_and_go_as_numpy_has_them(files, tmp_path):
    np.savez_compressed(tmp_path / "a.npz", **ARRAYS)
    found = files.read_npz(str(tmp_path / "a.npz"))
    assert found.keys() == ARRAYS.keys()
    kinds = {"f": "float32", "i": "int64", "u": "int64", "b": "bool"}
    for name, array in ARRAYS.items():
        assert (found[name].dtype, found[name].shape) == (kinds[array.dtype.kind], array.shape)
        np.testing.assert_array_equal(np.array(found[name].values).reshape(array.shape), array)
        np.testing.assert_equal(found[name].nested(), array.tolist())
        if array.size:
            again = files.Array.of(array.tolist())
            assert (again.dtype, again.shape) == (found[name].dtype, array.shape)
            np.testing.assert_equal(list(again.values), list(found[name].values))
    (tmp_path / "b.npz").write_bytes(files.npz(found))
    with np.load(tmp_path / "b.npz") as again:
        for name, array in ARRAYS.items():
            assert again[name].dtype == found[name].dtype
            np.testing.assert_array_equal(again[name], array.astype(found[name].dtype))


@pytest.mark.parametrize(
    "nested", [[[1], [2, 3]], [1, "2"], [None], [2**63], [1.0, True], [1e39], {}, "text", [[1, 2], 3], [3, [1, 2]]]
)
def test_what_is_no_array_of_numbers(nested, files):
    with pytest.raises(ValueError, match="no array of numbers|lists of different lengths"):
        files.Array.of(nested)


def test_whole_numbers_among_floats(files):
    assert files.Array.of([[1, 2.5], [3, 4]]) == files.Array("float32", (2, 2), [1.0, 2.5, 3.0, 4.0])


def test_rows_and_joined_rows(files):
    array = files.Array("int64", (5, 2), range(10))
    parts = [array.rows(start, start + 2) for start in range(0, 5, 2)]
    assert [part.nested() for part in parts] == [[[0, 1], [2, 3]], [[4, 5], [6, 7]], [[8, 9]]]
    joined = files.Array.joined(parts)
    assert joined.shape == (5, 2) and list(joined.values) == list(range(10))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": np.array(["text"])}, "an array of type '<U4'"),
        ({"a": np.zeros(2, [("x", "f4")])}, "an array of type"),
        ({"a": np.asfortranarray(np.zeros((2, 3)))}, "in Fortran's order"),
        ({"a": np.array([2**63], np.uint64)}, "a number that int64 does not hold"),
        ({"a": np.array([1e39])}, "a number that float32 does not hold"),
    ],
)
def test_other_arrays_are_refused(content, words, files, tmp_path):
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(files.ClientError, match=words):
        files.read_npz(str(tmp_path / "a.npz"))


def test_damaged_files_are_refused(files, tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.arange(1000.0))
    whole = (tmp_path / "a.npz").read_bytes()
    spoilt = bytearray(whole)
    spoilt[200:220] = bytes(20)
    for data in (whole[: len(whole) // 2], bytes(spoilt), b""):
        (tmp_path / "b.npz").write_bytes(data)
        with pytest.raises(files.ClientError, match="is no NPZ file of numbers"):
            files.read_npz(str(tmp_path / "b.npz"))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures(channels, files):
    items = np.random.default_rng(0).integers(0, 256, (4, 3, 5, channels))
    array = files.Array("float32", items.shape, (items / 255.0).ravel().tolist())
    picture = tf.io.decode_png(files.png(array, white=1.0), channels=channels).numpy()
    expected = items.reshape(2, 2, 3, 5, channels).swapaxes(1, 2).reshape(6, 10, channels)
    np.testing.assert_array_equal(picture, expected)


def test_a_picture_of_numbers_that_are_none(files):
    values = [float("nan"), float("inf"), float("-inf"), 1e300]
    picture = tf.io.decode_png(files.png(files.Array("float32", (1, 1, 4, 1), values), white=1e-300)).numpy()
    assert picture.ravel().tolist() == [0, 255, 0, 255]


def test_a_file_appears_whole_or_not_at_all(files, tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    files.write_atomically(str(path), b"before")
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()
    monkeypatch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(files.ClientError, match=r"a.npz' cannot be written \(No space left on device\)"):
        files.write_atomically(str(path), b"after")
    assert os.listdir(tmp_path) == ["a.npz"] and path.read_bytes() == b"before"


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_is_no_picture_goes_into_arrays_only_and_labels_to_every_row(files, tmp_path, monkeypatch, capsys):
    import client_commands

    asked = []

    class Server:
        def signatures(self):
            one = ("DT_INT64", [-1])
            return {"generate": {"inputs": {"seed": one, "label": one}, "outputs": {"vector": ("DT_FLOAT", [-1, 2])}}}

        def predict(self, signature, inputs, outputs):
            asked.append((signature, {name: list(array.values) for name, array in inputs.items()}))
            rows = inputs["seed"].shape[0]
            return {"vector": files.Array("float32", (rows, 2), [0.5] * 2 * rows)}

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["client", *arguments, "--label=7", "--batch_size=2"])
        client_commands.run("", port=1, connect=lambda flags: Server())

    run("generate", "--seeds=1-3", f"--output={tmp_path / 'a.npz'}")
    assert asked == [("generate", {"seed": [1, 2], "label": [7, 7]}), ("generate", {"seed": [3], "label": [7]})]
    with pytest.raises(SystemExit, match="1"):
        run("generate", "--seeds=1", f"--output={tmp_path / 'a.png'}")
    assert capsys.readouterr().err.endswith("expected .npz: items of shape [2] are no pictures\n")
    assert os.listdir(tmp_path) == ["a.npz"]
