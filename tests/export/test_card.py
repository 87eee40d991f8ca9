import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import digits_config, small_vae
from tests.tools.inside import run_inside
from tfvae import likelihoods, networks, posteriors, priors
from tfvae.config import Config, DataConfig, ModelConfig, to_dict
from tfvae.export import export_saved_model, module
from tfvae.export.card import check
from tfvae.objectives import SGVB_B
from tfvae.training import WorkDir, outputs

ITEM_SHAPE = (6, 5, 1)
ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def facts():
    config = Config(
        name="small",
        data=DataConfig(source="npz:/home/someone/digits.npz", binarization="dynamic", data_dir="/mnt/sets"),
        model=ModelConfig(
            latent_size=3,
            posterior=posteriors.Normal(),
            prior=priors.StandardNormal(),
            likelihood=likelihoods.Bernoulli(),
            network=networks.MLP(hidden=(8,)),
        ),
        objective=SGVB_B(),
    )
    evaluation = {"split": "test", "elbo": -12.345678, "bits_per_dim": None, "num_samples": 100, "units": "nats"}
    training = {"steps": np.int64(1234)}
    return {"config": to_dict(config), "evaluation": evaluation, "training": training, "licence": "MIT"}


@pytest.fixture(scope="module")
def folder(facts, tmp_path_factory):
    parent = tmp_path_factory.mktemp("cards")
    export_saved_model(small_vae(ITEM_SHAPE), str(parent / "digits"), item_shape=ITEM_SHAPE, card=facts, version=4)
    return parent / "digits" / "4"


def test_json(folder):
    card = json.loads((folder / "model_card.json").read_text())
    assert (card["name"], card["version"], card["folder"], card["licence"]) == ("small", 4, "digits/4", "MIT")
    assert (
        card["item"] == {"name": "image", "shape": [6, 5, 1], "range": [0.0, 1.0], "step": 1.0}
        and card["latent_size"] == 3
    )
    assert card["parts"]["likelihood"]["type"] == "bernoulli" and card["num_samples"] == 64
    assert card["data"] == {"source": "npz:digits.npz", "binarization": "dynamic"}
    assert card["training"]["steps"] == 1234 and card["training"]["num_epochs"] == 50 and card["training"]["seed"] == 0
    assert card["evaluation"]["elbo"] == -12.345678
    score = card["signatures"]["score"]
    assert score["inputs"] == {
        "image": {"dtype": "float32", "shape": [None, 6, 5, 1]},
        "seed": {"dtype": "int64", "shape": [None]},
    }
    assert score["outputs"]["valid"] == {"dtype": "bool", "shape": [None]}
    assert score["outputs"]["elbo"] == {"dtype": "float32", "shape": [None], "invalid": -1e30}
    assert any("drawn to 0 or 1" in limit for limit in card["limits"])


def test_markdown(folder):
    text = (folder / "model_card.md").read_text()
    for line in (
        "# small, version 4",
        "| elbo | -12.3457 | nats |",
        "| bits_per_dim | not defined | bits per dimension |",
        "| num_samples | 100 |  |",
        "| source | npz:digits.npz |",
        "| steps | 1234 |",
        "| likelihood | bernoulli |  |",
    ):
        assert line in text.splitlines()
    assert "| `decode` | " in text and "`z` float32 [N, 3]" in text and "`logits` float32 [N, 6, 5, 1]" in text
    assert "Licence: MIT." in text and "grey is drawn" in text
    assert "`noise` float32 [N, 64, 3]" in text and "N, the number of rows, is free.\n" in text
    marks = "`anomaly_score`, `stddev` of `complete`, `outputs` of `regress`, `distortion`, `rate`: 1e+30; "
    assert marks + "`completion`: 0; `elbo`, `log_likelihood`: -1e+30. " in text


def test_no_path_of_this_machine(folder):
    for file in ("model_card.json", "model_card.md"):
        text = (folder / file).read_text()
        assert not re.search(r"/home|/mnt|/tmp|" + re.escape(str(folder.parents[1])), text)


