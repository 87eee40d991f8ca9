"""`tools/predict.py --shards` as a command, and what it refuses."""

import os
import sys

import numpy as np
import pytest

from tests.tools.inside import run_inside
from tfvae.errors import InputError

pytest.importorskip("apache_beam")

from tests.inference.bulk import DIGITS, ROOT, example, predict, raw, rows, save


@pytest.mark.parametrize("name", ["apache_beam", "google_crc32c"])
def test_without_beam_one_line_says_how_to_install_it(monkeypatch, tmp_path, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=rf"^--shards: received 4, expected {name} .*pip install tfvae\[beam\]$"):
        predict(tmp_path / "out", "x.tfrecord")


@pytest.mark.parametrize(("flags", "says"), [
    ("--format=npz", "--shards: received None, expected the number of parts"),
    ("--shards=0", "shards"), ("--shards=2 --input=x.tfrecord --output=out --saved_model=", "--saved_model: received"),
    ("--shards=2 --output=out", "--input: received none with --shards"),
    ("--shards=2 --input=x.tfrecord", "--output: received none with --shards, expected one"),
    ("--shards=2 --input=x.tfrecord --output=out --format=png", "--format: received 'png', expected one of: npz, tf"),
    ("--shards=2 --input=x.tfrecord --output=out --signature=decode", "--signature: received 'decode', expected one"),
    ("--shards=2 --input=x.tfrecord --output=out --map=pca", "--map: received it with --shards"),
    ("--shards=2 --input=x.tfrecord --output=out --workdir=run", "--workdir: received 'run' with --shards"),
    ("--shards=2 --input=none.tfrecord --output=out", "--input: received 'none.tfrecord'"),
    ("--shards=2 --input=x.tfrecord --output=x.tfrecord", "--output: received 'x.tfrecord', expected a folder"),
    ("--shards=2 --input=x.tfrecord --output=out --label=1", "--label: received 1, expected none"),
    ("--shards=2 --input=x.tfrecord --output=out --saved_model=none", "--saved_model: received 'none', which holds no"),
    ("--shards=2 --input=x.tfrecord --output=out --pipeline_options=--runer=x", "--pipeline_options: received --runer"),
    ("--shards=2 --input=x.tfrecord --output=out --pipeline_options=--runner=Other", "--pipeline_options: received"),
    ("--shards=2 --input=x.tfrecord --output=out --pipeline_options='", "--pipeline_options: received"),
    ("--shards=2 --input=x.tfrecord --output=out --pipeline_options=--direct_num_workers=abc",
     "expected options of Apache Beam (argument --direct_num_workers: invalid int value: 'abc')"),
    ("--levels=256", "--shards: received None"),
    ("--shards=2 --input=x.tfrecord --output=out --levels=3", "--levels: received 3, expected 2 (bytes of 0 and 1) or"),
    ("--shards=2 --input=x.tfrecord --output=out --saved_model=x.tfrecord", "--saved_model: x.tfrecord: received Not"),
    ("--shards=2 --input=other.tfrecord --output=out", "--input: other.tfrecord: received a record with the features"),
    ("--shards=2 --input=large.tfrecord --output=out", "--input: received examples of shape [9, 8, 1] in tfrecord:lar"),
    ("--shards=2 --input=zip.tfrecord --output=out", "--input: received no record that is sound"),
])  # fmt: skip
def test_bad_input_gives_one_line_and_leaves_nothing(tmp_path, monkeypatch, flags, says):
    save(tmp_path / "x.tfrecord", [raw(np.zeros((8, 8, 1), np.uint8))])
    save(tmp_path / "large.tfrecord", [raw(np.zeros((9, 8, 1), np.uint8))])
    save(tmp_path / "other.tfrecord", [example(pixels=1)])
    (tmp_path / "zip.tfrecord").write_bytes(b"\x1f\x8b" + bytes(range(50)))
    before = sorted(os.listdir(tmp_path))
    command = [str(ROOT / "tools" / "predict.py"), f"--saved_model={DIGITS}", *flags.split()]
    done = run_inside(command, tmp_path, monkeypatch)
    assert done.returncode == 1 and done.stdout == "" and sorted(os.listdir(tmp_path)) == before
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ") and says in line


def test_the_script(tmp_path, monkeypatch):
    save(tmp_path / "x.tfrecord", [raw(np.full((8, 8, 1), level, np.uint8), label=1) for level in range(7)] + [b"no"])
    command = [str(ROOT / "tools" / "predict.py"), f"--saved_model={DIGITS}", "--input=x.tfrecord", "--output=out",
               "--signature=score", "--shards=3", "--pipeline_options=--runner DirectRunner"]  # fmt: skip
    done = run_inside(command, tmp_path, monkeypatch)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["read: 8", "written: 7", "bad: 1", "reasons: {'not_an_example': 1}", "out"]
    assert done.stderr.splitlines() == [
        *(f"part-0000{number}-of-00003.tfrecord: {count} records" for number, count in enumerate((2, 3, 3))),
        "warning: 1 of 8 records are bad: see out/bad-*",
    ]
    assert rows(tmp_path / "out").keys() == {
        "index", "label", "log_likelihood", "elbo", "rate", "distortion", "valid",
    }  # fmt: skip
