"""The devices of a run: its GPUs, the strategy over them, and this worker's place among several.

A worker is one process on one machine, with all GPUs of that machine. Workers find each
other through the environment variable `TF_CONFIG`, as TensorFlow defines it.
"""

import contextlib
import dataclasses
import functools
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context

from tfvae.errors import InputError

EXAMPLE = '{"cluster": {"worker": ["10.0.0.1:4000", "10.0.0.2:4000"]}, "task": {"type": "worker", "index": 0}}'
SILENCE = 60  # seconds
LOST = 75  # sysexits' EX_TEMPFAIL: the same command may be given again

# What TensorFlow raises on a worker when another one has gone; some may mean anything, and must say that they mean it.
_GONE = (tf.errors.AbortedError, tf.errors.DeadlineExceededError, tf.errors.UnavailableError)
_PERHAPS_GONE = (
    tf.errors.CancelledError, tf.errors.FailedPreconditionError, tf.errors.InternalError, tf.errors.UnknownError,
)  # fmt: skip
_OF_OTHERS = re.compile(r"cancel|collective|connect|coordination|heartbeat|peer|rpc|socket|worker:", re.IGNORECASE)


class WorkerLost(SystemExit):
    """Leaves because another worker has gone; `LOST` is the exit code."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The strategy of a run and the workers that take part in it.

    Attributes:
      strategy: over the devices of all workers.
      worker: number of this one; 0 is the chief, which alone writes into the work directory.
      num_workers: 1 but for `multi_worker`.
    """

    strategy: tf.distribute.Strategy
    worker: int = 0
    num_workers: int = 1

    @property
    def is_chief(self) -> bool:
        return self.worker == 0

    def feed(self, batches: tf.data.Dataset) -> Any:
        """What Keras's `fit` takes, of this worker's part of each global batch; of one worker, Keras cuts it itself."""
        if self.num_workers == 1:
            return batches
        local = self.strategy.num_replicas_in_sync // self.num_workers
        if local > 1:
            batches = batches.flat_map(functools.partial(_cut, local))
        # Of an endless dataset no step has to ask all workers whether there is another one.
        endless = batches.repeat().apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        return self.strategy.distribute_datasets_from_function(lambda _: endless)

    def gather(self, value: int) -> np.ndarray:
        """The value of each worker, int64 `[num_workers]`; all workers must call this together."""
        if self.num_workers == 1:
            return np.array([value])
        local = self.strategy.num_replicas_in_sync // self.num_workers
        own = tf.one_hot(self.worker, self.num_workers, dtype=tf.int64) * value
        # The first replica of each worker speaks for it.
        values = self.strategy.experimental_distribute_values_from_function(
            lambda context: own if context.replica_id_in_sync_group % local == 0 else tf.zeros_like(own)
        )
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None).numpy()

    @contextlib.contextmanager
    def checkpoints(self, folder: str) -> Iterator[str]:
        """Where this worker saves: `folder` for the chief. All must save, as metrics are summed over workers for it."""
        if self.is_chief:
            yield folder
        else:
            with tempfile.TemporaryDirectory(prefix="tfvae-worker-") as own:
                yield own

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Says in one line that another worker has gone, and leaves; what is wrong with this one stays an error."""
        try:
            yield
        except (*_GONE, *_PERHAPS_GONE) as error:
            of_others = isinstance(error, _GONE) or _OF_OTHERS.search(str(error.message))
            if self.num_workers == 1 or not of_others:
                raise
            reason = _reason(error)
            print(
                f"\nerror: worker {self.worker} of {self.num_workers} lost another one ({reason}); the same command "
                "on all workers goes on from the last checkpoint",
                file=sys.stderr,
                flush=True,
            )
            raise WorkerLost(LOST) from error


def start() -> None:
    """Finds the devices; GPU memory grows as it is needed. Must come before TensorFlow's first operation."""
    grow_memory()
    # Workers are joined before the devices are made.
    if not os.environ.get("TF_CONFIG"):
        tf.config.list_logical_devices()


def grow_memory() -> None:
    """Lets GPU memory grow as it is needed, where the GPUs are not in use yet."""
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(gpu, True)


