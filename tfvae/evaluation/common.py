"""What estimators and measures share: examples in batches of one shape, codes of a split, the error of a mean."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae import random
from tfvae.data import Split
from tfvae.reparameterization import moments
from tfvae.rows import plain_rows
from tfvae.vae import VAE

_DRAWS_FOR_MOMENTS = 100  # where no closed form of a posterior's mean is known


class NotApplicable(Exception):  # noqa: N818, it says that nothing is wrong
    """A measure cannot be had of this model or these data; its text is the reason, for the report."""


@dataclasses.dataclass(frozen=True)
class Batch:
    """Rows of a static number; those from `count` on repeat the others.

    Attributes:
      x: float32 `[batch_size, *item_shape]`.
      labels: int64 `[batch_size]`, or None.
      first: the place of the first row in the split.
      count: real rows.
    """

    x: tf.Tensor
    labels: tf.Tensor | None
    first: int
    count: int


def batches(
    split: Split, *, batch_size: int, labels: bool, first: int = 0, max_examples: int | None = None
) -> Iterator[Batch]:
    """The examples from place `first` to `max_examples`, in batches of one static shape: one program serves all.

    Args:
      split: the examples.
      batch_size: rows of each batch.
      labels: whether to give the labels too.
      first: where to begin, a multiple of `batch_size`.
      max_examples: where to end; None: all.
    """
    stream = split.evaluation_batches(batch_size=batch_size, labels=labels).skip(first // batch_size)
    end = split.num_examples if max_examples is None else min(max_examples, split.num_examples)
    for batch in stream:
        if first >= end:
            return
        x, given = batch if labels else (batch, None)
        count = min(int(x.shape[0]), end - first)
        x, given = (v if v is None else tf.gather(v, tf.range(batch_size) % count) for v in (x, given))
        yield Batch(x, given, first, count)
        first += count


@dataclasses.dataclass(frozen=True)
class Codes:
    """q(z|x) of the examples of a split by its moments.

    Attributes:
      mean, stddev: float32 `[n, latent_size]`.
      labels: int64 `[n]`, or None where the split has none.
    """

    mean: np.ndarray
    stddev: np.ndarray
    labels: np.ndarray | None


def encode_split(
    vae: VAE, split: Split, *, seed: int = 0, max_examples: int | None = None, batch_size: int = 500
) -> Codes:
    """Encodes the first `max_examples` of a split, streamed.

    Args:
      vae: the model.
      split: the examples.
      seed: of draws, which stand in for moments that no closed form is known of.
      max_examples: None: all.
      batch_size: examples at once.
    """

    # Without XLA, which would take longer to compile this one pass than the pass takes.
    @tf.function(autograph=False)
    def encode(x: tf.Tensor, labels: tf.Tensor | None, first: tf.Tensor) -> Any:
        keys = random.row_keys(seed, random.EVALUATION, rows=first + tf.range(batch_size, dtype=tf.int64))
        noise = random.normals(keys, vae.latent_size, num_samples=_DRAWS_FOR_MOMENTS)
        with plain_rows(batch_size, labels=labels).current():
            return tf.stack(moments(vae.encode(x), noise))

    with_labels, found, labels = split.has_labels, [], []
    for batch in batches(split, batch_size=batch_size, labels=with_labels, max_examples=max_examples):
        given = batch.labels if vae.num_labels else None
        found.append(encode(batch.x, given, tf.constant(batch.first, tf.int64)).numpy()[:, : batch.count])
        if batch.labels is not None:
            labels.append(batch.labels.numpy()[: batch.count])
    mean, stddev = np.concatenate(found, axis=1)
    return Codes(mean, stddev, np.concatenate(labels) if with_labels else None)


def standard_error(values: np.ndarray) -> float | None:
    """Of the mean of `values` `[n]`; None for one, which tells nothing of it."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
