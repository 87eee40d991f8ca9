"""Training that is looked at while it goes on: what is measured at given numbers of steps."""

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.config import Config
from tfvae.data import DataSet, Split
from tfvae.data.pipeline import Preparation
from tfvae.data.storage import Arrays
from tfvae.files import read_json, write_json
from tfvae.training.fitting import fresh_model, load_data
from tfvae.vae import VAE

_LARGE = 1_000  # examples at once where nothing is learned


@dataclasses.dataclass
class Fresh:
    """A model with its first weights, and its data.

    Attributes:
      vae: compiled.
      config: with the data's shape.
      dataset: to learn from.
    """

    vae: VAE
    config: Config
    dataset: DataSet


def fresh(config: Config, *, num_train: int | None = None, dataset: DataSet | None = None) -> Fresh:
    """The data of a config and a model with the first weights of its seed.

    Args:
      config: of both.
      num_train: how many of the training examples, the first ones; None: all.
      dataset: that of the config, where it is loaded already.
    """
    dataset = dataset or load_data(config)
    dataset = dataset if num_train is None else cut(dataset, num_train)
    data = dataclasses.replace(config.data, item_shape=dataset.item_shape, encoding=dataset.encoding)
    config = dataclasses.replace(config, data=data)
    return Fresh(vae=fresh_model(config, dataset), config=config, dataset=dataset)


def spread_steps(total: int, count: int, *, first: int = 1) -> list[int]:
    """`count` numbers of steps up to `total`, evenly spread on a logarithmic axis; fewer where they coincide."""
    return sorted({round(float(step)) for step in np.geomspace(min(first, total), total, count)})


def num_samples_at(step: int, split: Split, batch_size: int) -> int:
    """Training examples in the first `step` batches: the last batch of an epoch may be smaller."""
    epochs, rest = divmod(step, split.steps_per_epoch(batch_size))
    return epochs * split.num_examples + min(rest * batch_size, split.num_examples)


def fit(model: Any, split: Split, *, batch_size: int, seed: int, first: int, last: int, places: bool = False) -> float:
    """Makes the steps from `first` up to `last`, not with it; the seconds that they took."""
    batches = split.training_batches(batch_size=batch_size, seed=seed, first_step=first, labels=places)
    start = time.perf_counter()
    model.fit(batches, steps_per_epoch=last - first, epochs=1, verbose=0)
    return time.perf_counter() - start


def learn(
    model: Any,
    split: Split,
    *,
    batch_size: int,
    seed: int,
    steps: Sequence[int],
    measure: Callable[[], dict[str, Any]],
    places: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Fits a model and measures it after each of `steps`.

    Args:
      model: compiled.
      split: what it learns from.
      batch_size, seed: of training.
      steps: numbers of optimizer steps, rising.
      measure: gives what is kept beside `step`, `samples` and `seconds`, which are of training alone.
      places: whether each x comes with its place among the examples of the split.
      progress: called with a line after each.
    """
    found: list[dict[str, Any]] = []
    split, before, seconds = with_places(split) if places else split, 0, 0.0
    for step in steps:
        seconds += fit(model, split, batch_size=batch_size, seed=seed, first=before, last=step, places=places)
        before = step
        point = {"step": step, "samples": num_samples_at(step, split, batch_size), "seconds": seconds, **measure()}
        found.append(point)
        progress("  " + ", ".join(f"{name} {value:,.6g}" for name, value in point.items()))
    return found


def with_places(split: Split) -> Split:
    """The split with each example's place in it as its label."""
    storage = split.storage
    if not isinstance(storage, Arrays):
        raise ValueError("storage: received a stream, expected arrays in memory")
    places = np.zeros(int(storage.values.shape[0]), np.int64)
    places[storage.rows.numpy()] = np.arange(split.num_examples)
    with tf.device("/cpu:0"):
        return dataclasses.replace(split, storage=dataclasses.replace(storage, labels=tf.constant(places)))


def kept(path: str, compute: Callable[[], Any]) -> Any:
    """What `compute` gives, as JSON holds it, from a file where it was computed before."""
    if not os.path.exists(path):
        write_json(path, {"value": compute()})
    return read_json(path)["value"]


def cut(dataset: DataSet, num_examples: int) -> DataSet:
    """A data set in memory with the first `num_examples` of its training split."""
    storage = dataset.train.storage
    if not isinstance(storage, Arrays) or storage.num_examples < num_examples:
        raise ValueError(f"num_examples: received {num_examples}, expected at most as many as the split has, in memory")
    storage = storage.only(storage.rows.numpy()[:num_examples])
    return dataclasses.replace(dataset, train=dataclasses.replace(dataset.train, storage=storage))


def examples_of(split: Split, count: int) -> np.ndarray:
    """The first `count` examples of a split, or all, prepared as for evaluation."""
    return split.examples(min(count, split.num_examples))


def first(split: Split, count: int) -> Split:
    """A split of those alone."""
    storage, as_they_are = Arrays.build(examples_of(split, count), None), Preparation(scale="none")
    return Split(name=split.name, source=split.source, storage=storage, preparation=as_they_are, split_seed=0)


def elbo(vae: VAE, x: np.ndarray) -> float:
    """The mean ELBO of examples, from one draw of z each, nats."""
    return float(vae.evaluate(tf.data.Dataset.from_tensor_slices(x).batch(_LARGE), verbose=0, return_dict=True)["elbo"])
