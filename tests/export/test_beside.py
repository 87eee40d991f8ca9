"""What lies beside a SavedModel: what it says, and what is written without tensorflow-serving-api."""

import json
import os
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.export.golden import EXPORT
from tests.helpers import small_vae
from tfvae.export import contents, module
from tfvae.export.batching import PARAMETERS, WARMUP


@pytest.fixture(scope="module")
def parts():
    """A model with two signatures: one of rows, and the one that a server cannot merge."""
    with pytest.MonkeyPatch.context() as patch:
        few = {name: module.SIGNATURES[name] for name in ("generate", "sample")}
        patch.setattr(module, "SIGNATURES", few)
        served, functions, left_out = module.trace(small_vae((4, 4, 1)), (4, 4, 1), num_samples=2)
    assert functions.keys() == few.keys() and not left_out
    return served, functions


def written(folder, parts):
    contents.write(str(folder), *parts, model="small", version=3, batched=True, label_names=("zero", "a one"))
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and "variables" not in str(path)
    }


def test_without_tensorflow_serving_api_only_warm_up_is_missing(parts, tmp_path, monkeypatch):
    warm = written(tmp_path / "warm", parts)
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis.prediction_log_pb2", None)
    cold = written(tmp_path / "cold", parts)
    assert warm - cold == {f"assets.extra/{WARMUP}", f"sample/3/assets.extra/{WARMUP}"} and not cold - warm
    assert {PARAMETERS, "saved_model.pb", "sample/3/saved_model.pb", "assets.extra/labels.txt"} < cold
    loaded = tf.saved_model.load(str(tmp_path / "cold" / "sample" / "3"))
    assert loaded.signatures["sample"](n=tf.constant(2, tf.int64), seed=tf.constant(1, tf.int64))["z"].shape == (2, 3)


def test_labels_are_a_line_each(parts, tmp_path):
    written(tmp_path / "export", parts)
    assert (tmp_path / "export" / "assets.extra" / "labels.txt").read_text() == "zero\na one\n"
    labels = (EXPORT / "assets.extra" / "labels.txt").read_text().splitlines()
    card = json.loads((EXPORT / "model_card.json").read_text())
    assert labels == card["label_names"] == [str(digit) for digit in range(10)]


@pytest.mark.parametrize("which", ["written now", "in the repository"])
def test_the_picture_is_of_what_the_model_generates(which, parts, tmp_path):
    folder = EXPORT
    if which == "written now":
        folder = tmp_path / "export"
        written(folder, parts)
    generate = tf.saved_model.load(str(folder))
    items = generate.signatures["generate"](seed=tf.range(64, dtype=tf.int64))["image"].numpy()
    height, width = items.shape[1:3]
    picture = tf.io.decode_png((folder / "assets.extra" / "samples.png").read_bytes()).numpy()
    assert picture.shape == (8 * height, 8 * width, 1)
    for number, item in enumerate(items):
        row, column = divmod(number, 8)
        shown = picture[row * height : (row + 1) * height, column * width : (column + 1) * width]
        np.testing.assert_allclose(shown, 255.0 * item, atol=1.0)  # a level for another machine's last bits
    assert os.path.getsize(folder / "assets.extra" / "samples.png") < 20_000