def connect(strategy: str) -> Cluster:
    """The cluster of a run: see `TrainingConfig.strategy`. With several workers, waits for all of them.

    Raises:
      InputError: for a `TF_CONFIG` that is missing or means nothing, or where TensorFlow runs already.
    """
    grow_memory()
    if strategy in ("auto", "multi_worker"):
        worker, addresses = _workers(os.environ.get("TF_CONFIG", ""), needed=strategy == "multi_worker")
        if len(addresses) > 1:
            return _join(worker, addresses)
    gpus = tf.config.list_logical_devices("GPU")
    if strategy == "mirrored" or (strategy != "one_device" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        # TensorFlow's collectives on CPUs mix up the strategies of one process.
        reduction = None if gpus else tf.distribute.ReductionToOneDevice()
        return Cluster(tf.distribute.MirroredStrategy([device.name for device in devices], cross_device_ops=reduction))
    return Cluster(tf.distribute.get_strategy())


def refuse_workers(strategy: str, *, what: str) -> None:
    """Raises `InputError` where `connect` would join several workers, for what works on one machine alone."""
    if strategy in ("auto", "multi_worker"):
        addresses = _workers(os.environ.get("TF_CONFIG", ""), needed=False)[1]
        if len(addresses) > 1:
            raise InputError(f"TF_CONFIG: received {len(addresses)} workers, expected none for {what}")


@functools.cache  # a process can join once
def _join(worker: int, addresses: tuple[str, ...]) -> Cluster:
    count = len(addresses)
    print(f"training: worker {worker} of {count} ({addresses[worker]}) waits for the others", file=sys.stderr)
    try:
        with _patient():
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise InputError(
            "training.strategy: received multi_worker after TensorFlow's first operation, expected a program that "
            f"trains before it does anything else ({error})"
        ) from error
    except tf.errors.OpError as error:
        raise InputError(
            f"TF_CONFIG: worker {worker} cannot listen at {addresses[worker]!r} or reach the others "
            f"({_reason(error)}), expected a free port of this machine"
        ) from error
    return Cluster(strategy, worker=worker, num_workers=count)


@contextlib.contextmanager
def _patient() -> Iterator[None]:
    """A strategy made here takes a worker for lost after `SILENCE` seconds.

    TensorFlow's 10 seconds lose workers that are merely busy, and it has no public setting.
    """
    runtime = context.context()
    runtime.configure_coordination_service = functools.partial(
        runtime.configure_coordination_service, heartbeat_timeout_in_ms=SILENCE * 1000
    )
    try:
        yield
    finally:
        del runtime.configure_coordination_service


def _workers(text: str, *, needed: bool) -> tuple[int, tuple[str, ...]]:
    """Of a `TF_CONFIG`: the number of this worker, and the addresses of all, the chief's first; none where unset."""
    if not text and not needed:
        return 0, ()
    try:
        value = json.loads(text)
    except ValueError:
        raise _refusal(text, "JSON") from None
    if not needed and isinstance(value, dict) and not value.get("cluster"):
        return 0, ()
    cluster, task = (value.get(name) if isinstance(value, dict) else None for name in ("cluster", "task"))
    if not isinstance(cluster, dict) or not cluster or not isinstance(task, dict):
        raise _refusal(text, '"cluster" and "task"')
    addresses: list[str] = []
    firsts = {}
    for job in ("chief", "worker"):
        own = cluster.get(job, [])
        if not isinstance(own, list) or not all(isinstance(a, str) and re.fullmatch(r".+:\d+", a) for a in own):
            raise _refusal(text, f'a list of "host:port" as "{job}"')
        firsts[job] = len(addresses)
        addresses += own
    if not cluster.keys() <= firsts.keys() or len(cluster.get("chief", [])) > 1:
        raise _refusal(text, 'a "cluster" of "worker" tasks and at most one "chief"')
    if len(set(addresses)) < len(addresses):
        raise _refusal(text, "each address once")
    kind, index = str(task.get("type")), task.get("index")
    if kind not in cluster or type(index) is not int or not 0 <= index < len(cluster[kind]):
        raise _refusal(text, '"task" to name one of the cluster, by its "type" and "index" from 0')
    return firsts[kind] + index, tuple(addresses)


def _reason(error: tf.errors.OpError) -> str:
    """What TensorFlow says, without the names of its operations."""
    return re.sub(r"\{\{.*?\}\} *", "", str(error.message)).splitlines()[0][:200]


def _refusal(text: str, expected: str) -> InputError:
    received = repr(text[:300]) if text else "nothing"
    return InputError(f"TF_CONFIG: received {received}, expected {expected}, such as {EXAMPLE}")


def _cut(count: int, *batch: Any) -> tf.data.Dataset:
    """A batch as `count` equal parts, rounded up; the last ones may be smaller, or empty."""
    rows = -(-tf.shape(tf.nest.flatten(batch)[0], out_type=tf.int64)[0] // count)

    def part(index: tf.Tensor) -> Any:
        cut = tf.nest.map_structure(lambda leaf: leaf[index * rows : (index + 1) * rows], batch)
        return cut if len(cut) > 1 else cut[0]

    return tf.data.Dataset.range(count).map(part)
