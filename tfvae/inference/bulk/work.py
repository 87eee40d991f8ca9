"""A unit of work: its records are read, put through a signature and written, and the bad ones with what is wrong.

Rows go through the model as the places 0 ... 249 of the input, 250 ... 499 and so on; where a unit begins or ends
between these, what is not its own is blank, and so are bad records. A batch then has the size, and a row in it the
place, that `tfvae.inference.codes.write` gives them: results are the same to the last bit however many units there are,
whichever of a row's neighbours are bad, and whoever does it again.
"""

import contextlib
import functools
import itertools
import json
import threading
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfvae.data import pipeline
from tfvae.data.pipeline import Preparation
from tfvae.data.split import SPLIT_NAMES
from tfvae.errors import InputError
from tfvae.files import appearing
from tfvae.inference.bulk import reading
from tfvae.inference.bulk.decoding import DECODERS, Decoded
from tfvae.inference.bulk.failures import WRITABLE, in_one_line
from tfvae.inference.bulk.forms import NUMBERS
from tfvae.inference.bulk.job import Job, landing, load
from tfvae.inference.bulk.reading import Fault, Record
from tfvae.inference.bulk.units import IMAGES, Unit
from tfvae.inference.codes import ROWS, Batch, outputs
from tfvae.inference.columns import Columns, writing
from tfvae.inference.inputs import item_support
from tfvae.inference.model import Model
from tfvae.support import REAL, Support

_DECODED = 125  # records that are in memory before they are decoded

STOPPING = threading.Event()  # set where the process that workers run in is to end


@functools.lru_cache(maxsize=1)
def worker(job: Job) -> "Worker":
    """The worker of a job, one for all threads of a process."""
    return Worker(job, load(job.saved_model, job.fingerprint))


