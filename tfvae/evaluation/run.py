"""Runs an estimator over a split: batch by batch, with progress, going on where it was interrupted."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import json
import math
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae import random
from tfvae.config import validate
from tfvae.data import Split
from tfvae.errors import InputError
from tfvae.evaluation.common import Batch, batches
from tfvae.evaluation.estimators.base import Columns, Estimator, average
from tfvae.files import npz, write_atomically
from tfvae.rows import plain_rows
from tfvae.vae import VAE

_SECONDS_BETWEEN_SAVES = 10.0
_DIGESTED = 1_000  # examples at once


@dataclasses.dataclass(frozen=True)
class Result:
    """What an estimator found.

    Attributes:
      summary: averages over the examples, with their units, as JSON holds them.
      columns: one number for each example, `[num_examples]` each: nats but for counts and probabilities.
    """

    summary: dict[str, Any]
    columns: Columns


class Partial:
    """The examples that a run has done, kept in a file until it ends.

    Args:
      path: of the file; None: nothing is kept.
      fingerprint: what the numbers hang on: a file of another run is not gone on with.
    """

    def __init__(self, path: str | None, fingerprint: dict[str, Any]) -> None:
        self._path, self._fingerprint = path, json.dumps(fingerprint, sort_keys=True)
        self._saved = time.monotonic()

    def load(self) -> Columns:
        """What was done; empty where there is nothing, or of another run, or damaged."""
        if self._path is None or not os.path.exists(self._path):
            return {}
        with contextlib.suppress(Exception), open(self._path, "rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if str(archive["fingerprint"]) == self._fingerprint:
                return {name: archive[name] for name in archive.files if name != "fingerprint"}
        return {}

    def save(self, columns: Columns, *, now: bool = False) -> None:
        """Keeps what is done, if it is some seconds since the last time."""
        if self._path is None or not columns or (not now and time.monotonic() - self._saved < _SECONDS_BETWEEN_SAVES):
            return
        write_atomically(self._path, npz(columns | {"fingerprint": np.array(self._fingerprint)}))
        self._saved = time.monotonic()

    def remove(self) -> None:
        """Forgets all: the run has ended."""
        if self._path is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)


def estimate(
    vae: VAE,
    split: Split,
    estimator: Estimator,
    *,
    seed: int = 0,
    num_levels: int | None = None,
    batch_size: int | None = None,
    partial: str | None = None,
    version: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Estimates log p(x) of each example of a split.

    Args:
      vae: a compiled or uncompiled model.
      split: the examples.
      estimator: and its settings.
      seed: of all noise.
      num_levels: grey levels that dequantization filled, for bits per dimension of a
        continuous likelihood; None: not dequantized.
      batch_size: examples at once; None: the estimator's.
      partial: a file that keeps what is done: a call with the same file goes on from there. Its owner removes it when
        the result is where it belongs.
      version: what else the numbers hang on, such as the step of the checkpoint.
      progress: called with (examples done, examples in all), first with those that were done before.

    Raises:
      InputError: for a setting out of its limits, examples that p(x|z) has no density or mass at, and figures that
        are not finite.
    """
    validate(estimator)
    batch_size = batch_size or estimator.rows_at_once(vae)
    total = min(split.num_examples, estimator.max_examples or split.num_examples)
    kept = Partial(
        partial,
        {"estimator": [estimator.tag, estimator.settings()], "split": split.name, "seed": seed, "total": total,
         "batch_size": batch_size, "version": version, "examples": _digest(split) if partial else 0},
    )  # fmt: skip
    columns = kept.load()
    done = min(map(len, columns.values()), default=0)
    columns_of = functools.partial(_program(vae, estimator, batch_size), tf.constant(seed, tf.int64))
    if progress:
        progress(done, total)
    try:
        stream = batches(split, batch_size=batch_size, labels=bool(vae.num_labels), first=done, max_examples=total)
        checked = stream if estimator.simulates else _checked(vae, split, stream)
        for batch, found in _at_once(columns_of, checked, workers=_workers(vae)):
            columns = {
                name: np.concatenate([columns.get(name, []), values[: batch.count]]) for name, values in found.items()
            }
            done += batch.count
            kept.save(columns)
            if progress:
                progress(done, total)
    except BaseException:
        kept.save(columns, now=True)
        raise
    kept.save(columns, now=True)
    try:
        _refuse_bad(split, estimator, columns)
    except InputError:
        kept.remove()  # or examples put right would be refused again
        raise
    return Result(summarize(vae, split, estimator, columns, num_levels=num_levels, seed=seed), columns)


def _digest(split: Split) -> int:
    """A number that other examples have not."""
    found = 0
    for x in split.evaluation_batches(batch_size=_DIGESTED):
        found = zlib.crc32(x.numpy().tobytes(), found)
    return found


def _checked(vae: VAE, split: Split, stream: Iterator[Batch]) -> Iterator[Batch]:
    """The batches; where p(x|z) is a mass, examples must have one: TFP gives numbers for grey pixels too."""
    if not np.any(np.asarray(vae.support.step) > 0):
        yield from stream
        return
    with plain_rows(1, labels=tf.zeros([1], tf.int64)).current():
        likelihood = vae.decode(tf.zeros([1, vae.latent_size]))
    kind = type(getattr(likelihood, "distribution", likelihood)).__name__.strip("_")
    for batch in stream:
        vae.support.check(batch.x.numpy()[: batch.count], field=f"data.source, {split.name} split", likelihood=kind)
        yield batch


