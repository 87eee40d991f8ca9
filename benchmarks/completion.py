"""Inpainting, denoising and super-resolution of MNIST test images by a trained VAE, against what needs no model.

  python benchmarks/completion.py                       # all parts; the run of configs/mnist.py is trained first
  python benchmarks/completion.py --parts=noise         # some; results of the others stay

Data are as the model sees them: 0 or 1. For each part the mean squared error of a missing number and log p(truth |
what was observed) of the VAE, and of the mean of the training images, the nearest of them by what was observed, a
normal distribution fitted to them (least squares on what was observed), one of its first components alone (PCA), a
median filter for noise, and bicubic interpolation for super-resolution. A baseline's log-likelihood is that of
Bernoullis with its means, kept from 0 and 1 by the margin that training images say is best.
Writes result.json, README.md and pictures into docs/results/completion.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
from absl import flags
from completion_baselines import PARTS, Problem, baselines, bernoulli_log_likelihood
from completion_report import readme

from tfvae import cli
from tfvae.errors import InputError
from tfvae.files import make_folder, read_json, write_atomically, write_json

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(ROOT, "docs", "results", "completion")
RESULT = os.path.join(FOLDER, "result.json")
METHODS = "methods"
SIGMA, FACTOR = 0.5, 4
SHOWN = 10  # images in a picture

flags.DEFINE_list("parts", [*PARTS, METHODS], f"of {', '.join(PARTS)}, {METHODS}")
flags.DEFINE_string("mnist_run", "runs/mnist", "work directory of configs/mnist.py; trained where it is missing")
flags.DEFINE_integer("num_examples", 200, "test images", 2)
flags.DEFINE_integer("num_training", 20_000, "training images that baselines learn from", 1_000)


def open_model() -> Any:
    """The model of the run, trained where it is missing."""
    from tfvae import config as config_lib
    from tfvae.inference.model import Model
    from tfvae.training import WorkDir

    workdir = cli.FLAGS.mnist_run
    if not os.path.exists(os.path.join(workdir, "evaluation.json")):
        script, config = os.path.join(ROOT, "tools", "train.py"), os.path.join(ROOT, "configs", "mnist.py")
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, script, f"--config={config}", f"--workdir={workdir}", f"--export_dir={folder}/e"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    vae, config, _ = WorkDir(workdir).load_model()
    return Model.of(vae, config=config_lib.to_dict(config), origin=workdir)


def observation(part: str, model: Any, count: int) -> Any:
    """What is observed in a part."""
    from tfvae.inference.completion import Downsampled, GaussianNoise, Masked, masks

    if part == "noise":
        return GaussianNoise(sigma=SIGMA)
    if part == "super_resolution":
        return Downsampled(FACTOR)
    return Masked(masks.mask(part, model.item_shape, count))


def scores(mean: np.ndarray, truth: np.ndarray, missing: np.ndarray, log_likelihood: np.ndarray) -> dict[str, Any]:
    """Squared error of a missing number and log-likelihood of an image in nats, with standard errors over images."""
    errors = np.where(missing, (mean - truth) ** 2, 0.0).reshape(len(truth), -1).sum(axis=1)
    errors = errors / missing.reshape(len(truth), -1).sum(axis=1)
    return {
        name: {"mean": float(values.mean()), "standard_error": float(values.std(ddof=1) / np.sqrt(len(values)))}
        for name, values in (("squared_error", errors), ("log_likelihood", np.asarray(log_likelihood, np.float64)))
    }


def vae_scores(model: Any, seen: Any, y: np.ndarray, x: np.ndarray, method: Any) -> tuple[dict[str, Any], Any]:
    """The VAE's scores by a method, and its completion."""
    from tfvae.inference.completion import Problem as Given
    from tfvae.inference.completion import complete

    start = time.perf_counter()
    found = complete(Given(model, seen, y), method, num_draws=4, truth=x)
    seconds = time.perf_counter() - start
    missing = seen.missing(y, model.item_shape)
    said = scores(found.mean, x, missing, found.log_likelihood) | {"seconds": seconds}
    return said | {name: float(np.mean(values)) for name, values in found.diagnostics.items()}, found


def measure(part: str, model: Any, x: np.ndarray, training: np.ndarray) -> dict[str, Any]:
    """One part: the VAE and the baselines, and a picture."""
    from tfvae.inference.completion import HMC
    from tfvae.inference.sheet import Sheet

    seen = observation(part, model, len(x))
    y = seen.observe(x)
    missing = seen.missing(y, model.item_shape)
    ours, found = vae_scores(model, seen, y, x, HMC())
    problem = Problem(part, x, y, missing, seen.shown(y, model.item_shape), SIGMA, FACTOR)
    rows: dict[str, Any] = {"vae": ours}
    for name, (mean, tuned) in baselines(problem, training).items():
        rows[name] = scores(mean, x, missing, bernoulli_log_likelihood(mean, x, missing, tuned)) | {"clipped": tuned}
    columns = [x, problem.shown, found.mean, *found.draws[:4], 2 * found.stddev]
    items = np.stack([column[:SHOWN] for column in columns]).reshape(-1, *model.item_shape)
    Sheet(items.astype(np.float32), SHOWN).write(model, os.path.join(FOLDER, f"{part}.png"))
    return {"num_examples": len(x), "rows": rows}


def compare_methods(model: Any, x: np.ndarray) -> dict[str, Any]:
    """Every method on the lower half."""
    from tfvae.inference.completion import METHODS as KNOWN

    seen = observation("lower_half", model, len(x))
    rows = {}
    for name, method in KNOWN.items():
        rows[name] = vae_scores(model, seen, seen.observe(x), x, method())[0]
        print(f"{name}: {rows[name]['log_likelihood']['mean']:.2f} nats", file=sys.stderr, flush=True)
    return {"num_examples": len(x), "rows": rows}


def main() -> None:
    from tfvae.inference.inputs import open_input

    unknown = sorted(set(cli.FLAGS.parts) - {*PARTS, METHODS})
    if unknown:
        raise InputError(f"--parts: received {', '.join(unknown)}, expected some of: {', '.join((*PARTS, METHODS))}")
    make_folder(FOLDER, flag="--parts")
    model = open_model()
    x, _ = open_input(model).first(cli.FLAGS.num_examples)
    training, _ = open_input(model, split="train").first(cli.FLAGS.num_training)
    for part in [part for part in (*PARTS, METHODS) if part in cli.FLAGS.parts]:
        start = time.perf_counter()
        found = compare_methods(model, x) if part == METHODS else measure(part, model, x, training)
        print(f"{part}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        result = (read_json(RESULT) if os.path.exists(RESULT) else {}) | {part: found}
        write_json(RESULT, result)
        write_atomically(os.path.join(FOLDER, "README.md"), readme(result))
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    cli.run(main)
