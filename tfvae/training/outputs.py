"""What a run leaves besides its checkpoints, and which of it is missing or out of date."""

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from tfvae import config as config_lib
from tfvae.config import Config
from tfvae.data import DataSet
from tfvae.errors import InputError
from tfvae.evaluation import Estimator, Importance, estimate
from tfvae.evaluation.measures import MEASURES, measure
from tfvae.export import export_saved_model
from tfvae.export.batching import can_warm_up
from tfvae.files import make_folder, npz, read_json, write_atomically, write_json
from tfvae.inference.inputs import own_label_names
from tfvae.inference.model import Model
from tfvae.inference.pictures import all_pictures
from tfvae.inference.sheet import png
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
    place: WorkDir,
    vae: VAE,
    config: Config,
    dataset: DataSet,
    *,
    split: str,
    estimator: Estimator,
    measures: Sequence[str] = (),
    step: int,
    output: str = "",
) -> dict[str, Any]:
    """Evaluates a split with progress; a call that was interrupted is gone on with.

    Writes `evaluation/<split>_<estimator>.json`, and for `Importance` also `evaluation.json`, with the measures.

    Args:
      place: the work directory.
      vae, config, dataset: of the run.
      split: which examples.
      estimator: of log p(x).
      measures: names of `tfvae.evaluation.measures.MEASURES`. Those made before, of the same split and checkpoint,
        stay in `evaluation.json`.
      step: of the checkpoint.
      output: an NPZ file for the columns: a number for each example; empty: none.

    Returns:
      what the file says.
    """
    examples, seed = dataset.split(split), config.evaluation.seed
    name = f"{split}_{estimator.tag}"
    partial = os.path.join(place.evaluations, f".{name}.partial.npz")
    make_folder(place.evaluations, flag="--workdir")
    with tqdm(total=examples.num_examples, desc=f"{split}, {estimator.tag}", unit=" examples", disable=_quiet()) as bar:

        def progress(done: int, total: int) -> None:
            if bar.initial is None:
                # What was done before tells nothing of the time that is left.
                bar.initial = bar.n = done
            bar.total = total
            bar.update(done - bar.n)

        bar.initial = None

        result = estimate(
            vae,
            examples,
            estimator,
            seed=seed,
            num_levels=dataset.num_levels if config.data.dequantize else None,
            partial=partial,
            version=[step, config_lib.to_dict(config)],
            progress=progress,
        )
    found = result.summary | {"step": step}
    write_json(os.path.join(place.evaluations, f"{name}.json"), found)
    if output:
        _write_columns(output, result.columns)
    if isinstance(estimator, Importance):
        before = read_json(place.evaluation_file) if os.path.exists(place.evaluation_file) else {}
        if (before.get("split"), before.get("step")) == (split, step):
            found |= {name: before[name] for name in MEASURES if name in before}
        write_json(place.evaluation_file, found)
        # A run ends with the test split: another in its place is not that output.
        _record(place, "evaluation", step if split == "test" else -1, [os.path.basename(place.evaluation_file)])
        # Each is kept as it comes, and the estimate until the last one is: an interruption loses one measure.
        for measured in tqdm(measures, unit=" measures", disable=_quiet() or not measures):
            found |= measure([measured], vae, dataset, examples, seed=seed)
            write_json(place.evaluation_file, found)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(partial)
    return found


def _write_columns(output: str, columns: dict[str, np.ndarray]) -> None:
    try:
        write_atomically(output, npz(columns))
    except OSError as error:
        raise InputError(
            f"--output: received {output!r}, which cannot be written ({error.strerror}); the figures are in the work "
            "directory, and the same command with another file makes it at once"
        ) from error


def _quiet() -> bool:
    return not sys.stderr.isatty()


def write_pictures(place: WorkDir, vae: VAE, x: np.ndarray, labels: np.ndarray | None = None, *, step: int) -> None:
    """Writes every picture the model can have as PNG: see `tfvae.inference.pictures`."""
    make_folder(place.pictures, flag="--workdir")
    files = []
    for name, pixels in all_pictures(Model.of(vae), x, labels).items():
        write_atomically(os.path.join(place.pictures, f"{name}.png"), png(pixels))
        files.append(os.path.relpath(os.path.join(place.pictures, f"{name}.png"), place))
    _record(place, "pictures", step, files)


def write_export(
    place: WorkDir,
    vae: VAE,
    config: Config,
    export_dir: str,
    *,
    step: int,
    version: int | None = None,
    batching: bool = True,
    licence: str | None = None,
) -> str:
    """Exports the model with its card (`tfvae.export.export_saved_model`); returns the folder of the new version."""
    values = config_lib.to_dict(config)
    card = {
        "name": config.name,
        "config": values,
        "licence": licence,
        "label_names": list(own_label_names(Model.of(vae, config=values))),
        "training": {"steps": step, "seed": config.training.seed, "kl": vae.kl_estimator},
    }
    evaluation = read_json(place.evaluation_file) if os.path.exists(place.evaluation_file) else {}
    if evaluation.get("step") == step:  # figures of another checkpoint are not this model's
        card["evaluation"] = evaluation
    path = export_saved_model(
        vae, export_dir, item_shape=config.data.item_shape, version=version, card=card, batching=batching
    )
    if not can_warm_up():
        print("no warm-up requests were written: they need pip install tfvae[serving]", file=sys.stderr)
    _record(place, export_name(export_dir), step, [os.path.abspath(path)])
    return path
