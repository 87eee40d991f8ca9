"""Trains, evaluates, draws and exports: one call from a config to a work directory."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tfvae import config as config_lib
from tfvae import data
from tfvae.build import build_vae
from tfvae.config import Config
from tfvae.data import DataSet, Split
from tfvae.errors import InputError
from tfvae.evaluation import Importance
from tfvae.files import check_folder, read_json
from tfvae.training import outputs
from tfvae.training.callbacks import Keeper, Progress, TensorBoard
from tfvae.training.checkpoints import Checkpoints, RunState
from tfvae.training.optimizers import make_optimizer, make_strategy, resolve_schedules
from tfvae.training.run_report import REPORT, write_report
from tfvae.training.workdir import WorkDir
from tfvae.vae import VAE

_JIT: dict[str, bool | str] = {"auto": "auto", "on": True, "off": False}
_MOST_STEPS_PER_EXECUTION = 100
_NUM_PICTURED = 50
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
) -> Result:
    """Trains into `workdir`, or goes on where it was; makes what is missing of evaluation, pictures and export.

    Args:
      config: of the run; see `WorkDir.claim` for what may change between calls.
      workdir: folder of the run.
      export_dir: folder of the SavedModel's versions.
      checkpoint: which one to evaluate and export, `best` or `last`.
      verbose: shows progress.

    Raises:
      InputError: for bad input, before anything is written; or when the loss is not finite.
    """
    check_folder(export_dir, flag="--export_dir")
    config, dataset, trained = _train(config, workdir, verbose=verbose)
    return _finish(config, WorkDir(workdir), dataset, export_dir=export_dir, checkpoint=checkpoint, trained=trained)


def train(config: Config, workdir: str, *, verbose: bool = True) -> bool:
    """`train_and_evaluate` without what follows the last step; whether any step was made."""
    return _train(config, workdir, verbose=verbose)[2]


def load_data(config: Config) -> DataSet:
    """The data of a run, checked against the likelihood's support."""
    return data.load(config.data, check=config.model.likelihood.check)


def _train(config: Config, workdir: str, *, verbose: bool) -> tuple[Config, DataSet, bool]:
    """The config with the data's shape, the data, and whether any step was missing and made."""
    config_lib.validate(config)
    check_folder(workdir, flag="--workdir")
    dataset = load_data(config)
    # To count labels may take a pass over the data.
    num_labels = dataset.labels_for(config.data) if config.model.conditional else 0
    found = dataclasses.replace(
        config.data, item_shape=dataset.item_shape, num_labels=num_labels, encoding=dataset.encoding
    )
    config = dataclasses.replace(config, data=found)
    training, state = config.training, RunState()
    with make_strategy(training.strategy).scope():
        vae = fresh_model(config, dataset)
    # All that can be wrong has been seen by now: from here on the folder is written to.
    place = WorkDir(workdir)
    place.claim(config)
    checkpoints = Checkpoints(place.checkpoints, vae, state=state, keep=training.checkpoints_to_keep)
    start = checkpoints.restore_newest() or 0
    if verbose:
        print(f"training: the KL is {_KL[vae.kl_estimator]}", file=sys.stderr)
    if state.stopped.numpy() or start >= training.num_epochs * dataset.train.steps_per_epoch(training.batch_size):
        if verbose:
            print(f"training: finished before, at step {start}", file=sys.stderr)
        return config, dataset, False
    fit(config, place, dataset, vae, state, checkpoints, start=start, verbose=verbose)
    return config, dataset, True


