"""`tools/predict.py --shards` of models that are functions: numbers, labels, levels of bytes, and columns."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.inference.stubs import stub_model
from tfvae.errors import InputError

pytest.importorskip("apache_beam")

from tests.inference.bulk import bad_ones, example, in_turn, load, one_process, predict, raw, rows, save
from tfvae.inference.bulk import run as bulk_run

# Numbers ---------------------------------------------------------------------------


@pytest.fixture
def vector(monkeypatch, tmp_path):
    """A model of 4 numbers in [0, 1], whose code they are, and which finds no number for what begins with 0.75."""

    def run(name, given):
        x = given["vector"]
        return {"mean": x} if name == "encode" else {"elbo": x.sum(axis=-1), "valid": x[:, 0] != 0.75}

    return load(monkeypatch, tmp_path, stub_model(run, item_shape=(4,)))


def test_numbers_that_are_not_fit(monkeypatch, vector, tmp_path):
    in_turn(monkeypatch)
    x = np.random.default_rng(0).random((12, 4), np.float32)
    x[2, 1], x[4, 0], x[5, 3], x[8, 2], x[9, 0] = np.nan, np.inf, 1.5, -0.1, 0.75
    data = [example(vector=row) for row in x]
    data[6], data[11] = example(vector=x[6, :3]), example(vector=[1, 0, 0, 1])
    save(tmp_path / "x.tfrecord", data)
    figures = predict(tmp_path / "out", tmp_path / "x.tfrecord", signature="score", **vector)
    assert [(line["place"], line["reason"]) for line in bad_ones(tmp_path / "out")] == [
        *((place, "out_of_range") for place in (2, 4, 5)), (6, "wrong_size"), (8, "out_of_range"), (9, "not_valid"),
        (11, "wrong_type"),
    ]  # fmt: skip
    found = rows(tmp_path / "out")
    assert found["index"][:, 0].tolist() == [0, 1, 3, 7, 10] and figures["written"] == 5
    np.testing.assert_array_equal(found["elbo"][:, 0], x[[0, 1, 3, 7, 10]].sum(axis=-1))
    assert "nan at [1]" in bad_ones(tmp_path / "out")[0]["detail"]


# Labels ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["images", "numbers"])
def test_a_label_that_no_model_is_given_costs_no_record(monkeypatch, tmp_path, kind):
    in_turn(monkeypatch)
    model = stub_model(lambda name, given: {"mean": next(iter(given.values())).reshape(-1, 1)}, item_shape=(
        (1, 1, 1) if kind == "images" else (1,)
    ))  # fmt: skip
    settings = load(monkeypatch, tmp_path, model)

    def record(level, **label):
        return example(vector=[level / 255], **label) if kind == "numbers" else raw(np.full((1, 1, 1), level), **label)

    labels = [{"label": 7}, {}, {"label": [1, 2]}, {"label": b"seven"}, {"label": -4}, {"label": 9}]
    save(tmp_path / "x.tfrecord", [record(np.uint8(50 * i), **label) for i, label in enumerate(labels)] + [b"no"])
    figures = predict(tmp_path / "out", tmp_path / "x.tfrecord", **settings)
    assert figures["reasons"] == {"not_an_example": 1}
    found = rows(tmp_path / "out")
    assert found["label"][:, 0].tolist() == [7, -1, -1, -1, -4, 9]
    assert found["mean"][:, 0].tolist() == pytest.approx([50 * i / 255 for i in range(6)])


def test_labels_of_a_conditional_model(monkeypatch, tmp_path):
    in_turn(monkeypatch)
    found = stub_model(
        lambda name, given: {"mean": given["image"][:, 0, 0] + given["label"][:, None]}, item_shape=(1, 1, 1),
        num_labels=3,
    )  # fmt: skip
    settings = load(monkeypatch, tmp_path, found)
    labels = [{"label": i} for i in (2, 0, 3, 1)] + [{}, {"label": -1}]
    save(tmp_path / "x.tfrecord", [raw(np.zeros((1, 1, 1), np.uint8), **label) for label in labels])
    predict(tmp_path / "out", tmp_path / "x.tfrecord", **settings)
    assert rows(tmp_path / "out")["mean"][:, 0].tolist() == [2, 0, 1]
    assert [(line["reason"], line["detail"]) for line in bad_ones(tmp_path / "out")] == [
        ("unknown_label", "3, expected one of 0 ... 2"),
        ("missing_feature", "'label' among ['channels', 'height', 'image', 'width']"),
        ("unknown_label", "-1, expected one of 0 ... 2"),
    ]
    predict(tmp_path / "given", tmp_path / "x.tfrecord", label=1, **settings)
    given = rows(tmp_path / "given")
    assert given["mean"][:, 0].tolist() == [1] * 6 and given["label"][:, 0].tolist() == [2, 0, 3, 1, -1, -1]
    for name in ("2", "0"):  # subfolders are numbered 0 and 1: by their names they are the model's 0 and 2
        (tmp_path / "in" / name).mkdir(parents=True)
        Image.new("L", (1, 1)).save(tmp_path / "in" / name / "x.png")
    predict(tmp_path / "named", tmp_path / "in", **settings)
    named = rows(tmp_path / "named")
    assert named["mean"][:, 0].tolist() == [0, 2] and named["label"][:, 0].tolist() == [0, 1]
    save(tmp_path / "x.tfrecord", [raw(np.zeros((1, 1, 1), np.uint8))])
    with pytest.raises(InputError, match="^--label: received none, expected one of 0"):
        predict(tmp_path / "none", tmp_path / "x.tfrecord", **settings)
    assert not (tmp_path / "none").exists()


# Levels of bytes ---------------------------------------------------------------------


@pytest.mark.parametrize(("largest", "expected"), [(1, [1, 1, 1]), (255, [1 / 255, 1, 1])])
def test_bytes_of_0_and_1_are_binary_where_no_other_is_among_the_first(monkeypatch, tmp_path, largest, expected):
    in_turn(monkeypatch)
    model = stub_model(lambda name, given: {"mean": given["image"][:, 0, 0]}, item_shape=(1, 1, 1))
    settings = load(monkeypatch, tmp_path, model)
    levels = [0] * 60 + [1] + [largest] * 2
    save(tmp_path / "x.tfrecord", [raw(np.full((1, 1, 1), level, np.uint8)) for level in levels])
    predict(tmp_path / "out", tmp_path / "x.tfrecord", **settings)
    assert rows(tmp_path / "out")["mean"][60:, 0].tolist() == pytest.approx(expected)
    assert rows(tmp_path / "out")["mean"][60:, 0].tolist() == one_process(
        model, tmp_path / "x.tfrecord", tmp_path / "one.npz"
    )["mean"][60:, 0].tolist()  # fmt: skip


@pytest.fixture
def dark(monkeypatch, tmp_path):
    """Records of which the first three, and three are looked at, hold 0 and 1 alone, and settings."""
    in_turn(monkeypatch)
    model = stub_model(lambda name, given: {"mean": given["image"][:, 0, 0]}, item_shape=(1, 1, 1))
    monkeypatch.setattr(bulk_run, "_LOOKED_AT", 3)
    levels = (0, 1, 1, 255, 1)
    save(tmp_path / "x.tfrecord", [raw(np.full((1, 1, 1), level, np.uint8)) for level in levels])
    (tmp_path / "in").mkdir()
    for number, level in enumerate(levels):
        Image.new("L", (1, 1), level).save(tmp_path / "in" / f"{number}.png")
    return model, load(monkeypatch, tmp_path, model)


@pytest.mark.parametrize("source", ["x.tfrecord", "in"])
def test_grey_behind_binary_records_ends_the_run_and_a_flag_says_what_is_meant(dark, tmp_path, source):
    model, settings = dark
    with pytest.raises(InputError, match=r"^--input: .*received the byte 255 in record 3 .*, expected 0 or 1.*=256"):
        predict(tmp_path / "out", tmp_path / source, **settings)
    assert not (tmp_path / "out" / "summary.json").exists()
    with pytest.raises(InputError, match=r"^--levels: received 256, expected 2, as for the parts that are in"):
        predict(tmp_path / "out", tmp_path / source, levels=256, **settings)
    predict(tmp_path / "grey", tmp_path / source, levels=256, **settings)
    found = rows(tmp_path / "grey")["mean"][:, 0].tolist()
    assert found == np.array([0, 1 / 255, 1 / 255, 1, 1 / 255], np.float32).tolist()
    # Without shards the look is at 1,024 records, or at all images.
    assert found == one_process(model, tmp_path / source, tmp_path / "one.npz")["mean"][:, 0].tolist()


def test_grey_in_what_a_flag_says_is_binary_is_set_aside_with_a_warning(dark, tmp_path, capsys):
    _, settings = dark
    predict(tmp_path / "out", tmp_path / "x.tfrecord", levels=2, **settings)
    assert rows(tmp_path / "out")["mean"][:, 0].tolist() == [0, 1, 1, 1]
    [line] = bad_ones(tmp_path / "out")
    assert (line["place"], line["reason"], line["detail"]) == (
        3, "out_of_range", "255 at [0, 0, 0], expected 0 or 1",
    )  # fmt: skip
    assert f"warning: 1 of 5 records are bad: see {tmp_path / 'out' / 'bad-*'}\n" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["levels"] == 2


def test_floats_have_no_levels(vector, tmp_path):
    save(tmp_path / "x.tfrecord", [example(vector=np.zeros(4, np.float32))])
    with pytest.raises(InputError, match=r"^--levels: received 2, expected none: .* holds floats"):
        predict(tmp_path / "out", tmp_path / "x.tfrecord", levels=2, **vector)


# Columns ---------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["npz", "csv", "tfrecord"])
def test_every_format_and_more_shards_than_records(monkeypatch, vector, tmp_path, suffix):
    in_turn(monkeypatch)
    x = np.random.default_rng(0).random((5, 4), np.float32)
    x[3] = np.nan
    save(tmp_path / "x.tfrecord", [example(vector=row) for row in x])
    figures = predict(tmp_path / "out", tmp_path / "x.tfrecord", shards=9, format=suffix, **vector)
    assert len(list((tmp_path / "out").glob(f"part-*-of-00009.{suffix}"))) == 9
    assert figures == {"read": 5, "written": 4, "bad": 1, "reasons": {"out_of_range": 1}}
    found = rows(tmp_path / "out")
    assert found["index"][:, 0].tolist() == [0, 1, 2, 4]
    np.testing.assert_array_equal(found["mean"], x[[0, 1, 2, 4]])


def test_columns_have_one_order_whatever_that_of_the_outputs_is(monkeypatch, tmp_path):
    in_turn(monkeypatch)
    calls = []

    def run(name, given):
        calls.append(name)
        outputs = {"stddev": given["vector"][:, :1], "mean": given["vector"]}
        return outputs if len(calls) % 2 else dict(reversed(outputs.items()))

    settings = load(monkeypatch, tmp_path, stub_model(run, item_shape=(4,)))
    save(tmp_path / "x.tfrecord", [example(vector=np.full(4, 0.5))] * 4)
    predict(tmp_path / "out", tmp_path / "x.tfrecord", format="csv", **settings)
    heads = {path.read_text().splitlines()[0] for path in (tmp_path / "out").glob("part-*")}
    assert heads == {"index,mean_0,mean_1,mean_2,mean_3,stddev_0"} and len(calls) == 5
