"""From what is asked for to a job and its units, which a pipeline then does."""

import contextlib
import dataclasses
import itertools
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from tfvae.errors import InputError
from tfvae.files import appearing, check_folder, make_folder
from tfvae.inference.bulk import manifest, pipeline
from tfvae.inference.bulk.decoding import DECODERS
from tfvae.inference.bulk.failures import WRITABLE, in_one_line
from tfvae.inference.bulk.forms import Form, find
from tfvae.inference.bulk.job import Job, fingerprint, landing, load
from tfvae.inference.bulk.reading import Record
from tfvae.inference.bulk.records import frames
from tfvae.inference.bulk.units import (
    IMAGES,
    Listing,
    Scan,
    Unit,
    image_lines,
    index_images,
    index_records,
    is_remote,
    listing,
)
from tfvae.inference.bulk.work import worker
from tfvae.inference.inputs import check_label
from tfvae.inference.model import Model

_LOOKED_AT = 1_024  # records that show whether bytes are of two levels, as many as of any stream: `Stream.largest`
_POLL = 1.0  # seconds between two looks at the parts that are there
_MANY = 0.1  # a larger share of bad records is worth a warning


def run(request: Any) -> dict[str, Any]:
    """See `tfvae.inference.bulk.predict`."""
    runner, options = pipeline.parse(request.beam_flags)
    if not is_remote(request.output):
        check_folder(request.output, flag="--output")
    found = listing(request.input)
    with in_one_line("--saved_model", request.saved_model):
        seen = fingerprint(request.saved_model)
    model = load(request.saved_model, seen)
    form = find(model, _records(found), needs_label=model.num_labels > 0 and request.label is None)
    form = _levels(model, form, _records(found), request.levels)
    numbers = _check_labels(model, found, form, request.label)
    known: dict[str, Scan] = {}
    if found.kind == IMAGES:
        index = index_images(found, os.path.join(request.output, manifest.FILES))
    else:
        files = set(found.files)
        known = {file: scan for file, scan in manifest.scans(request.output).items() if file in files}
        index = index_records(found.files, known=known, progress=True)
    job = Job(
        saved_model=request.saved_model, fingerprint=seen, signature=request.signature, label=request.label,
        seed=request.seed, output=request.output, suffix=f".{request.format}", shards=request.shards, kind=found.kind,
        total=index.total, form=form, numbers=numbers,
    )  # fmt: skip
    description = manifest.describe(job, found, index)
    manifest.check(job.output, description)
    worker(job).rows(0, [])  # a signature that there is none of is found here, and a label that is missing
    _begin(job, found, description, known)
    units = index.units(job.shards)
    left = manifest.undone(job, units)
    if left:
        with _watching(job, left):
            pipeline.run(job, left, runner, options)
    figures = manifest.finish(job, units)
    if figures["bad"] > _MANY * figures["read"]:
        print(
            f"warning: {figures['bad']} of {figures['read']} records are bad: see {os.path.join(job.output, 'bad-*')}",
            file=sys.stderr,
        )
    return figures


def _begin(job: Job, found: Listing, description: dict[str, Any], known: dict[str, Scan]) -> None:
    if not is_remote(job.output):
        make_folder(job.output, flag="--output")
    manifest.begin(job.output, description, known)
    if found.kind == IMAGES:
        list_file = os.path.join(job.output, manifest.FILES)
        with (
            in_one_line("--output", list_file, WRITABLE),
            landing(list_file) as here,
            appearing(here) as path,
            open(path, "w") as file,
        ):
            file.writelines(image_lines(found))


def _records(found: Listing) -> Iterator[Record]:
    """The records of an input, for a look at the first of them; their places are not known."""
    if found.kind == IMAGES:
        labels: Sequence[int | None] = found.labels or [None] * len(found.files)
        for file, label in zip(found.files, labels, strict=True):
            yield Record(0, file, label=label)
        return
    for file in found.files:
        for frame in frames(file):
            if frame.data is not None:
                yield Record(0, file, frame.offset, frame.data)


def _levels(model: Model, form: Form, records: Iterator[Record], given: int | None) -> Form:
    """The form with its number of levels: bytes of 0 and 1 alone are binary, of which one record says little.

    Args:
      model, form, records: of the input.
      given: `--levels`.

    Raises:
      InputError: for `--levels` of floats.
    """
    if given is not None:
        if form.num_levels is None:
            raise InputError(f"--levels: received {given}, expected none: {form.file} holds floats, and no bytes")
        return dataclasses.replace(form, num_levels=given)
    if form.num_levels != 2:
        return form
    decode = DECODERS[form.kind](model, form, form.opened(model))
    records = itertools.islice(records, _LOOKED_AT)
    while some := list(itertools.islice(records, 50)):
        if decode(some).values.max() > 1:
            return dataclasses.replace(form, num_levels=256)
    return dataclasses.replace(form, by_first=True)


def _check_labels(model: Model, found: Listing, form: Form, label: int | None) -> tuple[int, ...] | None:
    """The model's number for each label of the input; None where they are the same.

    Raises:
      InputError: where a conditional model has no label for the records, or no number for a label's name.
    """
    if label is not None:
        check_label(model, label)
    if label is not None or not model.num_labels:
        return None
    examples = form.opened(model)
    if not form.labelled:
        examples.given_labels(model, None, None)
    if not found.label_names:
        return None
    named = dataclasses.replace(examples, label_names=found.label_names, labels_of=model)
    return tuple(named.model_labels(np.arange(len(found.label_names))).tolist())


@contextlib.contextmanager
def _watching(job: Job, left: Sequence[Unit]) -> Iterator[None]:
    """Shows the parts that appear, wherever they are made: a bar on a terminal, elsewhere a line for each."""
    ended, waiting, done = threading.Event(), list(left), job.total - sum(unit.count for unit in left)
    bar = tqdm(total=job.total, initial=done, desc=job.signature, unit=" records", disable=None)

    def look() -> None:
        still = manifest.undone(job, waiting)
        numbers = {unit.number for unit in still}
        for unit in waiting:
            if unit.number not in numbers:
                bar.update(unit.count)
                if bar.disable:
                    print(f"{os.path.basename(job.part(unit))}: {unit.count} records", file=sys.stderr)
        waiting[:] = still

    def watch() -> None:
        while not ended.wait(_POLL):
            look()

    with bar:
        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            look()
