"""Signatures over more data than memory holds, as a pipeline of Apache Beam: `tools/predict.py --shards`.

The input, a folder of images or TFRecord files, is cut into units of equal size. A unit's bad records become a file,
bad-00012-of-00100.jsonl, with a line for each that says where it is and why it is bad; then the others become a part,
part-00012-of-00100.tfrecord, with the columns of `tfvae.inference.codes.write`, bit for bit. Where the part is, the
unit is done: a run that was interrupted, and is started again, does the others, and each unit gives the same bytes
whoever does it. manifest.json says what the parts are of, and a run of anything else is refused; index.json where the
records of TFRecord files lie, which are not read again for it while their sizes and times stay. At the end the files
are counted: each record of the input is a row or a bad one, which summary.json says.

The input and the output may lie wherever `tf.io.gfile` reads and writes; the model must be in the same folder of each
worker. Of filesystems other than a local one it is not promised that files appear at once (that is up to their rename,
and a copy that was interrupted may stay, its name beginning with .tmp-), nor that a changed image is noticed (a file's
size and time are not asked for), and images lie in one folder without subfolders. One run at a time may write into a
folder.

`pipeline` imports Beam, and `records` the library of checksums; what is here does so when it is used.
"""

import dataclasses
import importlib
import logging
import shlex
from collections.abc import Mapping
from typing import Any

from tfvae.errors import InputError
from tfvae.inference.codes import check_signature
from tfvae.inference.columns import FORMATS

__all__ = ["Request", "predict"]

_NEEDED = ("shards", "saved_model", "input", "output")
_OF_ALL = ("map", "projector", "score", "reference", "background_workdir", "background_saved_model")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for; the fields are flags of `tools/predict.py`.

    Attributes:
      shards: parts of the output, and units of the work.
      format: of the parts, the suffix of a file of columns.
      pipeline_options: of Beam, as on a command line.
      levels: of bytes: 2, 0 and 1, or 256; None: 2 where the first records hold no others, else 256.
      workdir: of a training run, which is refused.
      others: flags that are given and are of all examples together.
    """

    shards: int | None
    saved_model: str | None
    input: str | None
    output: str | None
    signature: str = "encode"
    label: int | None = None
    seed: int = 0
    format: str = "tfrecord"
    pipeline_options: str = ""
    levels: int | None = None
    workdir: str | None = None
    others: tuple[str, ...] = ()

    @classmethod
    def of(cls, flags: Mapping[str, Any]) -> "Request":
        """That of the flags of `tools/predict.py`, by name; None stands for what is not given."""
        names = {field.name for field in dataclasses.fields(cls)} - {"others"}
        given = {name: flags[name] for name in names if flags[name] is not None or name in _NEEDED}
        return cls(**given, others=tuple(name for name in _OF_ALL if flags[name] is not None))

    def check(self) -> None:
        """Raises `InputError` for what does not fit together, before anything is opened."""
        if self.shards is None or self.shards < 1:
            raise InputError(f"--shards: received {self.shards}, expected the number of parts, at least 1")
        for name in self.others:
            raise InputError(f"--{name}: received it with --shards, expected none: it is of all examples together")
        if self.workdir is not None:
            raise InputError(
                f"--workdir: received {self.workdir!r} with --shards, expected --saved_model in its place: workers "
                "load an export, which tools/export.py makes"
            )
        for name in _NEEDED[1:]:
            if not getattr(self, name):
                raise InputError(f"--{name}: received none with --shards, expected one")
        if f".{self.format}" not in FORMATS:
            raise InputError(
                f"--format: received {self.format!r}, expected one of: {', '.join(f[1:] for f in FORMATS)}"
            )
        if self.levels not in (None, 2, 256):
            raise InputError(f"--levels: received {self.levels}, expected 2 (bytes of 0 and 1) or 256")
        check_signature(self.signature)

    @property
    def beam_flags(self) -> list[str]:
        """`pipeline_options` in parts."""
        try:
            return shlex.split(self.pipeline_options)
        except ValueError as error:
            raise InputError(
                f"--pipeline_options: received {self.pipeline_options!r}, expected flags of Apache Beam ({error})"
            ) from error


def predict(request: Request) -> dict[str, Any]:
    """Does what is asked for, or what is left of it.

    Returns:
      the numbers of records: see `manifest.finish`.

    Raises:
      InputError: for bad input; where Beam is not installed; and where the folder is of other data or settings.
    """
    request.check()
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # Beam says which of its own extras are missing
    try:
        for name in ("apache_beam", "google_crc32c"):
            importlib.import_module(name)
        from tfvae.inference.bulk.run import run
    except ModuleNotFoundError as error:
        raise InputError(
            f"--shards: received {request.shards}, expected {error.name} to be installed: pip install tfvae[beam]"
        ) from error
    finally:
        logging.disable(before)
    return run(request)
