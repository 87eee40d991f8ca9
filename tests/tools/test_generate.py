"""`tools/generate.py` as a user calls it."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.tools.inside import run_inside

ROOT = pathlib.Path(__file__).parents[2]
COMMANDS = {
    "prior": "--workdir={run}",
    "prior again": "--saved_model={export}/1 --output={place}/again.npz --mode=prior --count=7",
    "film": "--saved_model={export}/1 --mode=interpolation --output={place}/film.gif",
    "attribute": "--workdir={run} --mode=attribute --attribute=3",
    "no model": "--mode=prior",
    "bad mode": "--workdir={run} --mode=paint",
    "bad output": "--workdir={run} --output={place}/a.bmp",
    "bad dimensions": "--workdir={run} --mode=traversal --dimensions=a,b",
}


@pytest.fixture(scope="module")
def called(tmp_path_factory, small_run):
    """The folder, and the results of all commands: the first in a process of its own, the others in this one."""
    place = tmp_path_factory.mktemp("generate")
    results = {}
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, flags in COMMANDS.items():
            given = flags.format(run=small_run / "run", export=small_run / "export", place=place).split()
            command = [str(ROOT / "tools" / "generate.py"), *given]
            if results:
                results[name] = run_inside(command, place, monkeypatch)
            else:
                results[name] = subprocess.run(
                    [sys.executable, *command], capture_output=True, text=True, timeout=120, cwd=place, check=False
                )
    return place, results


@pytest.mark.parametrize("name", ["prior", "prior again", "film", "attribute"])
def test_the_output_is_named_and_there(called, name):
    place, results = called
    assert results[name].returncode == 0, results[name].stderr
    assert (place / results[name].stdout.split()[-1]).is_file()


def test_the_outputs_are_what_they_are_called(called):
    place, _ = called
    assert Image.open(place / "prior.png").format == "PNG" and Image.open(place / "film.gif").n_frames == 20
    with np.load(place / "again.npz") as arrays:
        assert arrays["images"].shape == (7, 8, 8, 1) and arrays["z"].shape == (7, 2)
    figures = json.loads((place / "attribute.json").read_text())
    assert 0 <= figures["attribute_before"] <= figures["attribute_after"] <= 1
    assert not list(place.glob(".tmp*"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no model", "error: --workdir: received none of --workdir and --saved_model, expected one of them"),
        ("bad mode", "error: --mode: received 'paint', expected one of: prior, manifold"),
        ("bad output", "error: --output: received '"),
        ("bad dimensions", "error: --dimensions: received 'a,b', expected whole numbers with commas between them"),
    ],
)
def test_one_line_for_bad_input(called, name, message):
    result = called[1][name]
    assert result.returncode == 1 and result.stderr.startswith(message) and result.stderr.count("\n") == 1
