"""Trains, evaluates, draws and exports: one call from a config to a work directory."""

import dataclasses
import os
import sys
from typing import Any

from tfvae import config as config_lib
from tfvae.config import Config
from tfvae.data import DataSet
from tfvae.devices import Cluster, connect
from tfvae.errors import InputError
from tfvae.evaluation import Importance
from tfvae.files import check_folder, read_json
from tfvae.training import outputs
from tfvae.training.checkpoints import Checkpoints, RunState
from tfvae.training.fitting import fit, fresh_model, load_data, pictured
from tfvae.training.run_report import REPORT, write_report
from tfvae.training.workdir import WorkDir

_MEASURES = ("decomposition",)  # the cheap ones; `tools/evaluate.py` makes all
_KL = {"analytic": "analytic", "monte_carlo": "estimated from the draws of z (no closed form is known)"}


@dataclasses.dataclass
class Result:
    """What a run made.

    Attributes:
      trained: whether this call made any optimizer step.
      step: of the checkpoint that was evaluated and exported.
      evaluation: what `evaluation.json` says.
      pictures: paths of the PNG files.
      export: the folder of the SavedModel.
      conditional: whether the model takes labels.
    """

    trained: bool
    step: int
    evaluation: dict[str, Any]
    pictures: list[str]
    export: str
    conditional: bool = False


def train_and_evaluate(
    config: Config, workdir: str, *, export_dir: str, checkpoint: str = "best", verbose: bool = True
) -> Result | None:
    """Trains into `workdir`, or goes on where it was; makes what is missing of evaluation, pictures and export.

    Args:
      config: of the run; see `WorkDir.claim` for what may change between calls.
      workdir: folder of the run.
      export_dir: folder of the SavedModel's versions.
      checkpoint: which one to evaluate and export, `best` or `last`.
      verbose: shows progress.

    Returns:
      what the run made; None on a worker that is not the chief, which alone makes what follows the training.

    Raises:
      InputError: for bad input, before anything is written; or when the loss is not finite.
    """
    cluster = _connect(config)
    if cluster.is_chief:
        check_folder(export_dir, flag="--export_dir")
    config, dataset, trained = _train(config, workdir, cluster, verbose=verbose)
    if not cluster.is_chief:
        return None
    return _finish(config, WorkDir(workdir), dataset, export_dir=export_dir, checkpoint=checkpoint, trained=trained)


def train(config: Config, workdir: str, *, verbose: bool = True) -> bool:
    """`train_and_evaluate` without what follows the last step; whether any step was made."""
    return _train(config, workdir, _connect(config), verbose=verbose)[2]


def _connect(config: Config) -> Cluster:
    """The devices of a run, which come before TensorFlow's first operation; a bad config comes before them."""
    config_lib.validate(config)
    return connect(config.training.strategy)


def _train(config: Config, workdir: str, cluster: Cluster, *, verbose: bool) -> tuple[Config, DataSet, bool]:
    """The config with the data's shape, the data, and whether any step was missing and made."""
    if cluster.is_chief:  # to look is to make the folder for a moment, which one may do at a time
        check_folder(workdir, flag="--workdir")
    dataset = load_data(config)
    # To count labels may take a pass over the data.
    num_labels = dataset.labels_for(config.data) if config.model.conditional else 0
    found = dataclasses.replace(
        config.data, item_shape=dataset.item_shape, num_labels=num_labels, encoding=dataset.encoding
    )
    config = dataclasses.replace(config, data=found)
    training, state, verbose = config.training, RunState(), verbose and cluster.is_chief
    place = WorkDir(workdir)
    with cluster.watched(), cluster.checkpoints(place.checkpoints) as saved_in:
        with cluster.strategy.scope():
            vae = fresh_model(config, dataset)
        # All that can be wrong has been seen by now: from here on the folder is written to.
        place.claim(config, write=cluster.is_chief)
        checkpoints = Checkpoints(
            place.checkpoints, vae, state=state, keep=training.checkpoints_to_keep, saved_in=saved_in
        )
        start = _common(cluster, checkpoints.restore_newest() or 0, workdir)
        if verbose:
            print(f"training: the KL is {_KL[vae.kl_estimator]}", file=sys.stderr)
        if state.stopped.numpy() or start >= training.num_epochs * dataset.train.steps_per_epoch(training.batch_size):
            if verbose:
                print(f"training: finished before, at step {start}", file=sys.stderr)
            return config, dataset, False
        fit(config, place, dataset, vae, state, checkpoints, cluster=cluster, start=start, verbose=verbose)
    return config, dataset, True


def _common(cluster: Cluster, start: int, workdir: str) -> int:
    """The step that all workers start from; raises `InputError` where they found different ones."""
    steps = [int(step) for step in cluster.gather(start)]
    if len(set(steps)) > 1:
        found = ", ".join(f"worker {worker} step {step}" for worker, step in enumerate(steps))
        raise InputError(f"--workdir: {workdir} is not the same on all workers ({found}), expected a shared folder")
    return start


def _finish(
    config: Config, place: WorkDir, dataset: DataSet, *, export_dir: str, checkpoint: str, trained: bool
) -> Result:
    """Evaluates, draws and exports what is missing for the chosen checkpoint."""
    vae, _, step = place.load_model(checkpoint=checkpoint)
    missing = [name for name in ("evaluation", "pictures") if outputs.is_missing(place, name, step)]
    if "evaluation" in missing:
        outputs.write_evaluation(
            place, vae, config, dataset, split="test", measures=_MEASURES, step=step,
            estimator=Importance(num_samples=config.evaluation.num_samples),
        )  # fmt: skip
    if "pictures" in missing:
        outputs.write_pictures(place, vae, *pictured(vae, dataset.test), step=step)
    if outputs.is_missing(place, outputs.export_name(export_dir), step):
        outputs.write_export(place, vae, config, export_dir, step=step)
    if missing or not os.path.exists(place.file(REPORT)):
        write_report(place, vae, config, step=step)
    return Result(
        trained=trained,
        step=step,
        evaluation=read_json(place.evaluation_file),
        pictures=outputs.files_of(place, "pictures"),
        export=outputs.files_of(place, outputs.export_name(export_dir))[0],
        conditional=config.model.conditional,
    )
