"""What a run leaves besides its checkpoints, and which of it is missing or out of date."""

import os
import sys
from typing import Any

import numpy as np
from tqdm import tqdm

from tfvae import config as config_lib
from tfvae.config import Config
from tfvae.data import DataSet
from tfvae.evaluation import evaluate
from tfvae.export import export_saved_model
from tfvae.files import make_folder, read_json, write_atomically, write_json
from tfvae.inference.pictures import all_pictures, png
from tfvae.training.workdir import WorkDir
from tfvae.vae import VAE

_RECORD = "outputs.json"


def is_missing(place: WorkDir, name: str, step: int) -> bool:
    """Whether an output was not made from the checkpoint of `step`, or is gone."""
    made = _recorded(place).get(name, {})
    return made.get("step") != step or not all(map(os.path.exists, files_of(place, name)))


def files_of(place: WorkDir, name: str) -> list[str]:
    """The files or folders of an output that was made."""
    return [os.path.join(place, path) for path in _recorded(place)[name]["files"]]


def export_name(export_dir: str) -> str:
    """The name of the output that is an export to a folder; each folder has its own."""
    return f"export to {os.path.abspath(export_dir)}"


def _recorded(place: WorkDir) -> dict[str, Any]:
    path = place.file(_RECORD)
    return read_json(path) if os.path.exists(path) else {}


def _record(place: WorkDir, name: str, step: int, files: list[str]) -> None:
    """Files are the names inside the work directory, which may be moved; others are absolute paths."""
    write_json(place.file(_RECORD), _recorded(place) | {name: {"step": step, "files": files}})


def write_evaluation(
    place: WorkDir, vae: VAE, config: Config, dataset: DataSet, *, split: str, num_samples: int, step: int
) -> dict[str, Any]:
    """Evaluates a split with progress, and writes and returns `evaluation.json`."""
    examples = dataset.split(split)
    with tqdm(
        total=examples.num_examples, desc=f"evaluating {split}", unit=" images", disable=not sys.stderr.isatty()
    ) as bar:
        result = evaluate(
            vae,
            examples,
            num_samples=num_samples,
            seed=config.evaluation.seed,
            num_levels=dataset.num_levels if config.data.dequantize else None,
            progress=lambda done, _: bar.update(done - bar.n),
        )
    result["step"] = step
    write_json(place.evaluation_file, result)
    # A run ends with the test split: another in its place is not that output.
    _record(place, "evaluation", step if split == "test" else -1, [os.path.basename(place.evaluation_file)])
    return result


def write_pictures(place: WorkDir, vae: VAE, x: np.ndarray, labels: np.ndarray | None = None, *, step: int) -> None:
    """Writes every picture the model can have as PNG: see `tfvae.inference.pictures`."""
    make_folder(place.pictures, flag="--workdir")
    files = []
    for name, pixels in all_pictures(vae, x, labels).items():
        write_atomically(os.path.join(place.pictures, f"{name}.png"), png(pixels))
        files.append(os.path.relpath(os.path.join(place.pictures, f"{name}.png"), place))
    _record(place, "pictures", step, files)


def write_export(
    place: WorkDir, vae: VAE, config: Config, export_dir: str, *, step: int, version: int | None = None
) -> str:
    """Exports the model with its card; returns the folder of the new version."""
    card = {
        "name": config.name,
        "config": config_lib.to_dict(config),
        "training": {"steps": step, "seed": config.training.seed, "kl": vae.kl_estimator},
    }
    evaluation = read_json(place.evaluation_file) if os.path.exists(place.evaluation_file) else {}
    if evaluation.get("step") == step:  # figures of another checkpoint are not this model's
        card["evaluation"] = evaluation
    path = export_saved_model(vae, export_dir, item_shape=config.data.item_shape, version=version, card=card)
    _record(place, export_name(export_dir), step, [os.path.abspath(path)])
    return path
