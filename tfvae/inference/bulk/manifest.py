"""What a folder of parts is of, so that it never becomes a mixture; and the count of what is in it at the end."""

import contextlib
import csv
import dataclasses
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.io import gfile

import tfvae
from tfvae.errors import InputError
from tfvae.inference.bulk.failures import FAILURES, WRITABLE, in_one_line
from tfvae.inference.bulk.job import TEMPORARY, Job, write
from tfvae.inference.bulk.reading import DAMAGED
from tfvae.inference.bulk.records import frames
from tfvae.inference.bulk.units import Index, Listing, Scan, Unit, is_remote

MANIFEST, SUMMARY, FILES, SCANS = "manifest.json", "summary.json", "files.jsonl", "index.json"


def describe(job: Job, found: Listing, index: Index) -> dict[str, Any]:
    """The manifest: what the parts depend on, by the names of flags where there are some."""
    files: list[Any] = [
        {"file": os.path.basename(file), "bytes": size, "records": count}
        for file, size, count in zip(index.files, index.sizes, index.counts, strict=True)
    ]
    return {
        "tfvae": tfvae.__version__,
        "tensorflow": tf.__version__,
        "saved_model": job.fingerprint,
        "signature": job.signature,
        "label": job.label,
        "seed": job.seed,
        "format": job.suffix[1:],
        "shards": job.shards,
        "levels": job.form.num_levels,
        "input": {
            "kind": found.kind,
            "records": index.total,
            "digest": index.digest,
            "labels": None if job.numbers is None else list(job.numbers),
            "files": files,
        },
    }


def check(output: str, manifest: dict[str, Any]) -> None:
    """Checks that a folder is of this manifest, or is empty or missing.

    Raises:
      InputError: where it holds parts of other data, of another model or of other settings, or files of another kind;
        or cannot be read.
    """
    with in_one_line("--output", output):
        _check(output, manifest)


def _check(output: str, manifest: dict[str, Any]) -> None:
    there = _names(output)
    if MANIFEST not in there:
        if there:
            raise InputError(
                f"--output: received {output!r}, which holds {sorted(there)[0]!r} and no {MANIFEST}, expected a new or "
                "empty folder, or one of an interrupted run"
            )
        return
    try:
        with gfile.GFile(os.path.join(output, MANIFEST), "r") as file:
            before = json.load(file)
    except ValueError as error:
        raise InputError(
            f"--output: {os.path.join(output, MANIFEST)}: expected a readable JSON file: {error}"
        ) from error
    for name, now in manifest.items():
        was = before.get(name)
        if was != now:
            name = f"--{name}" if name not in ("tfvae", "tensorflow") else name
            received, expected = ("another", "the same") if isinstance(now, dict) or "model" in name else (now, was)
            raise InputError(
                f"{name}: received {received}, expected {expected}, as for the parts that are in {output!r} already: "
                "put that right, or choose another --output"
            )


def scans(output: str) -> dict[str, Scan]:
    """What an earlier run found in the input's files, by path; nothing where there was none."""
    with contextlib.suppress(*FAILURES, ValueError, TypeError, KeyError, AttributeError):
        with gfile.GFile(os.path.join(output, SCANS), "r") as file:
            found = json.load(file)
        return {path: Scan(**values | {"marks": tuple(values["marks"])}) for path, values in found.items()}
    return {}


def begin(output: str, manifest: dict[str, Any], known: dict[str, Scan]) -> None:
    """Makes the folder and the manifest, and removes what an earlier run left half-written.

    Args:
      output: the folder.
      manifest: of `describe`.
      known: of TFRecord files, for `scans` of the next run; may be empty.

    Raises:
      InputError: where the folder cannot be written to.
    """
    with in_one_line("--output", output, WRITABLE):
        gfile.makedirs(output)
        for name in gfile.listdir(output):
            path = os.path.join(output, name.rstrip("/"))
            if name.startswith(TEMPORARY):
                (gfile.rmtree if gfile.isdir(path) else gfile.remove)(path)
        write(os.path.join(output, MANIFEST), _json(manifest))
        if known:
            write(os.path.join(output, SCANS), json.dumps({k: dataclasses.asdict(v) for k, v in known.items()}) + "\n")


def undone(job: Job, units: Sequence[Unit]) -> list[Unit]:
    """The units whose part is not there."""
    with in_one_line("--output", job.output):
        there = _names(job.output)
    return [unit for unit in units if os.path.basename(job.part(unit)) not in there]


def finish(job: Job, units: Sequence[Unit]) -> dict[str, Any]:
    """Counts what the files of a job hold, and writes that where nothing is missing.

    Returns:
      `read`, `written` and `bad` records, and `reasons`, the number of bad ones for each reason; `note` where frames
      are damaged, as one of them may stand for several records.

    Raises:
      InputError: where a part is not there, or the numbers of rows and of bad records are not that of the unit's; or
        the folder cannot be written to.
    """
    missing = undone(job, units)
    if missing:
        raise InputError(
            f"--output: received {len(units) - len(missing)} of {len(units)} parts in {job.output!r} from a pipeline "
            "that has ended, expected all: the same command goes on"
        )
    written, reasons = 0, Counter[str]()
    for unit in units:
        try:
            rows, bad = _rows(job.part(unit)), _reasons(job.bad(unit))
        except InputError:
            raise
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise InputError(f"--output: {job.part(unit)}: received a damaged part ({error}): {_AGAIN}") from error
        if rows + len(bad) != unit.count:
            raise InputError(
                f"--output: {job.part(unit)}: received {rows} rows beside {len(bad)} bad records, expected "
                f"{unit.count} together: {_AGAIN}"
            )
        written += rows
        reasons.update(bad)
    bad_ones = sum(reasons.values())
    figures: dict[str, Any] = {
        "read": written + bad_ones,
        "written": written,
        "bad": bad_ones,
        "reasons": dict(sorted(reasons.items())),
    }
    if reasons[DAMAGED]:
        figures["note"] = f"one {DAMAGED} is one damaged stretch of a file, which may have been several records"
    with in_one_line("--output", os.path.join(job.output, SUMMARY), WRITABLE):
        write(os.path.join(job.output, SUMMARY), _json(figures))
    return figures


_AGAIN = "remove it, and the same command makes it again"


def _names(folder: str) -> set[str]:
    """What is in a folder, but for hidden files; nothing where it is missing."""
    if not gfile.exists(folder):
        return set()
    return {name for name in gfile.listdir(folder) if not name.startswith(".")}


def _rows(path: str) -> int:
    """Rows of a part."""
    kind = os.path.splitext(path)[1]
    if kind == ".tfrecord":
        faults = [frame.fault for frame in frames(path, data=False, flag="--output")]
        if any(faults):
            raise ValueError(next(fault for fault in faults if fault))
        return len(faults)
    if kind == ".npz":
        with _here(path) as file, np.load(file) as arrays:
            return len(arrays["index"]) if arrays.files else 0
    with gfile.GFile(path, "r") as file:
        return max(0, sum(1 for _ in csv.reader(file)) - 1)  # but for the head


@contextlib.contextmanager
def _here(path: str) -> Iterator[str]:
    """A file of this machine with the content of another, as archives are read from both ends."""
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, os.path.basename(path))
        gfile.copy(path, copy)
        yield copy


def _reasons(path: str) -> list[str]:
    """The reason of each bad record of a file."""
    with gfile.GFile(path, "r") as file:
        return [json.loads(line)["reason"] for line in file]


def _json(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2, allow_nan=False) + "\n"