def test_the_calls_work(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder.parents[1])
    text = (folder / "model_card.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    assert "tfvae" not in code
    exec(code, {})
    assert "shape=(1,)" in capsys.readouterr().out
    command = shlex.split(re.search(r"saved_model_cli (run .*)", text)[1])
    program = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", *command]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert "Result for output key image:" in done.stdout, done.stderr
    body = json.loads(re.search(r"curl -d '(.*?)'", text)[1])
    assert body == {"signature_name": "generate", "inputs": {"seed": [1, 2]}}


def test_a_card_needs_no_facts(tmp_path):
    vae = small_vae((6,), likelihood=likelihoods.GaussianIdentity())
    path = export_saved_model(vae, str(tmp_path / "bare"), item_shape=(6,))
    with open(os.path.join(path, "model_card.md"), encoding="utf-8") as file:
        text = file.read()
    assert text.startswith("# bare, version 1\n") and "grey" not in text
    assert "## Signatures" in text and "## Measured figures" not in text and "## Parts" not in text
    assert "Licence: not stated." in text


def test_what_it_says_of_a_row_that_is_not_valid_is_so(folder):
    """Each output of each signature, in a row with a number that is no item's."""
    card = json.loads((folder / "model_card.json").read_text())
    loaded, marked = tf.saved_model.load(str(folder)), 0
    item, noise = np.full([2, *ITEM_SHAPE], np.nan, np.float32), np.zeros([2, 64, 3], np.float32)
    item[0] = 0.0
    examples = [
        tf.train.Example(
            features=tf.train.Features(
                feature={"image": tf.train.Feature(float_list=tf.train.FloatList(value=one.ravel()))}
            )
        ).SerializeToString()
        for one in item
    ]
    given = {
        "image": item, "seed": np.array([1, 2]), "mask": np.ones_like(item, bool), "noise": noise, "inputs": examples,
        "image_bytes": [tf.io.encode_png(np.zeros(ITEM_SHAPE, np.uint8)).numpy(), b""],
    }  # fmt: skip
    for name, signature in card["signatures"].items():
        marks = {key: tensor["invalid"] for key, tensor in signature["outputs"].items() if "invalid" in tensor}
        if name != "regress":
            assert marks.keys() == (
                signature["outputs"].keys() - {"valid"} if "valid" in signature["outputs"] else set()
            )
        if not marks:
            continue
        inputs = {key: tf.constant(given[key], tensor["dtype"]) for key, tensor in signature["inputs"].items()}
        outputs = loaded.signatures[name](**inputs)
        for key, mark in marks.items():
            values = outputs[key].numpy()
            assert np.all(values[1] == np.float32(mark)) and (key == "completion" or not np.any(values[0] == values[1]))
            marked += 1
    assert marked == 2 * 2 + 2 * 4 + 2 + 1


def test_a_conditional_card_says_which_signatures_take_labels(tmp_path, monkeypatch):
    few = ("serving_default", "decode", "generate", "prior", "regress", "sample", "score")
    monkeypatch.setattr(module, "SIGNATURES", {name: module.SIGNATURES[name] for name in few})
    path = export_saved_model(
        small_vae((6,), num_labels=3), str(tmp_path / "labelled"), item_shape=(6,), batching=False
    )
    card = json.loads((pathlib.Path(path) / "model_card.json").read_text())
    [limit] = [one for one in card["limits"] if one.startswith("The model is conditional.")]
    signatures = card["signatures"]
    assert signatures.keys() == set(few)
    shapes = {name: one["inputs"].get("label", {}).get("shape") for name, one in signatures.items()}
    assert {name for name, shape in shapes.items() if shape == []} == {"sample"}
    assert {name for name, shape in shapes.items() if shape is None} == {"regress"}
    assert (
        "one of 0 ... 2, `sample` one number for all items, and `regress` an integer `label` in each example" in limit
    )
    unmarked = {name for name, one in signatures.items() if "valid" not in one["outputs"]} - {"regress"}
    named = limit.partition(", or `regress`; ")[2].partition(" have no mark")[0]
    assert set(named.replace("`", "").split(", ")) == unmarked
    # What it says of another label.
    loaded = tf.saved_model.load(path)
    z, label = tf.zeros([3, 3]), tf.constant([0, 99, -1], tf.int64)
    mean = loaded.signatures["decode"](z=z, label=label)["mean"].numpy()
    assert (mean[1] == mean[2]).all() and not (mean[0] == mean[1]).all()
    valid = loaded.signatures["score"](vector=tf.zeros([3, 6]), seed=tf.range(3, dtype=tf.int64), label=label)["valid"]
    assert valid.numpy().tolist() == [True, False, False]
    text = (pathlib.Path(path) / "model_card.md").read_text()
    assert '{"signature_name": "sample", "inputs": {"n": 4, "seed": 1, "label": 0}}' in text and "8502" not in text


def test_the_licence_of_the_flag_comes_to_the_card(monkeypatch, tmp_path):
    licences = []
    with monkeypatch.context() as patch:
        patch.setattr(outputs, "write_export", lambda *args, licence, **others: licences.append(licence) or "")
        patch.setattr(WorkDir, "load_model", lambda *args, **others: (None, types.SimpleNamespace(name="small"), 1))
        for flags in ([], ["--licence=MIT"]):
            done = run_inside([str(ROOT / "tools" / "export.py"), "--workdir=run", *flags], tmp_path, monkeypatch)
            assert done.returncode == 0, done.stderr
    monkeypatch.setattr(outputs, "own_label_names", lambda model: [])
    monkeypatch.setattr(outputs, "_record", lambda *args: None)
    monkeypatch.setattr(outputs, "export_saved_model", lambda *args, card, **others: licences.append(card["licence"]))
    monkeypatch.setattr(outputs.os.path, "abspath", str)
    for licence in (None, "BSD-3-Clause"):
        outputs.write_export(WorkDir(str(tmp_path)), small_vae(), digits_config(), "export", step=1, licence=licence)
    assert licences == [None, "MIT", None, "BSD-3-Clause"]


def test_facts_become_json():
    facts = {"evaluation": {"test": {"elbo": np.float32(1.5), "rate": float("nan")}, "list": (1, np.arange(2))}}
    checked = check(facts)["evaluation"]
    assert json.loads(json.dumps(checked, allow_nan=False)) == {
        "test": {"elbo": 1.5, "rate": None},
        "list": [1, [0, 1]],
    }
