"""Signatures over whole inputs, some examples at a time: codes for other programs, maps and TensorBoard's projector."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from tfvae import random
from tfvae.data.dataset import readable
from tfvae.errors import InputError
from tfvae.export.module import SIGNATURES
from tfvae.inference.columns import Columns, writing
from tfvae.inference.inputs import Examples, check_label
from tfvae.inference.model import Model, seeds

# Examples that are in memory, and go through the model, at once. Results are the same to the last bit only where a
# batch has the same size, and a row the same place in it: `tfvae.inference.bulk` keeps to these batches.
ROWS = 250


@dataclasses.dataclass(frozen=True)
class Batch:
    """Some examples of an input, in its order.

    Attributes:
      index: their places in it, int64 `[n]`.
      x: `[n, *item_shape]`.
      labels: int64 `[n]`, None where the input has none.
      names: of files, `[n]`, None where there are none.
    """

    index: np.ndarray
    x: np.ndarray
    labels: np.ndarray | None
    names: np.ndarray | None

    @classmethod
    def joined(cls, parts: Sequence["Batch"]) -> "Batch":
        """Batches of one input as one."""

        def join(name: str) -> Any:
            values = [getattr(part, name) for part in parts]
            return None if values[0] is None else np.concatenate(values)

        return cls(*(join(field.name) for field in dataclasses.fields(cls)))

    def columns(self) -> Columns:
        """`index`, and `name` and `label` where there are some."""
        known = {"index": self.index, "name": self.names, "label": self.labels}
        return {name: values for name, values in known.items() if values is not None}


def signatures() -> tuple[str, ...]:
    """The signatures that take an item and nothing else but a seed."""
    return tuple(name for name, one in SIGNATURES.items() if {"item"} <= set(one.inputs) <= {"item", "seed"})


def check_signature(name: str) -> None:
    """Raises `InputError` for a signature that cannot be used on examples alone."""
    if name not in signatures():
        raise InputError(f"--signature: received {name!r}, expected one of: {', '.join(signatures())}")


def evenly_spaced(examples: Examples, count: int) -> np.ndarray:
    """The places of `count` examples over all of an input, whose order may be that of its labels; of fewer all."""
    size = examples.split.num_examples
    return np.arange(size) if size <= count else np.arange(count) * size // count


def batches(
    examples: Examples, *, places: np.ndarray | None = None, batch_size: int = ROWS, progress: str = ""
) -> Iterator[Batch]:
    """One pass over an input.

    Args:
      examples: the input.
      places: of those to give, increasing; None: all.
      batch_size: examples that are read at once; fewer are given where some are left out.
      progress: the name of a bar on a terminal; empty: none.
    """
    split, end = examples.split, 0
    names = np.array(examples.names, np.str_) if examples.names else None
    bar = tqdm(
        total=split.num_examples if places is None else len(places), desc=progress, unit=" examples",
        disable=None if progress else True,
    )  # fmt: skip
    with bar, readable(split.source):
        for given in split.evaluation_batches(batch_size=batch_size, labels=split.has_labels):
            x, labels = given if split.has_labels else (given, None)
            index = np.arange(end, end + int(x.shape[0]))
            end += len(index)
            here = slice(None) if places is None else np.isin(index, places)
            index = index[here]
            if len(index):
                yield Batch(
                    index,
                    x.numpy()[here],
                    None if labels is None else labels.numpy()[here],
                    None if names is None else names[index],
                )
                bar.update(len(index))
            if places is not None and (not len(places) or end > places[-1]):
                return  # the rest need not be read


def outputs(
    model: Model, name: str, batch: Batch, examples: Examples, *, label: int | None = None, seed: int = 0
) -> Columns:
    """What a signature gives for a batch: each row from a seed that belongs to its place in the input.

    Args:
      model: the model.
      name: of a signature among `signatures`.
      batch: of `batches`.
      examples: the input that it is of.
      label: that a conditional model is given with every example, in place of the example's own.
      seed: of draws.

    Raises:
      InputError: where the model has no such signature, or a conditional one is given no label that it has.
    """
    given: dict[str, Any] = {"item": batch.x}
    if "seed" in SIGNATURES[name].inputs:
        given["seed"] = seeds(seed, 1, use=random.EVALUATION) + batch.index
    if label is None:
        labels = examples.given_labels(model, batch.labels, None, places=batch.index)
    else:
        labels = np.full(len(batch.x), check_label(model, label))
    return model.rows(name, labels=labels, **given)


def write(
    model: Model,
    examples: Examples,
    path: str,
    *,
    name: str = "encode",
    label: int | None = None,
    seed: int = 0,
    batch_size: int = ROWS,
    progress: bool = False,
) -> int:
    """Writes what a signature gives for every example: see `tfvae.inference.columns.writing`.

    Columns are `index`, the place in the input; `name`, of a file, and `label` where there are some; and the
    signature's outputs, such as `mean` and `stddev` of q(z|x). Memory holds one batch.

    Args:
      model, examples, label, seed: see `outputs`.
      path: of an NPZ, TFRecord or CSV file.
      name: of a signature among `signatures`.
      batch_size: examples at once.
      progress: whether to show it on a terminal.

    Returns:
      the number of examples.

    Raises:
      InputError: as `outputs`; nothing is then written.
    """
    check_signature(name)
    count = 0
    with writing(path) as add:
        for batch in batches(examples, batch_size=batch_size, progress=name if progress else ""):
            add(batch.columns() | outputs(model, name, batch, examples, label=label, seed=seed))
            count += len(batch.x)
    return count


@dataclasses.dataclass(frozen=True)
class Codes:
    """Posterior means in memory, with what they are of.

    Attributes:
      z: `[n, latent_size]`.
      examples: what they are the codes of, in one batch.
      label_names: names of the labels 0, 1, ...; empty where none are known.
      total: examples of the input, of which these are some.
    """

    z: np.ndarray
    examples: Batch
    label_names: tuple[str, ...]
    total: int


def codes(model: Model, examples: Examples, *, count: int, label: int | None = None, progress: bool = False) -> Codes:
    """The posterior means of at most `count` examples, evenly spaced over the input; arguments as `write`."""
    places = evenly_spaced(examples, count)
    parts, z = [], []
    for batch in batches(examples, places=places, progress="encode" if progress else ""):
        parts.append(batch)
        z.append(outputs(model, "encode", batch, examples, label=label)["mean"])
    return Codes(np.concatenate(z), Batch.joined(parts), examples.label_names, examples.split.num_examples)
