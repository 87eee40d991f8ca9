"""Bad input to the scripts: one clear line, exit code 1, no traceback, nothing half-written.

Some scripts are started two at a time, once, and each test looks at its own. All others run in this process, which has
TensorFlow already.
"""

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.helpers import digits_config
from tests.tools.inside import run_inside
from tfvae.training import train_and_evaluate

ROOT = pathlib.Path(__file__).parents[2]


@dataclasses.dataclass
class Case:
    """A command line and what its message must hold; `{path}` is a folder of bad data, `{configs}` that of configs."""

    flags: str
    says: tuple[str, ...]
    script: str = "train"
    environment: dict = dataclasses.field(default_factory=dict)
    timeout: float = 60.0


CASES = {
    "no such config": Case("--config={path}/none.py", ("--config", "none.py", "expected a Python file")),
    "config without get_config": Case("--config={path}/empty.py", ("--config", "empty.py", "get_config")),
    "config with a syntax error": Case("--config={path}/broken.py", ("--config", "broken.py", "SyntaxError", "line 1")),
    "misspelled field": Case("--config.model.latent_sise=3", ("config.model.latent_sise", "latent_size")),
    "misspelled flag": Case("--workdirr=x", ("workdirr",)),
    "wrong type": Case("--config.model.latent_size=many", ("config.model.latent_size", "many")),
    "a component is no field": Case("--config.model.posterior=full", ("config.model.posterior",)),
    "latent_size 0": Case("--config.model.latent_size=0", ("model.latent_size", "received 0", "at least 1")),
    "negative rate": Case("--config.training.learning_rate=-1", ("training.learning_rate", "-1", "above 0")),
    "unknown activation": Case("--config.model.network.activation=foo", ("model.network.activation", "'foo'")),
    "unknown source": Case("--config.data.source=web:mnist", ("data.source", "web", "tfds")),
    "unknown tfds set": Case("--config.data.source=tfds:mnits", ("data.source", "mnits", "mnist")),
    "unknown split of the data": Case(
        "--config.data.source=npz:{path}/good.npz --config.data.train_split=trian", ("data.train_split", "trian")
    ),
    "not prepared while offline": Case(
        "--config.data.source=tfds:mnist --config.data.data_dir={path}/tfds", ("mnist", "data_dir"),
        environment=dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9"),
    ),
    "not prepared and not to be downloaded": Case(
        "--config.data.source=tfds:mnist --config.data.data_dir={path}/tfds --config.data.download=false",
        ("mnist", "data.download"),
    ),
    "empty folder": Case("--config.data.source=images:{path}/void", ("void", ".png")),
    "damaged PNG": Case("--config.data.source=images:{path}/damaged", ("bad.png",)),
    "two sizes": Case("--config.data.source=images:{path}/sizes", ("data.resize", "a.png", "b.png")),
    "npz without images": Case("--config.data.source=npz:{path}/other.npz", ("other.npz", "images", "pixels")),
    "npz with objects": Case("--config.data.source=npz:{path}/objects.npz", ("objects.npz", "object")),
    "npz with NaN": Case("--config.data.source=npz:{path}/nan.npz", ("nan.npz", "NaN")),
    "npz out of range": Case("--config.data.source=npz:{path}/range.npz", ("range.npz", "-1", "7")),
    "no such npz": Case("--config.data.source=npz:{path}/none.npz", ("none.npz",)),
    "grey pixels": Case("--config.data.binarization=none", ("bernoulli", "data.binarization", "'dynamic'")),
    "batch larger than the data": Case(
        "--config.training.batch_size=5000", ("training.batch_size", "5000", "1350")
    ),
    "seed too large": Case("--config.training.seed=5000000000", ("training.seed", "5000000000")),
    "infinite rate": Case("--config.training.learning_rate=inf", ("training.learning_rate", "inf", "finite")),
    "misspelled negation": Case("--noconfig.data.downlod", ("config.data.downlod", "download")),
    "workdir cannot be made": Case("--workdir=/proc/nope/x", ("--workdir", "/proc/nope/x")),
    "export folder cannot be made": Case("--export_dir=/proc/nope/x", ("--export_dir", "/proc/nope/x")),
    "workdir is a file": Case("--workdir={path}/empty.py", ("--workdir", "empty.py")),
    "version exists": Case("--workdir={path}/run --export_dir={path}/export --version=1", ("--version", "1"), "export"),
    "version 0": Case("--workdir={path}/run --export_dir={path}/export --version=0", ("version", "0"), "export"),
    "unknown split": Case("--workdir={path}/run --split=trian", ("--split", "trian", "validation"), "evaluate"),
    "no samples": Case("--workdir={path}/run --num_samples=0", ("num_samples", "0"), "evaluate"),
    "no run": Case("--workdir={path}/void", ("--workdir", "config.json"), "evaluate"),
    "no workdir": Case("", ("workdir",), "export"),
    "unknown checkpoint": Case("--workdir={path}/run --checkpoint=third", ("--checkpoint", "third"), "export"),
    "a word too many": Case("--workdir={path}/run please", ("please",), "export"),
}  # fmt: skip
INSIDE = {
    "no study": Case("", ("--study: received none", "iwae_table"), "reproduce"),
    "unknown study": Case("--study=tables", ("--study: unknown study 'tables'", "iwae_table"), "reproduce"),
    "unknown budget": Case("--study=iwae_table --budget=small", ("--budget: received 'small'", "quick"), "reproduce"),
    "unknown cell": Case(
        "--study=iwae_table --cells=vae_9 --results_dir={path}/void --runs_dir={path}/void",
        ("--cells: received 'vae_9'", "vae_1"), "reproduce",
    ),
    "results where nothing can be written": Case(
        "--study=iwae_table --results_dir=/proc/nope/x --runs_dir={path}/void",
        ("--results_dir", "/proc/nope/x"), "reproduce",
    ),
    "labels of a conditional model": Case(
        "--config={configs}/conditional.py --config.data.source=npz:{path}/good.npz --config.training.batch_size=9",
        ("data.source: received", "good.npz", "no labels"),
    ),
    "fewer labels than are found": Case(
        "--config={configs}/conditional.py --config.data.num_labels=7", ("data.num_labels: received 7", "at least 10")
    ),
    "negative counts": Case(
        "--config={configs}/poisson.py --config.data.source=npz:{path}/negative.npz "
        "--config.data.split_order=sequential",
        ("data.source: received -4", "poisson", "whole numbers of at least 0"),
    ),
    "counts that are not whole": Case(
        "--config={configs}/poisson.py --config.data.source=npz:{path}/fractions.npz "
        "--config.data.split_order=sequential",
        ("data.source: received 2.5", "poisson", "whole numbers of at least 0"),
    ),
    "a negative count in the test split": Case(
        "--config={configs}/poisson.py --config.data.source=npz:{path}/last_negative.npz "
        "--config.data.split_order=sequential",
        ("data.source, test split: received -4", "poisson"),
    ),
    "columns of another table": Case(
        "--config={configs}/table.py --config.data.source=npz:{path}/columns.npz",
        ("model.likelihood.columns: received 7 columns", "[5]"),
    ),
    "prior that does not fit": Case(
        "--config={path}/prior.py", ("model.prior: received symmetric_dirichlet", "normal posterior", "standard_normal")
    ),
    "module that does not exist": Case(
        "--config={path}/imported.py", ("model.network.encoder_function: received 'no_such:f'", "no module 'no_such'")
    ),
    "misspelled part": Case(
        "--config={path}/misspelled.py", ("misspelled.py", "unknown posterior 'Norml', expected one of: ", "FullNormal")
    ),
    "objective that does not fit": Case("--config={path}/free_bits.py", ("error: objective: received ", "free_bits")),
    "no config of data": Case("--config={configs}/iwae.py:foo", ("--config", "received 'foo' after the colon")),
    "nothing after the colon": Case("--config={configs}/iwae.py:", ("--config", "received '' after the colon")),
    "unknown estimator": Case(
        "--workdir={path}/run --estimator=aiss", ("--estimator: unknown estimator 'aiss'", "ais, bdmc, hmc_density"),
        "evaluate",
    ),
    "no chains": Case("--workdir={path}/run --estimator=ais --num_chains=0", ("--num_chains", "0"), "evaluate"),
    "setting of another estimator": Case(
        "--workdir={path}/run --num_temperatures=9", ("--num_temperatures: received 9", "importance", "num_samples"),
        "evaluate",
    ),
    "bad setting": Case(
        "--workdir={path}/run --estimator=ais --start=middle", ("--start: received 'middle'", "prior, posterior"),
        "evaluate",
    ),
    "bad mass": Case(
        "--workdir={path}/run --estimator=hmc_density --mass=1.5", ("--mass: received 1.5", "at most 1"), "evaluate"
    ),
    "unknown measure": Case(
        "--workdir={path}/run --measures=decomposition,fid", ("--measures: received 'fid'", "sample_quality"),
        "evaluate",
    ),
    "measures without evaluation.json": Case(
        "--workdir={path}/run --estimator=ais --measures=all", ("--measures: received 'all'", "--estimator=ais"),
        "evaluate",
    ),
    "output that is no NPZ file": Case(
        "--workdir={path}/run --output={path}/x.csv", ("--output", "x.csv", ".npz"), "evaluate"
    ),
    "output in no folder": Case(
        "--workdir={path}/run --output={path}/nowhere/x.npz", ("--output", "nowhere", "folder that is there"),
        "evaluate",
    ),
    "run without a checkpoint": Case(
        "--workdir={path}/unchecked", ("--workdir: no best checkpoint", "expected a run that was trained"), "evaluate"
    ),
    "likelihood without a density for the data": Case(
        "--workdir={path}/grey --estimator=bdmc", ("data.source: received grey pixels", "bernoulli"), "evaluate"
    ),
    "factors and a conditional model": Case(
        "--config={configs}/conditional.py --config.data.source=shapes",
        ("model.conditional: received True for shapes",)
    ),
    "unknown part of a run": Case(
        "--workdir={path}/unknown", ("model.posterior: unknown posterior 'norml'", "full_normal"), "evaluate"
    ),
}  # fmt: skip
# To start a script takes seconds: those of the others run inside this process too.
STARTED = (
    "no such config", "misspelled flag", "not prepared while offline", "no workdir",
)  # fmt: skip
INSIDE |= {name: case for name, case in CASES.items() if name not in STARTED}
CASES = {name: CASES[name] for name in STARTED}
if "TFDS_DATA_DIR" in os.environ:
    CASES["unknown split of a tfds set"] = Case(
        "--config.data.source=tfds:mnist --config.data.train_split=trian",
        ("data.train_split", "trian", "train, test"),
        environment={"TFDS_DATA_DIR": os.environ["TFDS_DATA_DIR"]},
    )


