"""Missing cells of tables: a VAE's conditional mean against the column's mean, k nearest neighbours and regression.

  python benchmarks/imputation.py
  python benchmarks/imputation.py --sets=wine --repetitions=1

For each of scikit-learn's tables and each repetition another quarter of the rows is held out and `configs/wine.py`
trained on the rest, 100 epochs at 3e-3; a quarter of the cells of the held-out rows is hidden at random. The VAE
fills them in by E[x_missing | x_observed], over z ~ p(z | x_observed) as `tfvae.inference.completion` finds them by
importance resampling; once by Hamiltonian Monte Carlo too, which agrees where importances are good. The others are
scikit-learn's `SimpleImputer`, `KNNImputer` and `IterativeImputer` with their defaults, fitted to all rows that are not
held out, those by which the VAE's checkpoint is chosen among them. The error is the root mean square over hidden cells,
in standard deviations of the training rows' columns. Writes result.json and README.md into docs/results/imputation.
"""

import dataclasses
import datetime
import os
import sys
import tempfile
import time
from typing import Any

import numpy as np
from absl import flags

from tfvae import cli
from tfvae.config import Config, from_file
from tfvae.errors import InputError
from tfvae.files import make_folder, write_atomically, write_json

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(ROOT, "docs", "results", "imputation")
# The sets, and their numbers of columns and latents.
SETS = {"iris": (4, 2), "wine": (13, 4), "breast_cancer": (30, 8)}
METHODS = {
    "mean": "the column's mean",
    "knn": "5 nearest neighbours",
    "iterative": "iterated Bayesian ridge regression",
    "vae": "VAE, conditional mean",
}
HIDDEN = HELD_OUT = 0.25

flags.DEFINE_list("sets", list(SETS), f"of {', '.join(SETS)}")
flags.DEFINE_integer("repetitions", 3, "splits and masks for each set", 1)
flags.DEFINE_integer("num_proposals", 4_000, "of z for each row, of importance resampling", 2)


def config_of(name: str, repetition: int) -> Config:
    """`configs/wine.py` on another table and another split, in a third of the time."""
    from tfvae.likelihoods import Table

    config = from_file(os.path.join(ROOT, "configs", "wine.py"))
    columns, latents = SETS[name]
    config.name = f"{name}_{repetition}"
    config.data = dataclasses.replace(
        config.data, source=f"table:{name}", item_shape=(columns,), test_fraction=HELD_OUT, split_seed=repetition
    )
    config.model.latent_size = latents
    config.model.likelihood = Table(columns=("gaussian",) * columns)
    config.training.seed = repetition
    config.training.num_epochs, config.training.learning_rate = 100, 3e-3
    return config


def hide(x: np.ndarray, *, seed: int) -> np.ndarray:
    """x with a share `HIDDEN` of its cells, at random, NaN; of each row at least one stays."""
    order = np.random.default_rng([seed, 1]).random(x.shape)
    hidden = order < HIDDEN
    hidden[np.arange(len(x)), order.argmax(axis=1)] = False
    return np.where(hidden, np.nan, x).astype(np.float32)


def baselines(known: np.ndarray, y: np.ndarray, *, seed: int) -> dict[str, np.ndarray]:
    """What scikit-learn's imputers, fitted to rows `known`, make of rows y with NaN."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

    imputers = {
        "mean": SimpleImputer(),
        "knn": KNNImputer(),
        "iterative": IterativeImputer(max_iter=50, random_state=seed),
    }
    return {name: imputer.fit(known).transform(y) for name, imputer in imputers.items()}


def conditional_means(model: Any, y: np.ndarray, *, seed: int, check: bool) -> tuple[dict[str, np.ndarray], float]:
    """E[x|x_observed] of the VAE, to `check` by HMC too, and the median effective sample size of the importances."""
    from tfvae.inference.completion import HMC, Importance, Masked, Problem, complete

    problem = Problem(model, Masked(), y, seed=seed)
    found = complete(problem, Importance(num_proposals=cli.FLAGS.num_proposals), num_draws=1)
    means = {"vae": found.mean} | ({"vae_by_hmc": complete(problem, HMC(), num_draws=1).mean} if check else {})
    return means, float(np.median(found.diagnostics["effective_sample_size"]))


def measure(name: str, repetition: int) -> dict[str, Any]:
    """The error of each method on one split; the first of a set is checked by HMC."""
    from tfvae import config as config_lib
    from tfvae.inference.model import Model
    from tfvae.training import WorkDir, load_data, train

    config, start = config_of(name, repetition), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        train(config, folder, verbose=False)
        vae, trained, step = WorkDir(folder).load_model()
        dataset = load_data(trained)
    model = Model.of(vae, config=config_lib.to_dict(trained), origin=config.name)
    train_x, validation_x, x = (dataset.split(part).examples(10_000) for part in ("train", "validation", "test"))
    y = hide(x, seed=repetition)
    hidden = np.isnan(y)
    filled = baselines(np.concatenate([train_x, validation_x]), y, seed=repetition)
    means, effective = conditional_means(model, y, seed=repetition, check=repetition == 0)
    errors = {method: float(np.sqrt(np.mean((v - x)[hidden] ** 2))) for method, v in (filled | means).items()}
    return {
        "repetition": repetition, "rows": len(x), "hidden_cells": int(hidden.sum()), "step": step, "rmse": errors,
        "median_effective_sample_size": effective, "seconds": time.perf_counter() - start,
    }  # fmt: skip


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean over repetitions of each error, its standard error, and that of its difference from the VAE's."""
    errors = {method: np.array([run["rmse"][method] for run in runs]) for method in METHODS}
    count, found = len(runs), {}
    for method, values in errors.items():
        less = values - errors["vae"]
        spread = [float(v.std(ddof=1) / np.sqrt(count)) if count > 1 else None for v in (values, less)]
        found[method] = {
            "rmse": float(values.mean()), "standard_error": spread[0],
            "above_vae": float(less.mean()), "above_vae_standard_error": spread[1],
        }  # fmt: skip
    return found


