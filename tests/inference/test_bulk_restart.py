"""`tools/predict.py --shards` that is interrupted, started again, or started with something else."""

import os

import numpy as np
import pytest
import tensorflow as tf

from tests.inference.stubs import stub_model
from tfvae.errors import InputError

pytest.importorskip("apache_beam")

from tests.inference.bulk import example, files, in_turn, load, png, predict, rows, save
from tfvae.inference.bulk import pipeline, units, work


@pytest.fixture
def straight(monkeypatch, tmp_path):
    """The folder of an uninterrupted run, and its input and settings; the model's code is its 4 numbers."""
    settings = load(monkeypatch, tmp_path, stub_model(lambda name, given: {"mean": given["vector"]}, item_shape=(4,)))
    x = np.random.default_rng(0).random((40, 4), np.float32)
    x[::9] = np.nan
    save(tmp_path / "x.tfrecord", [example(vector=row) for row in x])
    with monkeypatch.context() as patch:
        in_turn(patch)
        predict(tmp_path / "straight", tmp_path / "x.tfrecord", **settings)
    return tmp_path / "straight", tmp_path / "x.tfrecord", settings


@pytest.mark.parametrize("error", [RuntimeError("the disk is full"), KeyboardInterrupt()])
def test_a_run_that_was_interrupted_goes_on_to_the_same_bytes(straight, tmp_path, monkeypatch, error):
    folder, source, settings = straight
    rows_of, done = work.Worker.rows, []

    def interrupted(self, first, given):
        done.append(first)
        if first == 20:
            raise error
        return rows_of(self, first, given)

    with monkeypatch.context() as patch:
        patch.setattr(work.Worker, "rows", interrupted)
        with pytest.raises(type(error), match="disk is full" if str(error) else None):
            predict(tmp_path / "out", source, **settings)
    assert done == [0, 0, 10, 20]  # the first is the look at the signature
    assert sorted(os.listdir(tmp_path / "out")) == [
        "bad-00000-of-00004.jsonl", "bad-00001-of-00004.jsonl", "index.json", "manifest.json",
        "part-00000-of-00004.tfrecord", "part-00001-of-00004.tfrecord",
    ]  # fmt: skip
    (tmp_path / "out" / ".tmp-left").write_text("half")
    (tmp_path / "out" / ".tmp-folder").mkdir()
    os.remove(tmp_path / "out" / "part-00000-of-00004.tfrecord")
    monkeypatch.setattr(
        work.Worker, "rows", lambda self, first, given: done.append(first) or rows_of(self, first, given)
    )
    done.clear()
    predict(tmp_path / "out", source, **settings)
    assert done == [0, 0, 20, 30]
    assert files(tmp_path / "out") == files(folder)
    done.clear()
    predict(tmp_path / "out", source, **settings)
    assert done == [0] and files(tmp_path / "out") == files(folder)


def test_bad_records_appear_before_the_part_that_says_that_a_unit_is_done(monkeypatch, straight, tmp_path):
    in_turn(monkeypatch)
    _, source, settings = straight
    appeared, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: appeared.append(str(paths[1])) or replace(*paths))
    predict(tmp_path / "out", source, **settings | {"shards": 2})
    assert [os.path.basename(path) for path in appeared if path.startswith(str(tmp_path / "out"))] == [
        "manifest.json", "index.json", "bad-00000-of-00002.jsonl", "part-00000-of-00002.tfrecord",
        "bad-00001-of-00002.jsonl", "part-00001-of-00002.tfrecord", "summary.json",
    ]  # fmt: skip


def test_workers_stop_where_their_process_is_to_end(monkeypatch, straight, tmp_path):
    in_turn(monkeypatch)
    _, source, settings = straight
    monkeypatch.setattr(work.STOPPING, "is_set", lambda: True)
    with pytest.raises(KeyboardInterrupt):
        predict(tmp_path / "out", source, **settings)
    assert sorted(os.listdir(tmp_path / "out")) == ["index.json", "manifest.json"]


def test_files_that_are_as_they_were_are_not_read_again_for_the_index(monkeypatch, straight):
    in_turn(monkeypatch)
    folder, source, settings = straight
    before, scan = files(folder), units._scan
    os.utime(source, (1, 1))
    predict(folder, source, **settings)
    (folder / "part-00001-of-00004.tfrecord").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(units, "_scan", None)
        predict(folder, source, **settings)
    assert files(folder) == before
    scanned = []
    monkeypatch.setattr(units, "_scan", lambda file, *state: scanned.append(file) or scan(file, *state))
    os.utime(source, ns=(0, 10**9 + 1))
    predict(folder, source, **settings)
    assert scanned == [str(source)] and files(folder) == before
    (folder / "index.json").write_text('{"half')
    predict(folder, source, **settings)
    assert len(scanned) == 2 and files(folder) == before
    os.utime(source)  # now: it may be written again at the same time
    for count in (3, 4):
        predict(folder, source, **settings)
        assert len(scanned) == count


