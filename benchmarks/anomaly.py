"""Whether odd examples can be told by each score of `tools/predict.py --signature=score`: AUROC on the digits.

  python benchmarks/anomaly.py                      # trains what it needs: minutes
  python benchmarks/anomaly.py --workdir=runs/odd   # keeps the runs

Two parts:
  held_out  for each digit a model that never saw it, and a background model of the same digits with pixels replaced
            at random (Ren et al. 2019, section 3); test digits of that class against all other test digits.
  simple    a model of all digits; test digits against images that are simpler, on which log p(x) alone is known to
            fail (Nalisnick et al. 2019).

AUROC is the probability that an odd example has a higher score than one that is not; 0.5 is chance. Writes
result.json and README.md into docs/results/anomaly.
"""

import dataclasses
import datetime
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from tfvae import cli
from tfvae.files import make_folder, npz, write_atomically, write_json

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(ROOT, "docs", "results", "anomaly")
CLASSES = range(10)
MUTATED = 0.2  # share of the background model's pixels that are replaced: within what Ren et al. tried, not tuned

flags.DEFINE_string("workdir", None, "folder of the runs (default: one that is removed at the end)")
flags.DEFINE_integer("num_epochs", 40, "of each training run", 1)

SCORES = {
    "log_likelihood": "-log p(x)",
    "elbo": "-ELBO",
    "typicality": "typicality: distance of log p(x) to its mean on validation data",
    "likelihood_ratio": "likelihood ratio to the background model",
    "complexity": "likelihood ratio to a compressor (no background model)",
    "distortion": "baseline: reconstruction term of the ELBO",
    "squared_error": "baseline: squared error of the reconstruction",
}


def digits(without: int | None = None, *, mutated: float = 0.0) -> tuple[dict[str, np.ndarray], tuple[float, float]]:
    """The digits in the order training, validation, test, as an NPZ file holds them.

    Args:
      without: a class that is left out.
      mutated: share of the pixels that become another level, each level as likely.

    Returns:
      `images` in [0, 1] and `labels`; and the shares of validation and test.
    """
    from tfvae.config import DataConfig
    from tfvae.data import load

    dataset, images, labels = load(DataConfig(source="digits")), [], []
    for split in (dataset.train, dataset.validation, dataset.test):
        x, y = split.examples(split.num_examples, labels=True)
        images.append(x[y != without])
        labels.append(y[y != without])
    x, size = np.concatenate(images), sum(map(len, images))
    rng = np.random.default_rng(0)
    x = np.where(rng.random(x.shape) < mutated, rng.integers(0, 17, x.shape) / 16, x).astype(np.float32)
    return {"images": x, "labels": np.concatenate(labels)}, (len(images[1]) / size, len(images[2]) / size)


def trained(config: Any, folder: str, *, without: int | None = None, mutated: float = 0.0) -> Any:
    """The `Model` of a run on `digits`, which is made where it is missing."""
    from tfvae import config as config_lib
    from tfvae.inference.model import Model
    from tfvae.training import WorkDir, train

    name = f"without_{without}" if without is not None else "all"
    path = os.path.join(folder, name + ("_background" if mutated else ""))
    arrays, (validation, test) = digits(without, mutated=mutated)
    os.makedirs(folder, exist_ok=True)
    write_atomically(path + ".npz", npz(arrays))
    data = dataclasses.replace(
        config.data, source=f"npz:{path}.npz", split_order="sequential", validation_fraction=validation,
        test_fraction=test,
    )  # fmt: skip
    train(dataclasses.replace(config, data=data), path, verbose=False)
    vae, found, _ = WorkDir(path).load_model()
    return Model.of(vae, config=config_lib.to_dict(found), origin=path)


