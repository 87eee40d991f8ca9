"""What CONTRIBUTING shows works as it stands: the diff of a new entry, and the recipes of parts."""

import concurrent.futures
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfvae import config, kinds, likelihoods, networks, objectives, posteriors, priors, schedules

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
DIFFS = re.findall(r"```diff\n(.*?)```", TEXT, flags=re.DOTALL)
RECIPES = re.findall(r"```python\n# (\S+)\n(.*?)```", TEXT, flags=re.DOTALL)

# Where a new entry may be written: nothing of the model, the training, the evaluation or the export is there.
ROOMS = r"(configs|tests|tfvae/(posteriors|priors|likelihoods|networks|objectives))/[\w/]+\.py"

# All recipes in one model.
CONFIG = """
from tfvae import config, likelihoods, networks, objectives, priors, schedules


def get_config():
    base = config.variant("recipes", "digits", beside=__file__)
    base.data.source, base.data.binarization = "npy:images.npy", "none"
    base.model.likelihood = likelihoods.Laplace()
    base.model.network = networks.Linear()
    base.model.prior = priors.ScaledNormal(scale=2.0)
    base.objective = objectives.Renyi()
    base.training.learning_rate_schedule = schedules.Exponential()
    return base
"""


def copy(place):
    """What git knows of this checkout, as it stands, in an empty folder."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("needs a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, place / name)


def train(place, name):
    """One epoch of a config of the copy: what it says."""
    command = [
        sys.executable, "tools/train.py", f"--config=configs/{name}.py", "--config.training.num_epochs=1",
        "--config.evaluation.num_samples=2", "--workdir=run", "--export_dir=export",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(place)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=place, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stderr


def with_diff(place):
    copy(place)
    applied = subprocess.run(["git", "apply", "-"], input=DIFFS[0], capture_output=True, text=True, cwd=place)
    assert applied.returncode == 0, applied.stderr
    return train(place, "generalized_pareto")


def with_recipes(place):
    copy(place)
    for name, code in RECIPES:
        with open(place / name, "a") as file:
            file.write(f"\n\n{code}")
    (place / "configs" / "recipes.py").write_text(CONFIG)
    np.save(place / "images.npy", np.random.default_rng(0).integers(0, 256, (200, 6, 5, 1), dtype=np.uint8))
    return train(place, "recipes")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folders of both runs, and what they said."""
    places = [tmp_path_factory.mktemp(name) for name in ("diff", "recipes")]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        said = [pool.submit(run, place) for run, place in zip((with_diff, with_recipes), places, strict=True)]
        return [(place, future.result()) for place, future in zip(places, said, strict=True)]


def check_outputs(place):
    evaluation = json.loads((place / "run" / "evaluation.json").read_text())
    assert all(math.isfinite(evaluation[name]) for name in ("elbo", "rate", "distortion", "log_likelihood"))
    assert evaluation["elbo"] <= evaluation["log_likelihood"] and evaluation["num_samples"] == 2
    parts = json.loads((place / "run" / "config.json").read_text())
    return parts, tf.saved_model.load(str(place / "export" / "1")).signatures


def test_the_diff_touches_rooms_of_parts_alone():
    touched = re.findall(r"^(?:---|\+\+\+) (?!/dev/null)[ab]/(.*)$", DIFFS[0], flags=re.MULTILINE)
    assert len(DIFFS) == 1 and {name.split("/")[0] for name in touched} == {"configs", "tests", "tfvae"}
    assert [name for name in touched if not re.fullmatch(ROOMS, name)] == []


def test_the_diff_makes_a_model_that_trains_evaluates_and_exports(runs):
    place, said = runs[0]
    found, signatures = check_outputs(place)
    assert found["model"]["posterior"] == {"type": "generalized_pareto", "tail": 0.1, "scale_floor": 1e-4}
    assert "the KL is analytic" in said
    images = tf.zeros([2, 8, 8, 1])
    seed = tf.constant([1, 2], tf.int64)
    assert np.all(signatures["encode"](image=images)["mean"] > 0)
    assert np.all(signatures["generate"](seed=seed)["z"] > 0)
    assert np.all(signatures["score"](image=images, seed=seed)["valid"])


def test_the_recipes_make_a_model_that_trains_evaluates_and_exports(runs):
    place, _ = runs[1]
    found, signatures = check_outputs(place)
    chosen = [found["model"][part]["type"] for part in ("likelihood", "network", "prior")]
    chosen += [found["objective"]["type"], found["training"]["learning_rate_schedule"]["type"]]
    assert chosen == ["laplace", "linear", "scaled_normal", "renyi", "exponential"]
    # log N(0; 0, 2^2) in 8 dimensions
    log_prior = signatures["log_prior"](z=tf.zeros([1, 8]))["log_prior"]
    np.testing.assert_allclose(log_prior, [-8 * (0.5 * math.log(2 * math.pi) + math.log(2.0))], rtol=1e-6)


def test_a_recipe_names_a_file_of_its_kind():
    for name, _ in RECIPES:
        assert (ROOT / name).parent.is_dir(), name
    assert {"tfvae/likelihoods/laplace.py", "configs/mnist_deep.py"} <= {name for name, _ in RECIPES}


def test_the_recipe_of_a_config_loads(runs):
    found = config.from_file(str(runs[1][0] / "configs" / "mnist_deep.py"))
    config.validate(found)
    assert found.name == "mnist_deep" and found.model.network.hidden == (500, 500)


PARTS = [
    (kinds.Posterior, posteriors), (kinds.Prior, priors), (kinds.Likelihood, likelihoods),
    (kinds.Network, networks), (kinds.Objective, objectives), (schedules.Schedule, schedules),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "package"), PARTS, ids=[kind.kind for kind, _ in PARTS])
def test_the_readme_names_every_part(kind, package):
    row = next(line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| {kind.kind} "))
    ours = {name for name, value in vars(package).items() if isinstance(value, type) and issubclass(value, kind)}
    # In capitals: fields and values stand in code style too.
    assert ours - {kind.__name__} == {name for name in re.findall(r"`(\w+)`", row) if name[0].isupper()}