class Worker:
    """Does units of a job."""

    def __init__(self, job: Job, model: Model) -> None:
        self._job, self._model = job, model
        opened = job.form.opened(model)
        split = opened.split
        # The job knows the model's numbers of labels: their names may be known only where it was made.
        self._examples = type(opened)(split)
        self.decoder = DECODERS[job.form.kind](model, job.form, opened)
        self._preparation = Preparation(**vars(split.preparation) | {"num_levels": job.form.num_levels})
        key = pipeline.noise_key(split.split_seed, pipeline.FIXED, SPLIT_NAMES.index(split.name))
        self._drawn = tf.function(
            lambda block, number: self._preparation(block, key=key, at=(number, 0)),
            input_signature=[
                tf.TensorSpec([pipeline.BLOCK, *model.item_shape], tf.as_dtype(self.decoder.dtype)),
                tf.TensorSpec([], tf.int64),
            ],
            autograph=False,
        )
        self._stored = _stored_support(self._preparation)
        self._fit = item_support(model, pictures=job.form.kind != NUMBERS)

    def run(self, unit: Unit) -> None:
        """Does a unit. Its bad records appear first, and then its part.

        Raises:
          InputError: where a file cannot be read or written, or is not what it was; and as `rows`.
        """
        records, end = reading.read(unit, self._job.kind), unit.first + unit.count
        written = bad = 0
        writes = "--output", self._job.part(unit), WRITABLE
        with contextlib.ExitStack() as files:
            with in_one_line(*writes):
                add = files.enter_context(writing(files.enter_context(landing(self._job.part(unit)))))
                there = files.enter_context(landing(self._job.bad(unit)))
                lines = files.enter_context(open(files.enter_context(appearing(there)), "w"))
            for start in range(unit.first // ROWS * ROWS, end, ROWS):
                if STOPPING.is_set():
                    raise KeyboardInterrupt
                first = max(start, unit.first)
                given = list(itertools.islice(records, min(start + ROWS, end) - first))
                rows, faults = self.rows(first, given)  # what fails in the model is no file's fault, and keeps its name
                with in_one_line(*writes):
                    if len(rows["index"]):  # a part without rows has no columns either
                        add(rows)
                    lines.writelines(json.dumps(record.line(fault)) + "\n" for record, fault in faults)
                written, bad = written + len(rows["index"]), bad + len(faults)
            if written + bad != unit.count:
                raise AssertionError(f"{unit.count} records became {written} rows and {bad} bad records")
            with in_one_line(*writes):
                files.close()

    def rows(self, first: int, records: Sequence[Record]) -> tuple[Columns, list[tuple[Record, Fault]]]:
        """The columns of the good ones of some records, and the bad ones.

        Args:
          first: place of the first record in the input.
          records: that follow each other in one batch; there may be none.

        Raises:
          InputError: for a byte above 1 where the first records of the input said that there are none.
        """
        job, model, count = self._job, self._model, len(records)
        start = first // ROWS * ROWS
        size, own = min(ROWS, job.total - start), slice(first - start, first - start + count)
        values, labels, faults = self._decoded(records)
        if job.form.by_first:
            _refuse_grey(records, faults, values)
        _mark(faults, values, self._stored)
        x = self._prepared(values, first)
        _mark(faults, x, self._fit)
        given = self._given_labels(labels, faults)
        good = ~_bad(faults)
        whole = np.zeros((size, *model.item_shape), np.float32)
        whole[own][good] = x[good]
        own_labels = None
        if given is not None:
            own_labels = np.zeros(size, np.int64)
            own_labels[own][good] = given[good]
        batch = Batch(start + np.arange(size), whole, own_labels, None)
        found = outputs(model, job.signature, batch, self._examples, label=job.label, seed=job.seed)
        # A SavedModel tells its outputs in an order that may be another one in another process.
        found = {name: found[name][own] for name in sorted(found)}
        for place in np.flatnonzero(good & ~found.get("valid", good).astype(bool)).tolist():
            faults[place] = Fault(reading.NOT_VALID, f"the model says so in {job.signature!r}")
        names = np.array([record.name for record in records], np.str_) if job.kind == IMAGES else None
        columns = Batch(batch.index[own], whole[own], labels, names).columns() | found
        bad = [(record, fault) for record, fault in zip(records, faults, strict=True) if fault is not None]
        return {name: values[~_bad(faults)] for name, values in columns.items()}, bad

    def _decoded(self, records: Sequence[Record]) -> Decoded:
        """The values of records, also of those whose fault is known already: these are 0."""
        faults = [record.fault for record in records]
        values = np.zeros((len(records), *self._model.item_shape), self.decoder.dtype)
        labels = np.zeros(len(records), np.int64) if self._job.form.labelled else None
        sound = [place for place, fault in enumerate(faults) if fault is None]
        for start in range(0, len(sound), _DECODED):
            places = sound[start : start + _DECODED]
            part = self.decoder([records[place] for place in places])
            values[places] = part.values
            if labels is not None:
                labels[places] = part.labels
            for place, fault in zip(places, part.faults, strict=True):
                faults[place] = fault
        return Decoded(values, labels, faults)

    def _prepared(self, values: np.ndarray, first: int) -> np.ndarray:
        """Values as the model sees them, float32, with the noise of their places: see `Split.evaluation_batches`."""
        prepare, block = self._preparation, pipeline.BLOCK
        if not (prepare.draws or prepare.dequantize):
            return prepare.mean(values).numpy()
        lead, number = first % block, first // block
        padded = np.zeros((-(-(lead + len(values)) // block) * block, *values.shape[1:]), values.dtype)
        padded[lead : lead + len(values)] = values
        x = np.empty(padded.shape, np.float32)
        for start in range(0, len(padded), block):
            x[start : start + block] = self._drawn(padded[start : start + block], number + start // block).numpy()
        return x[lead : lead + len(values)]

    def _given_labels(self, labels: np.ndarray | None, faults: list[Fault | None]) -> np.ndarray | None:
        """The labels that a conditional model is given, in its own numbers; marks those that there are none of."""
        job, limit = self._job, self._model.num_labels
        if labels is None or not job.form.needs_label:
            return None
        given = labels if job.numbers is None else np.array(job.numbers, np.int64)[labels]
        for place in np.flatnonzero((given < 0) | (given >= limit)).tolist():
            faults[place] = faults[place] or Fault(
                reading.UNKNOWN_LABEL, f"{given[place]}, expected one of 0 ... {limit - 1}"
            )
        return given


def _bad(faults: Sequence[Fault | None]) -> np.ndarray:
    """Which records are bad, bool `[n]`."""
    return np.array([fault is not None for fault in faults], bool)


def _mark(faults: list[Fault | None], values: np.ndarray, support: Support) -> None:
    """Marks good records with values outside of a support."""
    inside = support.contains(values).all(axis=tuple(range(1, values.ndim)))
    for place in np.flatnonzero(~inside).tolist():
        found = support.fault(values[place : place + 1])
        if faults[place] is None and found is not None:
            faults[place] = Fault(reading.OUT_OF_RANGE, f"{found[0]}, expected {found[1]}")


def _refuse_grey(records: Sequence[Record], faults: list[Fault | None], values: np.ndarray) -> None:
    """Raises `InputError` for a good record with bytes above 1 in an input that was taken as binary."""
    largest = values.max(axis=tuple(range(1, values.ndim)), initial=0)
    for place in np.flatnonzero((largest > 1) & ~_bad(faults)).tolist():
        raise InputError(
            f"--input: {records[place].file}: received the byte {largest[place]} in record {records[place].place} of "
            "the input, expected 0 or 1, as in its first records: --levels=256 and another --output take all as grey, "
            "--levels=2 sets such records aside"
        )


def _stored_support(preparation: Preparation) -> Support:
    """Where stored values may lie: drawing to 0 or 1 would hide one that is outside."""
    if preparation.scale != "unit":
        return REAL
    levels = preparation.num_levels
    return Support() if levels is None else Support(high=float(levels - 1), step=1.0)