def scores(model: Any, examples: Any, background: Any) -> dict[str, np.ndarray]:
    """Each score of `SCORES` of each example, in the input's order, `[N]`."""
    from tfvae.inference import anomaly
    from tfvae.inference.complexity import code_lengths
    from tfvae.inference.inputs import open_input

    # One pass of the model for all scores.
    columns = anomaly.rank(model, examples, score="likelihood_ratio", background=background).columns
    columns = {name: values[np.argsort(columns["index"])] for name, values in columns.items()}
    reference = anomaly.rank(model, open_input(model, split="validation")).columns["log_likelihood"]
    terms = {name: columns[name].astype(np.float64) for name in ("log_likelihood", "elbo", "distortion", "background")}
    evidence = anomaly.Evidence(**terms, reference=float(reference.mean(dtype=np.float64)))
    found = {name: score.function(evidence) for name, score in anomaly.SCORES.items()}
    x, _ = examples.first()
    compressed = dataclasses.replace(evidence, background=-code_lengths(model, x))
    found["complexity"] = anomaly.SCORES["likelihood_ratio"].function(compressed)
    made = model.rows("reconstruct", item=x)["reconstruction"]
    found["squared_error"] = np.square(x - made).reshape(len(x), -1).sum(axis=1)
    return {name: found[name] for name in SCORES}