# A config file with one line more than the digits'.
CONFIG = """
from tfvae import config, likelihoods, networks, objectives, posteriors, priors


def get_config():
    base = config.from_file({digits!r})
    {line}
    return base
"""
LINES = {
    "prior": "base.model.prior = priors.SymmetricDirichlet()",
    "imported": "base.model.network = networks.Imported(encoder_function='no_such:f', decoder_function='no_such:g')",
    "misspelled": "base.model.posterior = posteriors.Norml()",
    "free_bits": "base.model.posterior, base.objective = posteriors.FullNormal(), objectives.FreeBits()",
}


def write_bad_data(path):
    (path / "empty.py").write_text("x = 1\n")
    for name, line in LINES.items():
        text = CONFIG.format(digits=str(ROOT / "configs" / "digits.py"), line=line)
        (path / f"{name}.py").write_text(text)
    counts = np.ones((40, 7), np.float32)
    np.savez(path / "negative.npz", images=np.where(np.arange(40)[:, None] == 3, -4.0, counts))
    np.savez(path / "fractions.npz", images=np.where(np.arange(40)[:, None] == 3, 2.5, counts))
    np.savez(path / "last_negative.npz", images=np.where(np.arange(40)[:, None] == 39, -4.0, counts))
    np.savez(path / "columns.npz", images=counts[:, :5])
    (path / "broken.py").write_text("def get_config(:\n")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 8, 8), dtype=np.uint8)
    np.savez(path / "good.npz", images=pixels)
    np.savez(path / "other.npz", pixels=pixels)
    np.savez(path / "objects.npz", images=np.array([{"a": 1}] * 20, dtype=object))
    np.savez(path / "nan.npz", images=np.where(np.arange(20)[:, None] == 3, np.nan, 0.5).astype(np.float32))
    np.savez(path / "range.npz", images=np.linspace(-1, 7, 40, dtype=np.float32).reshape(20, 2))
    for folder in ("void", "damaged", "sizes", "tfds"):
        (path / folder).mkdir()
    for index in range(4):
        Image.fromarray(pixels[index]).save(path / "damaged" / f"{index}.png")
    content = (path / "damaged" / "0.png").read_bytes()
    (path / "damaged" / "bad.png").write_bytes(content[: len(content) // 2])
    Image.fromarray(pixels[0]).save(path / "sizes" / "a.png")
    Image.fromarray(pixels[0, :5]).save(path / "sizes" / "b.png")
    train_and_evaluate(digits_config(num_epochs=1), str(path / "run"), export_dir=str(path / "export"), verbose=False)
    written = json.loads((path / "run" / "config.json").read_text())
    written["model"]["posterior"]["type"] = "norml"
    (path / "unchecked").mkdir()
    (path / "unchecked" / "config.json").write_text((path / "run" / "config.json").read_text())
    shutil.copytree(path / "run", path / "grey")
    grey = json.loads((path / "run" / "config.json").read_text())
    grey["data"]["binarization"] = "none"
    (path / "grey" / "config.json").write_text(json.dumps(grey))
    (path / "unknown").mkdir()
    (path / "unknown" / "config.json").write_text(json.dumps(written))


def command(path, name):
    case, workdir = (CASES | INSIDE)[name], path / "workdirs" / name.replace(" ", "_")
    flags = case.flags.format(path=path, configs=ROOT / "configs").split()
    if case.script == "train" and "--workdir" not in case.flags:
        flags = [f"--workdir={workdir}", f"--export_dir={workdir}_export", *flags]
    return [str(ROOT / "tools" / f"{case.script}.py"), *flags]


def start(path, name):
    case = CASES[name]
    environment = {k: v for k, v in os.environ.items() if k != "TFDS_DATA_DIR"} | case.environment
    line = [sys.executable, *command(path, name)]
    return subprocess.run(line, capture_output=True, text=True, timeout=case.timeout, env=environment, cwd=path)


@pytest.fixture(scope="module")
def bad_data(tmp_path_factory):
    path = tmp_path_factory.mktemp("bad")
    write_bad_data(path)
    return path


@pytest.fixture(scope="module")
def finished(bad_data):
    """The folder with bad data, and what each command said."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return bad_data, dict(zip(CASES, pool.map(lambda name: start(bad_data, name), CASES), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_one_clear_line_and_nothing_left(name, finished):
    path, results = finished
    check(path, name, CASES[name], results[name])


@pytest.mark.filterwarnings("ignore:the load_module")  # of ml_collections
@pytest.mark.parametrize("name", INSIDE)
def test_one_clear_line_of_bad_parts_and_nothing_left(name, bad_data, monkeypatch):
    check(bad_data, name, INSIDE[name], run_inside(command(bad_data, name), bad_data, monkeypatch))


def check(path, name, case, result):
    workdir = path / "workdirs" / name.replace(" ", "_")
    lines = result.stderr.strip().splitlines()
    assert result.returncode == 1, result.stderr
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    for word in case.says:
        assert word in lines[0]
    assert "Traceback" not in result.stderr and result.stdout == ""
    assert not list(path.glob(f"workdirs/{workdir.name}*")), "something was left behind"


def test_what_was_there_is_untouched(finished):
    path, _ = finished
    assert os.listdir(path / "export") == ["1"] and (path / "empty.py").read_text() == "x = 1\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(finished, tmp_path):
    tmp_path.chmod(0o500)
    line = [sys.executable, str(ROOT / "tools" / "train.py"), f"--workdir={tmp_path}/run"]
    result = subprocess.run(line, capture_output=True, text=True)
    assert result.returncode == 1 and "--workdir" in result.stderr and "Permission denied" in result.stderr


@pytest.mark.parametrize("script", ["train", "evaluate", "export"])
def test_help_answers_without_tensorflow(script):
    program = f"import sys, runpy; sys.argv = ['{script}.py', '--help']\n" + (
        "sys.modules['tensorflow'] = None\n"
        f"runpy.run_path({str(ROOT / 'tools' / f'{script}.py')!r}, run_name='__main__')"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0 and "--workdir" in result.stdout and result.stderr == "", result.stderr
