"""`tools/predict.py`: the commands run in this process, which has TensorFlow already, on the run of a small model."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.tools.inside import run_inside
from tfvae.errors import InputError

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = str(ROOT / "tools" / "predict.py")


@pytest.fixture
def call(small_run, tmp_path, monkeypatch):
    """Runs the script with flags, in which {run} is the run and {export} its export: exit code, output, errors."""

    def run(flags):
        given = flags.format(run=small_run / "run", export=small_run / "export" / "1", path=tmp_path).split()
        done = run_inside([SCRIPT, *given], tmp_path, monkeypatch)
        return done.returncode, done.stdout, done.stderr

    def checked(flags):
        code, out, err = run(flags)
        assert code == 0, err
        return out.splitlines()

    run.checked = checked
    return run


def arrays(path):
    with np.load(path) as found:
        return {name: found[name] for name in found.files}


def test_codes_with_defaults_alone(call, tmp_path):
    assert call.checked("--workdir={run}") == ["encode.npz"] and os.listdir(tmp_path) == ["encode.npz"]
    found = arrays(tmp_path / "encode.npz")
    assert list(found) == ["index", "label", "mean", "stddev"]
    assert found["mean"].shape == (297, 2) and set(found["label"]) == set(range(10))


@pytest.mark.parametrize(
    "flags", ["--signature=encode_sample --seed=4", "--signature=score --score=typicality --seed=4"]
)
def test_a_run_and_its_export_give_the_same(call, tmp_path, flags):
    call.checked(f"--workdir={{run}} {flags} --output=a.npz")
    call.checked(f"--saved_model={{export}} {flags} --output=b.npz")
    here, there = arrays(tmp_path / "a.npz"), arrays(tmp_path / "b.npz")
    assert here.keys() == there.keys() and len(here["index"]) == 297
    if "score" in here:  # rounding may turn about what is nearly equal
        here, there = ({name: v[np.argsort(one["index"])] for name, v in one.items()} for one in (here, there))
    for name, values in here.items():
        np.testing.assert_allclose(values, there[name], rtol=2e-4, atol=2e-4, err_msg=name)
    if "z" in here:
        before = (tmp_path / "b.npz").read_bytes()
        call.checked(f"--saved_model={{export}} {flags} --output=b.npz")
        assert (tmp_path / "b.npz").read_bytes() == before
        call.checked(f"--saved_model={{export}} {flags} --seed=5 --output=b.npz")
        assert np.abs(arrays(tmp_path / "b.npz")["z"] - there["z"]).min(axis=0).max() > 1e-6


def test_scores_mark_what_is_not_fit_and_other_signatures_refuse_it(call, monkeypatch):
    def unfit(*_, **__):
        raise InputError("--input: received a number, expected another")

    monkeypatch.setattr("tfvae.inference.inputs._check", unfit)
    call.checked("--saved_model={export} --signature=score --output=odd.npz")
    code, _, err = call("--saved_model={export} --output=codes.npz")
    assert code != 0 and "--input: received a number, expected another" in err


def test_scores_are_ranked_and_drawn_and_compared_with_a_background_model(call, tmp_path):
    lines = call.checked("--saved_model={export} --signature=score --score=likelihood_ratio --output=odd.csv "
                         "--background_saved_model={export}")  # fmt: skip
    assert lines[-2:] == ["odd.json", "odd.csv"] and "odd.png" in lines and "score: likelihood_ratio" in lines
    head, *rows = (line.split(",") for line in (tmp_path / "odd.csv").read_text().splitlines())
    assert head[:3] == ["index", "label", "score"] and sorted(int(row[0]) for row in rows) == list(range(297))
    np.testing.assert_allclose([float(row[2]) for row in rows], 0.0, atol=1e-3)  # it is the same model
    figures = json.loads((tmp_path / "odd.json").read_text())
    assert figures["num_examples"] == 297 and figures["num_invalid"] == 0
    assert figures["background"].endswith("export/1")
    log_p = [float(row[head.index("log_likelihood")]) for row in rows]
    assert figures["log_likelihood_mean"] == pytest.approx(np.mean(log_p), rel=1e-5)
    # Three rows of either kind, and one between them.
    with Image.open(tmp_path / "odd.png") as image:
        assert abs(image.size[1] / image.size[0] - 7 / 10) < 0.05


def test_typicality_compares_with_the_validation_split_or_what_is_given(call, tmp_path):
    np.savez(tmp_path / "black.npz", images=np.zeros((5, 8, 8, 1), np.float32))
    said = []
    for flags in ("--split=validation", "--reference=black.npz"):
        call.checked(f"--saved_model={{export}} --signature=score --score=typicality --output=odd.npz {flags}")
        said.append(json.loads((tmp_path / "odd.json").read_text()))
    validation, black = said
    assert validation["reference_log_likelihood_mean"] == pytest.approx(validation["log_likelihood_mean"], rel=1e-5)
    means = black["reference_log_likelihood_mean"], validation["log_likelihood_mean"], black["log_likelihood_mean"]
    assert min(abs(means[0] - means[1]), abs(means[0] - means[2])) > 0.1


def test_a_map_and_the_projector(call, tmp_path):
    lines = call.checked("--workdir={run} --map=pca --projector=logs --max_examples=100")
    assert lines[-1] == "map.png" and "logs/projector_config.pbtxt" in lines
    assert sorted(os.listdir(tmp_path)) == ["logs", "map.png"]
    with Image.open(tmp_path / "map.png") as image:
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 30  # colours of labels
    assert len((tmp_path / "logs" / "codes.tsv").read_text().splitlines()) == 100
    call.checked("--workdir={run} --projector=logs --max_examples=50 --output=codes.csv")
    assert len((tmp_path / "logs" / "codes.tsv").read_text().splitlines()) == 50
    assert len((tmp_path / "codes.csv").read_text().splitlines()) == 298


def test_a_folder_gives_names(call, tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        Image.fromarray(np.full((8, 8), 80 * number, np.uint8)).save(tmp_path / "in" / f"{number}.png")
    call.checked("--workdir={run} --input=in --output=codes.csv")
    rows = [line.split(",") for line in (tmp_path / "codes.csv").read_text().splitlines()]
    assert [row[:2] for row in rows] == [["index", "name"], ["0", "0.png"], ["1", "1.png"], ["2", "2.png"]]


@pytest.mark.parametrize(("flags", "says"), [
    ("", "--workdir: received none of --workdir and --saved_model"),
    ("--workdir={run} --saved_model={export}", "--workdir: received both"),
    ("--workdir={run} --signature=encod", "--signature: received 'encod', expected one of: serving_default, encode"),
    ("--workdir={run} --signature=decode", "--signature: received 'decode'"),
    ("--workdir={run} --output=codes.txt", "--output: received 'codes.txt', expected a file that ends in one of: .npz"),
    ("--workdir={run} --signature=score --output=a.png", "--output: received 'a.png'"),
    ("--workdir={run} --score=elbo", "--score: received 'elbo' with --signature=encode, expected score"),
    ("--workdir={run} --signature=score --score=odd", "--score: received 'odd', expected one of: log_likelihood, elbo"),
    ("--workdir={run} --signature=score --map=pca", "--map: received 'pca' with --signature=score, expected encode"),
    ("--workdir={run} --signature=score --projector=x", "--projector: received 'x' with --signature=score"),
    ("--workdir={run} --map=pcaa", "--map: received 'pcaa', expected one of: pca, tsne, umap"),
    ("--workdir={run} --map=pca --output=map.csv", "--output: received 'map.csv'"),
    ("--workdir={run} --label=3", "--label: received 3, expected none"),
    ("--workdir={run} --background_workdir={run}", "--signature: received 'encode' and a background model"),
    ("--workdir={run} --signature=score --background_workdir={run}", "--score: received 'log_likelihood' and a backg"),
    ("--workdir={run} --signature=score --background_workdir=none", "--background_workdir: none holds no config.json"),
    ("--workdir={run} --signature=score --score=typicality --reference=none.npz", "--reference: data.source"),
    ("--workdir={run} --input=none.npz", "--input: data.source"),
    ("--workdir={run} --max_examples=0", "max_examples"),
    ("--saved_model={path}", "--saved_model: received"),
])  # fmt: skip
def test_bad_input_gives_one_line_and_leaves_nothing(call, tmp_path, flags, says):
    code, out, err = call(flags)
    [line] = [line for line in err.strip().splitlines() if "batches" not in line and "examples" not in line[:20]]
    assert code == 1 and out == "" and not os.listdir(tmp_path)
    assert line.startswith("error: ") and says in line


def test_help_answers_without_tensorflow_and_matplotlib():
    program = "import sys, runpy; sys.argv = ['predict.py', '--help']; sys.modules['tensorflow'] = None\n"
    program += f"sys.modules['matplotlib'] = None; runpy.run_path({SCRIPT!r}, run_name='__main__')"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0 and result.stderr == "", result.stderr
    assert all(flag in result.stdout for flag in ("--signature", "--score", "--map", "--projector", "--saved_model"))
