import csv
import os

import numpy as np
import pytest
import tensorflow as tf

from tfvae.errors import InputError
from tfvae.inference import columns

FORMATS = (".npz", ".tfrecord", ".csv")


def read(path):
    """What a file of any format holds: arrays by name, numbers flat for each row."""
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: arrays[name].reshape(len(arrays[name]), -1) for name in arrays.files}
    if path.suffix == ".tfrecord":
        rows = [tf.train.Example.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))]
        kinds = {"float_list": np.float32, "int64_list": np.int64, "bytes_list": np.str_}
        found = {}
        for name in rows[0].features.feature:
            features = [row.features.feature[name] for row in rows]
            kind = features[0].WhichOneof("kind")
            values = [getattr(feature, kind).value for feature in features]
            if kind == "bytes_list":
                values = [[value.decode() for value in row] for row in values]
            found[name] = np.array(values, kinds[kind])
        return found
    with open(path, newline="") as file:
        head, *rows = csv.reader(file)
    names = list(dict.fromkeys(name.split("_")[0] for name in head))
    of = {name: [i for i, column in enumerate(head) if column.split("_")[0] == name] for name in names}
    kinds = {"index": np.int64, "label": np.int64, "name": np.str_}
    return {name: np.array([[row[i] for i in of[name]] for row in rows], kinds.get(name, np.float32)) for name in names}


@pytest.mark.parametrize("suffix", FORMATS)
def test_truth_and_names_of_many_lengths(tmp_path, suffix):
    out = tmp_path / f"rows{suffix}"
    words = ["a", 'größer, "b"\n', "", "c" * 20]
    with columns.writing(str(out)) as add:
        for start in (0, 2):
            two = words[start : start + 2]
            add({"name": np.array(two), "label": np.array([start, -1]), "valid": np.array([True, False])})
    found = read(out)
    assert found["name"][:, 0].tolist() == words and found["label"][:, 0].tolist() == [0, -1, 2, -1]
    assert found["valid"][:, 0].tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_rows_change_nothing(tmp_path, suffix):
    out, rows = tmp_path / f"rows{suffix}", {"index": np.arange(2), "mean": np.ones((2, 3), np.float32)}
    with columns.writing(str(out)) as add:
        for part in (slice(0), slice(2)):
            add({name: values[part] for name, values in rows.items()})
    assert {name: values.tolist() for name, values in read(out).items()} == {"index": [[0], [1]], "mean": [[1] * 3] * 2}


def test_a_csv_file_without_rows_has_its_head(tmp_path):
    with columns.writing(str(tmp_path / "rows.csv")) as add:
        add({"index": np.zeros(0, np.int64), "mean": np.zeros((0, 2), np.float32)})
    assert (tmp_path / "rows.csv").read_text() == "index,mean_0,mean_1\n"


def test_rows_of_an_npz_are_on_disk_before_the_end(tmp_path):
    with columns.writing(str(tmp_path / "rows.npz")) as add:
        for _ in range(3):
            add({"mean": np.zeros((10_000, 10), np.float32)})
        sizes = [os.path.getsize(os.path.join(place, file)) for place, _, files in os.walk(tmp_path) for file in files]
        assert max(sizes) >= 2 * 400_000
    assert read(tmp_path / "rows.npz")["mean"].shape == (30_000, 10)


@pytest.mark.parametrize("path", ["codes.txt", "codes", "npz", "missing/codes.csv"])
def test_other_files_are_refused(tmp_path, path):
    with pytest.raises(InputError, match=r"^--output: received .*, expected "):
        columns.check_output(str(tmp_path / path))
