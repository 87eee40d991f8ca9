import json
import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import small_vae
from tfvae import likelihoods, networks, posteriors, priors
from tfvae.config import Config, DataConfig, ModelConfig, to_dict
from tfvae.export import export_saved_model
from tfvae.export.card import check
from tfvae.objectives import SGVB_B

ITEM_SHAPE = (6, 5, 1)


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
    return {"config": to_dict(config), "evaluation": evaluation, "training": {"steps": np.int64(1234)}}


@pytest.fixture(scope="module")
def folder(facts, tmp_path_factory):
    parent = tmp_path_factory.mktemp("cards")
    export_saved_model(small_vae(ITEM_SHAPE), str(parent / "digits"), item_shape=ITEM_SHAPE, card=facts, version=4)
    return parent / "digits" / "4"


def test_json(folder):
    card = json.loads((folder / "model_card.json").read_text())
    assert (card["name"], card["version"], card["folder"], card["licence"]) == ("small", 4, "digits/4", "Apache-2.0")
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
    assert "Apache-2.0" in text and "grey is drawn" in text


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


def test_facts_become_json():
    facts = {"evaluation": {"test": {"elbo": np.float32(1.5), "rate": float("nan")}, "list": (1, np.arange(2))}}
    checked = check(facts)["evaluation"]
    assert json.loads(json.dumps(checked, allow_nan=False)) == {
        "test": {"elbo": 1.5, "rate": None},
        "list": [1, [0, 1]],
    }
