"""From a config to a model and the data of its steps, and `fit` with everything around it."""

import contextlib
import functools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
import tf_keras

from tfvae import data
from tfvae.build import build_vae
from tfvae.config import Config
from tfvae.data import WHOLE, DataSet, Part, Split
from tfvae.devices import Cluster
from tfvae.errors import InputError
from tfvae.training.callbacks import Keeper, Progress, TensorBoard
from tfvae.training.checkpoints import Checkpoints, RunState
from tfvae.training.optimizers import make_optimizer, resolve_schedules
from tfvae.training.workdir import WorkDir
from tfvae.vae import VAE

_JIT: dict[str, bool | str] = {"auto": "auto", "on": True, "off": False}
_MOST_STEPS_PER_EXECUTION = 100
_LARGEST_STACK = 2**26  # bytes of the batches of one execution
_STEPS_OF_REPLICAS = 10
_NUM_PICTURED = 50


def load_data(config: Config) -> DataSet:
    """The data of a run, checked against the likelihood's support."""
    return data.load(config.data, check=config.model.likelihood.check)


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
    together = steps_at_once(config, dataset) if jit else 1
    if vae.distribute_strategy.num_replicas_in_sync > 1:
        # Replicas meet, and Python is asked, once an execution.
        together = min(_STEPS_OF_REPLICAS, steps_at_once(config, dataset))
    steps = training.steps_per_execution or together
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


def steps_at_once(config: Config, dataset: DataSet) -> int:
    """As many as keep the machine busy, and their batches in memory."""
    batch = 4 * config.training.batch_size * int(np.prod(dataset.item_shape))  # as floats, which stacks rarely are
    return min(_MOST_STEPS_PER_EXECUTION, max(1, _LARGEST_STACK // batch))


def training_data(
    vae: VAE, dataset: DataSet, *, batch_size: int, seed: int, first_step: int = 0, part: Part = WHOLE
) -> tf.data.Dataset:
    """What `vae.fit` takes: stacks of batches for the compiled model, or batches where replicas share each out.

    Args:
      vae: the compiled model.
      dataset: whose training split is wanted.
      batch_size, seed, first_step, part: see `Split.training_batches`.
    """
    many = vae.distribute_strategy.num_replicas_in_sync > 1
    batches = (
        functools.partial(dataset.train.training_batches, part=part)
        if many
        else functools.partial(dataset.train.training_stacks, steps=vae.steps_at_once)
    )
    return batches(batch_size=batch_size, seed=seed, first_step=first_step, labels=bool(vae.num_labels))


def fit(
    config: Config, place: WorkDir, dataset: DataSet, vae: VAE, state: RunState, checkpoints: Checkpoints, *,
    cluster: Cluster, start: int, verbose: bool,
) -> None:  # fmt: skip
    """Makes the steps that a run lacks, by `vae.fit` with everything around it: progress, TensorBoard, checkpoints.

    Args:
      config, place, dataset: of the run.
      vae: as `fresh_model` made it, or restored.
      state: of the run; may end it early.
      checkpoints: where to save.
      cluster: of the workers that take part.
      start: steps that were made before.
      verbose: shows progress.

    Raises:
      InputError: when the loss is not finite, or an example of a stream cannot be read.
    """
    training = config.training
    steps_per_epoch = dataset.train.steps_per_epoch(training.batch_size)
    num_examples = dataset.train.num_examples
    keeper = Keeper(
        checkpoints, state, patience=training.early_stopping_patience, steps_per_epoch=steps_per_epoch,
        gather=cluster.gather,
    )  # fmt: skip
    progress = Progress(num_examples=num_examples, num_epochs=training.num_epochs, batch_size=training.batch_size)
    shown: list[tf_keras.callbacks.Callback] = [progress] if verbose else []
    if cluster.is_chief:
        examples = pictured(vae, dataset.validation)
        # The board reads the state before the keeper may end the run.
        shown.insert(0, TensorBoard(place.file("logs"), config, examples=examples, num_examples=num_examples))
    labels, part = bool(vae.num_labels), Part(cluster.worker, cluster.num_workers)
    validation = dataset.validation.evaluation_batches(batch_size=training.batch_size, labels=labels, part=part)
    step, total_steps = start, training.num_epochs * steps_per_epoch
    with keeper, progress, _readable(dataset):
        while step < total_steps and not state.stopped.numpy():
            # A run stopped inside an epoch makes the rest of it first: Keras counts in whole epochs.
            epoch, offset = divmod(step, steps_per_epoch)
            batches = training_data(
                vae, dataset, batch_size=training.batch_size, seed=training.seed, first_step=step, part=part
            )
            vae.fit(
                cluster.feed(batches),
                initial_epoch=epoch,
                epochs=epoch + 1 if offset else training.num_epochs,
                steps_per_epoch=steps_per_epoch - offset,
                validation_data=cluster.feed(validation),
                validation_steps=dataset.validation.steps_per_epoch(training.batch_size),
                callbacks=[*shown, keeper],
                verbose=0,
            )
            step = int(vae.steps.numpy())


def pictured(vae: VAE, split: Split) -> tuple[np.ndarray, np.ndarray | None]:
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