@pytest.mark.parametrize(("changed", "says"), [
    ({"seed": 1}, "--seed: received 1, expected 0, as for the parts that are in"),
    ({"signature": "score"}, "--signature: received score, expected encode"),
    ({"shards": 5}, "--shards: received 5, expected 4"), ({"format": "csv"}, "--format: received csv, expected tfrec"),
    ("more", "--input: received another, expected the same"),
    ("model", "--saved_model: received another, expected the same"),
])  # fmt: skip
def test_parts_of_other_data_or_settings_never_mix(monkeypatch, straight, tmp_path, changed, says):
    in_turn(monkeypatch)
    folder, source, settings = straight
    before = files(folder)
    if changed == "more":
        save(source, [example(vector=np.zeros(4, np.float32))] * 40)
    elif changed == "model":
        (tmp_path / "stub").mkdir()
        (tmp_path / "stub" / "model_card.json").write_text("another")
    with pytest.raises(InputError, match=f"^{says}"):
        predict(folder, source, **settings | (changed if isinstance(changed, dict) else {}))
    assert files(folder) == before


def test_the_same_model_and_data_may_lie_elsewhere(monkeypatch, straight, tmp_path):
    in_turn(monkeypatch)
    folder, source, settings = straight
    (tmp_path / "moved").mkdir()
    source.rename(tmp_path / "moved" / source.name)
    before = files(folder)
    (folder / "part-00001-of-00004.tfrecord").unlink()
    predict(folder, tmp_path / "moved" / source.name, **settings | {"saved_model": str(tmp_path / "moved" / "stub")})
    after = files(folder)
    assert {name: before[name] for name in before if "bad-00001" not in name} == {
        name: after[name] for name in after if "bad-00001" not in name
    }


def test_a_part_that_lost_rows_is_noticed(monkeypatch, straight):
    in_turn(monkeypatch)
    folder, source, settings = straight
    part = folder / "part-00002-of-00004.tfrecord"
    content = part.read_bytes()
    save(part, [b"row"] * 3)
    with pytest.raises(InputError, match=r"part-00002.*: received 3 rows beside 1 bad records, expected 10 together"):
        predict(folder, source, **settings)
    part.write_bytes(content[:-3])
    with pytest.raises(InputError, match=r"part-00002.*: received a damaged part"):
        predict(folder, source, **settings)
    part.unlink()
    predict(folder, source, **settings)
    assert part.read_bytes() == content


def test_a_pipeline_that_ended_without_all_parts_is_noticed(monkeypatch, straight, tmp_path):
    _, source, settings = straight
    monkeypatch.setattr(pipeline, "run", lambda job, left, *_: work.worker(job).run(left[0]))
    with pytest.raises(InputError, match="^--output: received 1 of 4 parts in .* expected all: the same command goes"):
        predict(tmp_path / "out", source, **settings)
    assert not (tmp_path / "out" / "summary.json").exists()


def test_a_folder_of_something_else_is_refused(straight, tmp_path):
    _, source, settings = straight
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letters.txt").touch()
    with pytest.raises(InputError, match=r"^--output: .*'letters\.txt' and no manifest\.json, expected a new or empty"):
        predict(tmp_path / "out", source, **settings)
    assert os.listdir(tmp_path / "out") == ["letters.txt"]


def test_filesystems_of_tensorflow(monkeypatch, straight, tmp_path):
    in_turn(monkeypatch)
    folder, source, settings = straight
    tf.io.gfile.copy(str(source), "ram://bulk/x.tfrecord", overwrite=True)
    predict("ram://bulk/out", "ram://bulk/x.tfrecord", **settings)
    for name, content in files(folder).items():
        with tf.io.gfile.GFile(f"ram://bulk/out/{name}", "rb") as file:
            assert file.read() == content.replace(str(source).encode(), b"ram://bulk/x.tfrecord")
    predict("ram://bulk/out", "ram://bulk/x.tfrecord", **settings)
    assert sorted(tf.io.gfile.listdir("ram://bulk/out")) == sorted(os.listdir(folder))


def test_images_of_filesystems_of_tensorflow(monkeypatch, tmp_path):
    in_turn(monkeypatch)
    model = stub_model(lambda name, given: {"mean": given["image"][:, 0, 0]}, item_shape=(1, 1, 1))
    settings = load(monkeypatch, tmp_path, model)
    for name, level in (("b.png", 51), ("a.png", 255)):
        with tf.io.gfile.GFile(f"ram://pictures/{name}", "wb") as file:
            file.write(png(np.full((1, 1, 1), level, np.uint8)))
    predict(tmp_path / "out", "ram://pictures", **settings)
    assert rows(tmp_path / "out")["mean"][:, 0].tolist() == pytest.approx([1.0, 0.2])
    assert rows(tmp_path / "out")["name"][:, 0].tolist() == ["a.png", "b.png"]
