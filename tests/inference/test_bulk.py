"""`tools/predict.py --shards`: bad records of every kind, and results that are those of one process."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.helpers import small_vae
from tfvae.export import export_saved_model
from tfvae.inference.model import Model

pytest.importorskip("apache_beam")

from tests.inference.bulk import (
    DIGITS,
    bad_ones,
    check_same,
    example,
    in_turn,
    one_process,
    png,
    predict,
    raw,
    rows,
    save,
)  # fmt: skip

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def model():
    return Model.load(DIGITS)


@pytest.fixture(scope="module")
def grey():
    """310 images of 8 x 8 bytes."""
    return np.random.default_rng(0).integers(0, 256, (310, *SHAPE), dtype=np.uint8)


# Bad records -----------------------------------------------------------------------

# place -> what is there in place of a good record, and why that is bad
BAD = {
    0: (example(image=b"no image", label=1), "undecodable_image"),
    3: (b"\xff\xff\xff no message", "not_an_example"),
    77: (example(label=1), "missing_feature"),
    127: (example(image=0.5, label=1), "wrong_type"),
    128: (example(image=[png(np.zeros(SHAPE, np.uint8))] * 2, label=1), "wrong_size"),
    200: (example(image=png(np.zeros((9, 8, 1), np.uint8)), label=1), "other_shape"),
    249: (example(image=png(np.zeros((8, 8, 3), np.uint8)), label=1), "other_shape"),
    250: (example(image=b"", label=1), "undecodable_image"),
}
DAMAGED = {40: 20, 155: 3}  # place -> the byte of its frame that is another, in its data and in its length
REASONS = {place: why for place, (_, why) in BAD.items()} | dict.fromkeys((*DAMAGED, 309), "damaged_frame")
GOOD = np.setdiff1d(np.arange(310), list(REASONS))


@pytest.fixture(scope="module")
def records(tmp_path_factory, grey):
    """A folder with `good.tfrecord` of 310 records, and `bad`, the same in three files with bad ones among them."""
    place = tmp_path_factory.mktemp("records")
    good = [example(image=png(image), label=int(i % 10)) for i, image in enumerate(grey)]
    save(place / "good.tfrecord", good)
    (place / "bad").mkdir()
    mixed = [BAD[i][0] if i in BAD else data for i, data in enumerate(good)]
    for number, (start, stop) in enumerate(((0, 100), (100, 101), (101, 310))):
        path = place / "bad" / f"{number}.tfrecord"
        offsets = save(path, mixed[start:stop])
        content = bytearray(path.read_bytes())
        for damaged, byte in DAMAGED.items():
            if start <= damaged < stop:
                content[offsets[damaged - start] + byte] ^= 1
        path.write_bytes(content[: offsets[-1] - 5 * (number == 2)])  # the last record of all is not whole
    return place


def test_each_bad_record_is_set_aside_and_each_other_is_as_without_shards(model, records, tmp_path):
    figures = predict(tmp_path / "out", records / "bad", signature="encode_sample", seed=3)
    lines = bad_ones(tmp_path / "out")
    assert {line["place"]: line["reason"] for line in lines} == REASONS and len(lines) == len(REASONS)
    assert figures["read"] == 310 and figures["written"] == 299 and figures["bad"] == 11
    assert figures["reasons"] == {
        "damaged_frame": 3, "missing_feature": 1, "not_an_example": 1, "other_shape": 2, "undecodable_image": 2,
        "wrong_size": 1, "wrong_type": 1,
    }  # fmt: skip
    assert figures["note"].startswith("one damaged_frame is one damaged stretch of a file, which may have been several")
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == figures
    expected = one_process(model, records / "good.tfrecord", tmp_path / "one.tfrecord", name="encode_sample", seed=3)
    check_same(rows(tmp_path / "out"), expected, GOOD)


def test_a_line_says_where_a_bad_record_is(monkeypatch, records, tmp_path):
    in_turn(monkeypatch)
    predict(tmp_path / "out", records / "bad", shards=2)
    found = {line["place"]: line for line in bad_ones(tmp_path / "out")}
    for place, number in ((3, 0), (128, 2), (200, 2)):
        path = records / "bad" / f"{number}.tfrecord"
        offset, data = found[place]["offset"], BAD[place][0]
        assert found[place]["file"] == str(path)
        assert path.read_bytes()[offset + 12 : offset + 12 + len(data)] == data
    details = {place: line["detail"] for place, line in found.items()}
    assert details[77] == "'image' among ['label']" and details[127] == "'image' is a float_list, expected a bytes_list"
    assert details[128] == "'image' has 2 values, expected 1"
    assert details[200].startswith("[9, 8, 1], expected") and details[309].startswith("the file ends inside it")


def test_raw_bytes(monkeypatch, model, grey, tmp_path):
    in_turn(monkeypatch)
    good = [raw(image) for image in grey[:7]]
    save(tmp_path / "good.tfrecord", good)
    bad = {
        1: (raw(grey[0][:, :7]), "other_shape"), 2: (raw(grey[0], height=9), "wrong_size"),
        3: (raw(grey[0], height=-8, width=-8), "wrong_size"), 5: (example(image=grey[0].tobytes()), "missing_feature"),
    }  # fmt: skip
    save(tmp_path / "bad.tfrecord", [bad[i][0] if i in bad else data for i, data in enumerate(good)])
    predict(tmp_path / "out", tmp_path / "bad.tfrecord")
    assert [(line["place"], line["reason"]) for line in bad_ones(tmp_path / "out")] == [
        (place, reason) for place, (_, reason) in bad.items()
    ]
    check_same(
        rows(tmp_path / "out"), one_process(model, tmp_path / "good.tfrecord", tmp_path / "one.tfrecord"), [0, 4, 6]
    )


def test_files_of_a_folder(monkeypatch, model, grey, tmp_path):
    in_turn(monkeypatch)
    for number, image in enumerate(grey[:6]):
        (tmp_path / "in" / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(tmp_path / "in" / f"{number % 2}" / f"{number}.png")
    expected = one_process(model, tmp_path / "in", tmp_path / "one.tfrecord")
    whole = (tmp_path / "in" / "1" / "1.png").read_bytes()
    (tmp_path / "in" / "0" / "2.png").write_bytes(b"no image")
    (tmp_path / "in" / "1" / "1.png").write_bytes(whole[:-30])
    Image.fromarray(np.zeros((3, 8), np.uint8)).save(tmp_path / "in" / "1" / "3.png")
    figures = predict(tmp_path / "out", tmp_path / "in")
    assert [(line["name"], line["place"], line["reason"]) for line in bad_ones(tmp_path / "out")] == [
        ("0/2.png", 1, "undecodable_image"), ("1/1.png", 3, "undecodable_image"), ("1/3.png", 4, "other_shape"),
    ]  # fmt: skip
    assert "0x" not in "".join(line["detail"] for line in bad_ones(tmp_path / "out"))  # no address in memory
    found = rows(tmp_path / "out")
    assert found["name"][:, 0].tolist() == ["0/0.png", "0/4.png", "1/5.png"] and figures["bad"] == 3
    check_same(found, expected, [0, 2, 5])


# Shards ------------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, 7])
def test_results_do_not_depend_on_the_number_of_shards(monkeypatch, model, records, tmp_path, shards):
    in_turn(monkeypatch)
    expected = one_process(model, records / "good.tfrecord", tmp_path / "one.npz")
    predict(tmp_path / "out", records / "bad", shards=shards)
    assert len(list((tmp_path / "out").glob(f"part-*-of-0000{shards}.tfrecord"))) == shards
    check_same(rows(tmp_path / "out"), expected, GOOD)


@pytest.mark.slow
def test_a_hundred_thousand_records_with_a_hundred_bad_ones(tmp_path):
    count, shape = 100_000, (4, 4, 1)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (count, *shape), dtype=np.uint8)
    bad = np.sort(rng.choice(count, 100, replace=False))
    kinds = ("damaged_frame", "missing_feature", "not_an_example", "other_shape", "wrong_size")
    expected = {int(place): kinds[number % 5] for number, place in enumerate(bad)}
    (tmp_path / "in").mkdir()
    for number in range(8):
        data = []
        for place in range(number * count // 8, (number + 1) * count // 8):
            other = {"missing_feature": example(label=1), "not_an_example": b"\xff", "wrong_size": raw(x[0], height=5)}
            other["other_shape"] = raw(np.zeros((4, 5, 1), np.uint8))
            data.append(other.get(expected.get(place, ""), raw(x[place])))
        path = tmp_path / "in" / f"{number}.tfrecord"
        offsets = save(path, data)
        content = bytearray(path.read_bytes())
        for place, reason in expected.items():
            if place // (count // 8) == number and reason == "damaged_frame":
                content[offsets[place % (count // 8)] + 13] ^= 1
        path.write_bytes(content)
    vae = small_vae(shape, latent_size=2)
    saved = export_saved_model(vae, str(tmp_path / "export"), item_shape=shape, num_samples=2)
    figures = predict(tmp_path / "out", tmp_path / "in", saved_model=saved, shards=50)
    assert figures.pop("note") and figures == {
        "read": count, "written": count - 100, "bad": 100, "reasons": dict.fromkeys(sorted(kinds), 20),
    }  # fmt: skip
    assert {line["place"]: line["reason"] for line in bad_ones(tmp_path / "out")} == expected
    found = rows(tmp_path / "out")
    np.testing.assert_array_equal(found["index"][:, 0], np.setdiff1d(np.arange(count), bad))
    np.testing.assert_allclose(
        found["mean"], vae.encode(x[found["index"][:, 0]].astype(np.float32)).mean(), rtol=1e-5, atol=1e-5
    )
