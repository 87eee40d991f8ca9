"""`tools/evaluate.py` and `tools/export.py` on the run of a small model.

The commands run once, each on a copy of the run of its own: the first in a process of its own, the others in this one.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import digits_config
from tests.tools.inside import run_inside
from tfvae import data, schedules
from tfvae.training import WorkDir, train_and_evaluate

ROOT = pathlib.Path(__file__).parents[2]
COMMANDS = {
    "as trained": "evaluate --workdir={run} --measures=none",
    "validation": "evaluate --workdir={run} --split=validation --num_samples=50 --measures=none",
    "validation again": "evaluate --num_samples=50 --split validation --workdir {run} --measures none",
    "last": "evaluate --workdir={run} --checkpoint=last --num_samples=5 --measures=none",
    "annealed": "evaluate --workdir={run} --estimator=ais --num_chains=2 --num_temperatures=3 --output={run}/each.npz",
    "export": "export --workdir={run} --export_dir={export} --checkpoint=last",
}


def call(path, name, monkeypatch):
    place = path / name.replace(" ", "_")
    shutil.copytree(path / "original", place)
    script, *arguments = COMMANDS[name].format(run=place / "run", export=place / "export").split()
    command = [str(ROOT / "tools" / f"{script}.py"), *arguments]
    if name == next(iter(COMMANDS)):
        result = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=120, cwd=place)
    else:
        result = run_inside(command, place, monkeypatch)
    assert result.returncode == 0 and "Traceback" not in result.stderr, result.stderr
    return place, result.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The result of the run, and for each command its folder and output."""
    path = tmp_path_factory.mktemp("scripts")
    # A learning rate that grows so high that the best epoch is not the last.
    schedule = schedules.Linear(start=1.0, end=100.0, num_steps=60)
    config = digits_config(num_epochs=3, learning_rate=0.01, learning_rate_schedule=schedule, pictures_every=0)
    original = path / "original"
    result = train_and_evaluate(config, str(original / "run"), export_dir=str(original / "export"), verbose=False)
    with pytest.MonkeyPatch.context() as monkeypatch:
        return result, {name: call(path, name, monkeypatch) for name in COMMANDS}


def printed(finished, name):
    return json.loads(finished[1][name][1])


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command.startswith("evaluate")])
def test_what_is_printed_is_what_is_written(finished, name):
    place, output = finished[1][name]
    found = json.loads(output)
    written = [f"evaluation/{found['split']}_{found['estimator']}.json"]
    if found["estimator"] == "importance":
        written.append("evaluation.json")
        # A measure of the same split and checkpoint stays there.
        assert ("decomposition" in found) == (name == "as trained")
        found.pop("decomposition", None)
    for path in written:
        inside = json.loads((place / "run" / path).read_text())
        inside.pop("decomposition", None)
        assert inside == found
    assert [name for name in os.listdir(place / "run" / "evaluation") if name.startswith(".")] == []


def test_another_estimator_leaves_evaluation_json_and_writes_each_example(finished):
    place, found = finished[1]["annealed"][0] / "run", printed(finished, "annealed")
    assert json.loads((place / "evaluation.json").read_text()) == finished[0].evaluation
    assert found["settings"]["num_temperatures"] == 3 and found["estimator"] == "ais"
    with np.load(place / "each.npz") as columns:
        np.testing.assert_allclose(columns["log_likelihood"].mean(), found["log_likelihood"])
        assert {len(columns[name]) for name in columns.files} == {297}
    report = (place / "report.html").read_text()
    assert "Annealed importance sampling" in report and f"{found['log_likelihood']:.2f}".lstrip("-") in report


def test_evaluating_again_gives_what_the_run_said(finished):
    assert printed(finished, "as trained") == finished[0].evaluation


def test_another_split_and_number_of_samples(finished):
    found = printed(finished, "validation")
    assert (found["split"], found["num_examples"], found["num_samples"]) == ("validation", 150, 50)
    assert found["elbo"] == -(found["rate"] + found["distortion"]) < found["log_likelihood"]
    assert found["distortion"] != finished[0].evaluation["distortion"]


def test_the_same_command_gives_the_same_bits(finished):
    places = finished[1]
    assert places["validation"][1] == places["validation again"][1]


def test_the_last_checkpoint_is_another(finished):
    found, best = printed(finished, "last"), finished[0]
    assert found["step"] == 3 * 27 > best.step == best.evaluation["step"]
    assert found["elbo"] != best.evaluation["elbo"]


def test_an_export_makes_the_next_version_beside_the_first(finished):
    place, output = finished[1]["export"]
    assert sorted(os.listdir(place / "export")) == ["1", "2"]
    assert os.path.samefile(output.strip(), place / "export" / "2")
    assert output.count("\n") == 1


def test_an_export_of_the_last_checkpoint_holds_its_model(finished):
    place = finished[1]["export"][0]
    vae, config, step = WorkDir(str(place / "run")).load_model(checkpoint="last")
    assert step == 3 * 27 > finished[0].step
    x = data.load(config.data).test.examples(5)
    means = {}
    for version in ("1", "2"):
        encode = tf.saved_model.load(str(place / "export" / version)).signatures["encode"]
        means[version] = encode(image=tf.constant(x))["mean"].numpy()
    np.testing.assert_allclose(means["2"], vae.encode(x).mean(), rtol=1e-4, atol=1e-5)
    assert not np.allclose(means["1"], means["2"], atol=1e-3)