def auroc(odd: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> dict[str, float]:
    """The AUROC of each score, its values of odd examples against those of others."""
    from sklearn.metrics import roc_auc_score

    truth = np.repeat([1, 0], [len(odd["elbo"]), len(others["elbo"])])
    return {name: float(roc_auc_score(truth, np.concatenate([odd[name], others[name]]))) for name in odd}


def held_out(config: Any, folder: str, classes: Sequence[int]) -> dict[str, Any]:
    """AUROC for each class, and over the classes the mean, the standard deviation, the lowest and the highest."""
    from tfvae.inference.inputs import open_input

    rows = []
    for one in classes:
        model = trained(config, folder, without=one)
        background = trained(config, folder, without=one, mutated=MUTATED)
        examples = open_input(model, "digits", split="test")
        _, labels = examples.first()
        found = scores(model, examples, background)
        sides = [{name: values[labels == one] for name, values in found.items()},
                 {name: values[labels != one] for name, values in found.items()}]  # fmt: skip
        rows.append({"class": one, "num_odd": int((labels == one).sum()), "num_others": int((labels != one).sum()),
                     "auroc": auroc(*sides)})  # fmt: skip
        print(f"without {one}: log p(x) {rows[-1]['auroc']['log_likelihood']:.3f}", file=sys.stderr, flush=True)
    return {"classes": rows, "auroc": {name: spread([row["auroc"][name] for row in rows]) for name in SCORES}}


def spread(values: Sequence[float]) -> dict[str, float]:
    """What a row of the table says of one figure for each class."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": float(np.mean(values)), "sd": deviation, "lowest": min(values), "highest": max(values)}


def simple_images(x: np.ndarray, training: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Images simpler than digits, in [0, 1].

    Args:
      x: test digits `[n, 8, 8, 1]`, grey.
      training, labels: those of training.

    Returns:
      `black`; `bar`: one upright bar, two pixels wide, about the middle; `clean`: the test digits cut at one half,
      where the model learned from grey levels drawn to 0 or 1, and so from noise; `prototype`: the mean of each
      class's training digits, cut at one half.
    """
    rng = np.random.default_rng(0)
    bar = np.zeros_like(x)
    for image in bar:
        left, top, bottom = rng.integers(2, 5), rng.integers(0, 3), rng.integers(5, 9)
        image[top:bottom, left : left + 2] = 1.0
    means = np.stack([training[labels == label].mean(axis=0) for label in np.unique(labels)])
    cut = {name: (images > 0.5).astype(np.float32) for name, images in (("clean", x), ("prototype", means))}
    return {"black": np.zeros_like(x), "bar": bar, **cut}


def simple(config: Any, folder: str) -> dict[str, Any]:
    """AUROC of each kind of simple images against test digits, and the mean of log p(x) of either."""
    from tfvae.config import DataConfig
    from tfvae.data import load
    from tfvae.inference.inputs import open_input

    model, background = trained(config, folder), trained(config, folder, mutated=MUTATED)
    others = scores(model, open_input(model, "digits", split="test"), background)
    dataset, found = load(DataConfig(source="digits")), {}
    training = dataset.train.examples(dataset.train.num_examples, labels=True)
    for name, images in simple_images(dataset.test.examples(dataset.test.num_examples), *training).items():
        path = os.path.join(folder, f"{name}.npz")
        write_atomically(path, npz({"images": images}))
        odd = scores(model, open_input(model, path), background)
        found[name] = {"log_likelihood": -float(odd["log_likelihood"].mean()), "auroc": auroc(odd, others)}
    return {"log_likelihood_of_test_digits": -float(others["log_likelihood"].mean()), "images": found}


def measure(config: Any, folder: str, *, classes: Sequence[int] = CLASSES) -> dict[str, Any]:
    """Both parts; runs and data lie in `folder`."""
    start = time.process_time()
    return {
        "date": datetime.date.today().isoformat(),
        "num_epochs": config.training.num_epochs,
        "num_samples": 64,
        "mutated": MUTATED,
        "held_out": held_out(config, folder, classes),
        "simple": simple(config, folder),
        "cpu_seconds": time.process_time() - start,
    }


def readme(result: dict[str, Any]) -> str:
    """The page."""
    part, images = result["held_out"], result["simple"]["images"]
    counts = [row["num_odd"] for row in part["classes"]]
    classes = [row["class"] for row in part["classes"]]
    rows = [
        f"| {SCORES[name]} | {s['mean']:.3f} | {s['sd']:.3f} | {s['lowest']:.3f} | {s['highest']:.3f} |"
        for name, s in part["auroc"].items()
    ]
    each = [
        f"| {name} | " + " | ".join(f"{row['auroc'][name]:.2f}" for row in part["classes"]) + " |" for name in SCORES
    ]
    against = [
        f"| {SCORES[name]} | " + " | ".join(f"{found['auroc'][name]:.3f}" for found in images.values()) + " |"
        for name in SCORES
    ]
    likely = ", ".join(f"{found['log_likelihood']:.1f} ({name})" for name, found in images.items())
    return "\n".join([
        f"""# Odd examples

`python benchmarks/anomaly.py` wrote this file and `result.json`.

The scores are those of `tools/predict.py --signature=score`, in nats but for the squared error, with
K = {result["num_samples"]} posterior samples. AUROC is the probability that an odd example has a higher score than
one that is not: 0.5 is chance, 1 perfect, and below 0.5 odd examples look more normal than normal ones. The model is
`configs/digits.py` with {result["num_epochs"]} epochs; the background model is the same on digits of which
{result["mutated"]:.0%} of the pixels are replaced at random, a share that was not tuned.

## One class held out

For each digit a model that never saw it: its test digits ({min(counts)} to {max(counts)} of a class) against those of
the other classes. Mean, standard deviation, lowest and highest over the {len(counts)} classes:

| score | mean AUROC | sd | lowest | highest |
|---|---|---|---|---|""",
        *rows,
        f"""
By the class held out:

| score | {" | ".join(map(str, classes))} |
|---|{"---|" * len(classes)}""",
        *each,
        f"""
## Simple images

A model of all digits; odd are images that are simpler than digits: `black`; `bar`, one upright bar two pixels wide;
`clean`, the test digits cut at one half, where the model's own data are drawn to 0 or 1 from grey and so have noise;
`prototype`, the mean of each class cut in the same way. The mean of log p(x) is
{result["simple"]["log_likelihood_of_test_digits"]:.1f} nats for test digits and {likely} for these. AUROC:

| score | {" | ".join(images)} |
|---|{"---|" * len(images)}""",
        *against,
        f"\nMeasured {result['date']}, {result['cpu_seconds']:.0f} s of CPU time.\n",
    ])  # fmt: skip


def main() -> None:
    from tfvae import config as config_lib

    config = config_lib.from_file(os.path.join(ROOT, "configs", "digits.py"))
    training = dataclasses.replace(config.training, num_epochs=cli.FLAGS.num_epochs, pictures_every=0)
    config = dataclasses.replace(config, training=training)
    make_folder(FOLDER, flag="--workdir")
    with tempfile.TemporaryDirectory() as folder:
        result = measure(config, cli.FLAGS.workdir or folder)
    write_json(os.path.join(FOLDER, "result.json"), result)
    write_atomically(os.path.join(FOLDER, "README.md"), readme(result))
    print(readme(result))


if __name__ == "__main__":
    cli.run(main)