def _program(vae: VAE, estimator: Estimator, batch_size: int) -> Callable[..., dict[str, tf.Tensor]]:
    """`_compiled`, or what the last call compiled for the same: its weights are the model's own, whatever they are."""
    key = (estimator.tag, json.dumps(estimator.settings(), sort_keys=True), batch_size, vae.use_jit("auto"))
    # Beside what Keras tracks: a program is no part of a checkpoint.
    made = vae.__dict__.get("_estimation")
    if made is None or made[0] != key:
        made = vae.__dict__["_estimation"] = key, _compiled(vae, estimator, batch_size)
    return made[1]


def _compiled(vae: VAE, estimator: Estimator, batch_size: int) -> Callable[..., dict[str, tf.Tensor]]:
    """(seed, x, labels, place of the first row) -> the estimator's columns."""

    def keys_from(seed: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
        return random.row_keys(seed, random.EVALUATION, rows=first + tf.range(batch_size, dtype=tf.int64))

    # Samplers of some distributions do not compile, and draws of a compiled one are others.
    @tf.function(autograph=False)
    def simulate(seed: tf.Tensor, labels: tf.Tensor | None, first: tf.Tensor) -> Any:
        with plain_rows(batch_size, labels=labels).current():
            return estimator.simulate(vae, keys_from(seed, first))

    @tf.function(jit_compile=vae.use_jit("auto"), autograph=False)
    def compiled(seed: tf.Tensor, x: tf.Tensor, labels: tf.Tensor | None, z: tf.Tensor | None, first: tf.Tensor) -> Any:
        with plain_rows(batch_size, labels=labels).current():
            return estimator.estimate(vae, x, keys_from(seed, first), z)

    def columns(seed: tf.Tensor, x: tf.Tensor, labels: tf.Tensor | None, first: tf.Tensor) -> dict[str, tf.Tensor]:
        z = None
        if estimator.simulates:
            z, x = simulate(seed, labels, first)
        return compiled(seed, x, labels, z, first)

    return columns


def _workers(vae: VAE) -> int:
    """Batches at once: XLA runs a loop on one core of a CPU, all else uses the whole machine as it is."""
    if not vae.use_jit("auto") or tf.config.list_logical_devices("GPU"):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _at_once(
    columns_of: Callable[..., dict[str, tf.Tensor]], stream: Iterator[Batch], *, workers: int
) -> Iterator[tuple[Batch, Columns]]:
    """Batches and their columns in order, while up to `workers` of them are worked on."""

    def work(batch: Batch) -> tuple[Batch, Columns]:
        found = columns_of(batch.x, batch.labels, tf.constant(batch.first, tf.int64))
        return batch, {name: values.numpy() for name, values in found.items()}

    waiting: collections.deque[concurrent.futures.Future[tuple[Batch, Columns]]] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        try:
            for batch in stream:
                waiting.append(pool.submit(work, batch))
                if len(waiting) >= workers:
                    yield waiting[0].result()
                    waiting.popleft()
            while waiting:
                yield waiting[0].result()
                waiting.popleft()
        except (KeyboardInterrupt, SystemExit):
            # What a thread has begun it ends anyway: it is not thrown away.
            print("\nfinishing what has begun", file=sys.stderr, flush=True)
            for future in waiting:
                yield future.result()
            raise


def _refuse_bad(split: Split, estimator: Estimator, columns: Columns) -> None:
    # An error that is not known is NaN.
    numbers = np.array([values for name, values in columns.items() if "variance" not in name])
    bad = np.flatnonzero(~np.isfinite(numbers).all(axis=0))
    if bad.size:
        what = "simulated examples" if estimator.simulates else "examples"
        raise InputError(
            f"data.source: {bad.size} of {numbers.shape[1]} {what} of the {split.name} split have figures that are not "
            f"finite, the first at place {bad[0]}, expected examples like those of training"
        )


def summarize(
    vae: VAE, split: Split, estimator: Estimator, columns: Columns, *, num_levels: int | None, seed: int
) -> dict[str, Any]:
    """What the columns say, as JSON holds it."""
    of_all = average(columns)
    dimensions = math.prod(vae.item_shape)
    # A probability mass is what it is: a density must be multiplied by the width of a level.
    levels = 1 if vae.support.discrete else num_levels
    bits, error = bits_per_dim(of_all["log_likelihood"], dimensions, levels), of_all["log_likelihood_standard_error"]
    return {
        "split": split.name,
        "num_examples": len(columns["log_likelihood"]),
        **({"simulated": True} if estimator.simulates else {}),
        **of_all,
        **estimator.summary(columns),
        "bits_per_dim": bits,
        "bits_per_dim_standard_error": None if bits is None or error is None else error / (dimensions * math.log(2.0)),
        "units": "nats",
        "estimator": estimator.tag,
        "settings": estimator.settings(),
        "seed": seed,
        "method": estimator.method,
        "warnings": estimator.warnings(vae, columns),
    }


def bits_per_dim(log_likelihood: float, dimensions: int, num_levels: int | None) -> float | None:
    """-log2 of the probability of one grey level for each dimension (Theis et al. 2016, section 3.1).

    Args:
      log_likelihood: nats per example: of a mass (`num_levels` 1), or of a density of
        data dequantized to [0, 1].
      dimensions: of one example.
      num_levels: each level is 1 / num_levels wide; None: unknown.
    """
    if num_levels is None:
        return None
    # p(level) is about p(x) / num_levels in each dimension.
    return -log_likelihood / (dimensions * math.log(2.0)) + math.log2(num_levels)