def readme(result: dict[str, Any]) -> str:
    """The figures in Markdown."""

    def cell(one: dict[str, Any]) -> str:
        return f"{one['rmse']:.3f}" + ("" if one["standard_error"] is None else f" ± {one['standard_error']:.3f}")

    names = list(result["sets"])
    lines = [
        "# Missing cells of tables",
        "",
        "Root mean square error over hidden cells, in standard deviations of the columns; lower is better. "
        f"{result['repetitions']} splits and masks of each set, ± the standard error of the mean over them.",
        "",
        f"| method | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
        *(
            f"| {words} | {' | '.join(cell(result['sets'][name]['summary'][method]) for name in names)} |"
            for method, words in METHODS.items()
        ),
        "",
        *(verdict(name, result["sets"][name]) for name in names),
        "",
        f"`{result['command']}` on {result['date']}. {(__doc__ or '').strip().rpartition(chr(10) * 2)[2]}",
        "",
    ]
    return "\n".join(lines)


def verdict(name: str, one: dict[str, Any]) -> str:
    """Against whom the VAE wins, a difference of two standard errors or more being clear; and how well it agrees."""
    words, found, first = [], one["summary"], one["runs"][0]
    for method in ("mean", "knn", "iterative"):
        above, error = found[method]["above_vae"], found[method]["above_vae_standard_error"]
        clear = "" if error is not None and abs(above) >= 2 * error else " (not clearly)"
        words.append(f"{'better' if above > 0 else 'worse'} than {METHODS[method]}{clear}")
    check = f"{first['rmse']['vae_by_hmc']:.3f} by Hamiltonian Monte Carlo, {first['rmse']['vae']:.3f} by importances"
    check += f" (median effective sample size {first['median_effective_sample_size']:.0f})"
    return f"* {name}: the VAE is {', '.join(words)}. On the first split: {check}."


def main() -> None:
    unknown = sorted(set(cli.FLAGS.sets) - set(SETS))
    if unknown:
        raise InputError(f"--sets: received {', '.join(unknown)}, expected some of: {', '.join(SETS)}")
    make_folder(FOLDER, flag="--sets")
    result: dict[str, Any] = {
        "date": datetime.date.today().isoformat(), "command": "python benchmarks/imputation.py",
        "repetitions": cli.FLAGS.repetitions, "hidden": HIDDEN, "held_out": HELD_OUT, "sets": {},
    }  # fmt: skip
    for name in cli.FLAGS.sets:
        runs = []
        for repetition in range(cli.FLAGS.repetitions):
            runs.append(measure(name, repetition))
            errors = "  ".join(f"{method} {error:.3f}" for method, error in runs[-1]["rmse"].items())
            print(f"{name} {repetition}: {errors}  ({runs[-1]['seconds']:.0f} s)", file=sys.stderr, flush=True)
        result["sets"][name] = {"summary": summary(runs), "runs": runs}
    write_json(os.path.join(FOLDER, "result.json"), result)
    write_atomically(os.path.join(FOLDER, "README.md"), readme(result))
    print(readme(result))


if __name__ == "__main__":
    cli.run(main)
