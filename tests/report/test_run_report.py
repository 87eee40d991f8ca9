"""What a report gathers from a work directory; that of a real run is in `tests/training/test_sweep.py`."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import digits_config, small_vae
from tests.report.common import read, rows
from tfvae import config as config_lib
from tfvae.inference.sheet import png
from tfvae.training import WorkDir, write_report


@pytest.fixture
def place(tmp_path):
    """A work directory with one of each, made by hand."""
    found = WorkDir(str(tmp_path))
    (tmp_path / "pictures").mkdir()
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "config.json").write_text(json.dumps(config_lib.to_dict(digits_config())))
    evaluation = {"split": "test", "num_examples": 3, "elbo": -2.0, "log_likelihood": -1.5, "num_samples": 5, "step": 7}
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation | {"a_measure": {"score": 0.25}}))
    ais = {"estimator": "ais", "split": "test", "log_likelihood": -1.25, "step": 7}
    (tmp_path / "evaluation" / "test_ais.json").write_text(json.dumps(ais))
    (tmp_path / "evaluation" / "notes.json").write_text('{"a": 1}')
    for name in ("samples", "own", "reconstructions"):
        (tmp_path / "pictures" / f"{name}.png").write_bytes(png(np.zeros([2, 2, 1], np.uint8)))
    writer = tf.summary.create_file_writer(str(tmp_path / "logs" / "train"))
    with writer.as_default():
        tf.summary.scalar("elbo", -3.0, step=1)
        tf.summary.scalar("elbo", -2.0, step=7)
    writer.close()
    return found


def facts(root):
    found = root.all("dl", class_="facts")[0]
    return dict(zip([n.text() for n in found.all("dt")], [n.text() for n in found.all("dd")], strict=True))


def test_all_that_lies_there_is_in_the_report(place, tmp_path):
    path = write_report(place, small_vae(), digits_config(seed=3))
    assert path == str(tmp_path / "report.html")
    root = read((tmp_path / "report.html").read_text())
    assert root.all("h1")[0].text() == "small" and "checkpoint of step 7" in root.text()
    assert [row[0] for row in rows(root)][:5] == ["Estimator", "Importance", "samples 5", "AIS", ""]
    assert [c.all("b")[0].text() for c in root.all("figcaption") if c.all("b")] == [
        "Reconstructions.", "Samples.", "Own.",
    ]  # fmt: skip
    assert len(root.all("polyline")) == 1 and ["Score", "0.2500"] in rows(root)
    assert not root.all("ul", class_="warnings")
    told = facts(root)
    assert told["Posterior q(z|x)"] == "normal (scale floor 0.0001)" and told["Prior p(z)"] == "standard_normal"
    assert told["Likelihood p(x|z)"] == "bernoulli" and told["Network"].startswith("mlp (hidden 16, activation ")
    assert told["Objective"] == "sgvb_b (samples 1, KL weight 1, KL schedule constant)"
    assert told["Latent size"] == "2" and told["Data"] == "digits, dynamic binarization" and told["Seed"] == "3"
    assert told["Checkpoint"] == "step 7" and told["KL"] == "in closed form"
    # 30 -> 8 -> 2 x 3 and 3 -> 8 -> 30, with biases
    assert told["Weights"] == str(30 * 8 + 8 + 8 * 6 + 6 + 3 * 8 + 8 + 8 * 30 + 30)


def test_results_of_another_checkpoint_are_marked(place):
    root = read(pathlib.Path(write_report(place, None, digits_config(), step=8)).read_text())
    [notes] = root.all("ul", class_="warnings")
    assert [item.text() for item in notes.all("li")] == [
        "Warning. evaluation.json is of the checkpoint of step 7, not of step 8: evaluate again.",
        "Warning. evaluation/test_ais.json is of the checkpoint of step 7, not of step 8: evaluate again.",
    ]
    assert "Weights" not in facts(root)


def test_without_an_evaluation_the_step_is_that_of_what_there_is(place, tmp_path):
    (tmp_path / "evaluation.json").unlink()
    root = read(pathlib.Path(write_report(place, None, digits_config())).read_text())
    assert facts(root)["Checkpoint"] == "step 7" and not root.all("ul", class_="warnings")


def test_an_empty_work_directory_has_a_report_too(tmp_path):
    config = digits_config()
    config.name = "<script>alert(1)</script>"
    text = pathlib.Path(write_report(WorkDir(str(tmp_path)), None, config)).read_text()
    root = read(text)
    assert root.all("h1")[0].text() == config.name and "<script" not in text
    assert "Not evaluated yet." in root.text() and facts(root)["Checkpoint"] == "none"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_report_is_replaced_whole(place, tmp_path, monkeypatch):
    before = pathlib.Path(write_report(place, None, digits_config())).read_text()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError, match="no"):
        write_report(place, None, digits_config(seed=9))
    assert (tmp_path / "report.html").read_text() == before
    assert not list(tmp_path.glob(".tmp-*"))