def fresh_model(config: Config, dataset: DataSet) -> VAE:
    """The compiled model of a config with fresh weights and its optimizer, for `fit`.

    Args:
      config: whose `data` knows the shape and the labels of the data set.
      dataset: for the size of an epoch, and for the parts that begin from data.

    Raises:
      InputError: for parts that do not fit together or to the data.
    """
    training = config.training
    tf_keras.utils.set_random_seed(training.seed)
    steps_per_epoch = dataset.train.steps_per_epoch(training.batch_size)
    total_steps = training.num_epochs * steps_per_epoch
    # Refuses a batch larger than the data, and data without labels for a conditional model.
    dataset.train.training_batches(batch_size=training.batch_size, seed=training.seed, labels=config.model.conditional)
    vae = build_vae(
        config.model,
        dataset.item_shape,
        num_labels=config.data.num_labels,
        data_mean=dataset.train.mean(),
        examples=dataset.train.examples,
        seed=training.seed,
        precision=training.precision,
    )
    jit = vae.use_jit(_JIT[training.jit_compile])
    steps = training.steps_per_execution or (_MOST_STEPS_PER_EXECUTION if jit else 1)
    vae.compile(
        make_optimizer(training, total_steps),
        objective=resolve_schedules(config.objective, total_steps),
        jit_compile=jit,
        steps_per_execution=min(steps, steps_per_epoch),
        batch_size=training.batch_size,
        num_examples=dataset.train.num_examples,
    )
    vae.optimizer.build(vae.trainable_variables)
    return vae


def fit(
    config: Config, place: WorkDir, dataset: DataSet, vae: VAE, state: RunState, checkpoints: Checkpoints, *,
    start: int, verbose: bool,
) -> None:  # fmt: skip
    """Makes the steps that a run lacks, by `vae.fit` with everything around it: progress, TensorBoard, checkpoints.

    Args:
      config, place, dataset: of the run.
      vae: as `fresh_model` made it, or restored.
      state: of the run; may end it early.
      checkpoints: where to save.
      start: steps that were made before.
      verbose: shows progress.

    Raises:
      InputError: when the loss is not finite, or an example of a stream cannot be read.
    """
    training = config.training
    steps_per_epoch = dataset.train.steps_per_epoch(training.batch_size)
    num_examples = dataset.train.num_examples
    keeper = Keeper(checkpoints, state, patience=training.early_stopping_patience, steps_per_epoch=steps_per_epoch)
    progress = Progress(num_examples=num_examples, num_epochs=training.num_epochs, batch_size=training.batch_size)
    board = TensorBoard(
        place.file("logs"), config, examples=_pictured(vae, dataset.validation), num_examples=num_examples
    )
    labels = bool(vae.num_labels)
    step, total_steps = start, training.num_epochs * steps_per_epoch
    with keeper, progress, _readable(dataset):
        while step < total_steps and not state.stopped.numpy():
            # A run stopped inside an epoch makes the rest of it first: Keras counts in whole epochs.
            epoch, offset = divmod(step, steps_per_epoch)
            vae.fit(
                dataset.train.training_batches(
                    batch_size=training.batch_size, seed=training.seed, first_step=step, labels=labels
                ),
                initial_epoch=epoch,
                epochs=epoch + 1 if offset else training.num_epochs,
                steps_per_epoch=steps_per_epoch - offset,
                validation_data=dataset.validation.evaluation_batches(batch_size=training.batch_size, labels=labels),
                # The board reads the state before the keeper may end the run.
                callbacks=[board, *([progress] if verbose else []), keeper],
                verbose=0,
            )
            step = int(vae.steps.numpy())


def _pictured(vae: VAE, split: Split) -> tuple[np.ndarray, np.ndarray | None]:
    """The examples of pictures, and their labels for a conditional model."""
    return split.examples(_NUM_PICTURED, labels=True) if vae.num_labels else (split.examples(_NUM_PICTURED), None)


@contextlib.contextmanager
def _readable(dataset: DataSet) -> Iterator[None]:
    """Says in one line that an example of a stream cannot be read, which shows only when its turn comes."""
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError) as error:
        if dataset.train.storage.in_memory:
            raise
        raise InputError(
            f"data.source: received {dataset.name!r} with an example that cannot be read "
            f"({str(error.message).splitlines()[0][:300]}), expected images of one kind and size; "
            "the last checkpoint is kept"
        ) from error


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
        outputs.write_pictures(place, vae, *_pictured(vae, dataset.test), step=step)
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
