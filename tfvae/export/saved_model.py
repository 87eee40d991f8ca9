"""Writes an export: one complete version folder, or nothing."""

import errno
import os
import shutil
import tempfile
from typing import Any

import numpy as np

from tfvae.errors import InputError
from tfvae.export import card as model_card
from tfvae.export import contents
from tfvae.export.module import trace
from tfvae.vae import VAE

_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)  # what a rename onto an entry that is there fails with


def export_saved_model(
    vae: VAE,
    export_dir: str,
    *,
    item_shape: tuple[int, ...],
    version: int | None = None,
    card: dict[str, Any] | None = None,
    num_samples: int = 64,
    batching: bool = True,
) -> str:
    """Writes `EXPORT_DIR/<version>/`: a SavedModel with signatures (see `tfvae.export.module`) and its model card.

    The folder appears at once and complete, so that a server that watches EXPORT_DIR never sees half of it.

    Args:
      vae: the model.
      export_dir: made if missing; it holds nothing but version folders.
      item_shape: of one item x, as the encoder takes it.
      version: of the folder, 1 or above; None: one above the highest there is.
      card: facts for the card, each optional: `name`, `config` (the JSON form of the run's
        config), `evaluation` (what `tfvae.evaluation.evaluate` returns), `training`, `label_names` and `licence`.
      num_samples: K, posterior samples of each row in `score` and `serving_default`.
      batching: whether a server is to merge requests: `tfvae.export.contents`.

    Returns:
      the path of the version folder.

    Raises:
      InputError: for a version that exists or is below 1, and an export_dir that cannot be written.
      ValueError: for another item shape than the encoder's, K below 1, unknown fields of the
        card, and networks that draw random numbers.
    """
    export_dir = os.fspath(export_dir)
    if num_samples < 1:
        raise ValueError(f"num_samples: received {num_samples}, expected 1 or above")
    facts = model_card.check(card)
    if version is not None and version < 1:
        raise InputError(f"--version: received {version}, expected 1 or above")
    _make_folder(export_dir)
    # Refused before minutes of work, and again at the end for what appeared in between.
    _target(export_dir, version)
    served, functions, left_out = trace(
        vae, item_shape, num_samples=num_samples, pixel_scale=_pixel_scale(vae, facts["config"]),
        # Requests of another K in the batch that a server makes would fail all that are in it.
        noise_samples=num_samples if batching else None,
    )  # fmt: skip

    staging = _staging(export_dir)
    try:
        # A folder below the temporary one, which only its owner can read.
        complete, model = os.path.join(staging, "version"), os.path.basename(os.path.abspath(export_dir))
        number, target = _target(export_dir, version)
        contents.write(
            complete, served, functions, model=model, version=number, batched=batching,
            label_names=facts["label_names"],
        )  # fmt: skip
        while True:
            folder = f"{model}/{number}"
            model_card.write(
                complete,
                model_card.describe(
                    served, functions, left_out, facts, folder=folder, version=number, batched=batching
                ),
            )
            try:
                os.rename(complete, target)
                return target
            except OSError as error:
                # Another export took the version in between: `_target` takes the next, or refuses.
                if error.errno not in _TAKEN:
                    raise
                before = number
                number, target = _target(export_dir, version)
                contents.renumber(complete, before, number)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _pixel_scale(vae: VAE, config: dict[str, Any]) -> float:
    """What the data made of the pixels of an image file; of a model without a config what its range asks for."""
    scale = config.get("data", {}).get("scale") or ("unit" if np.max(vae.support.high) <= 1.0 else "none")
    return 1.0 / 255.0 if scale == "unit" else 1.0


def _make_folder(export_dir: str) -> None:
    if os.path.exists(export_dir) and not os.path.isdir(export_dir):
        raise InputError(f"--export_dir: received {export_dir!r}, which is a file, expected a folder")
    try:
        os.makedirs(export_dir, exist_ok=True)
    except OSError as error:
        raise _not_writable(export_dir, error) from error
    if not os.access(export_dir, os.W_OK | os.X_OK):
        raise _not_writable(export_dir, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def _not_writable(export_dir: str, error: OSError) -> InputError:
    return InputError(f"--export_dir: received {export_dir!r}, expected a folder to write to: {error.strerror}")


def _staging(export_dir: str) -> str:
    """A temporary folder next to EXPORT_DIR, from which a rename into it is atomic."""
    folder = os.path.realpath(export_dir)
    parent, name = os.path.split(folder)
    # A mounted EXPORT_DIR has its file system for itself: then a hidden folder inside, which no server takes
    # for a version.
    beside = os.access(parent, os.W_OK | os.X_OK) and os.stat(parent).st_dev == os.stat(folder).st_dev
    try:
        return tempfile.mkdtemp(prefix=f".{name}.tmp-", dir=parent if beside else folder)
    except OSError as error:
        raise _not_writable(export_dir, error) from error


def _target(export_dir: str, version: int | None) -> tuple[int, str]:
    """The version and its path; raises `InputError` for one that is there."""
    # A server reads "007" as 7.
    existing = sorted(int(name) for name in os.listdir(export_dir) if name.isascii() and name.isdigit())
    following = max(existing, default=0) + 1
    if version in existing:
        few = len(existing) <= 8
        listed = ", ".join(map(str, existing)) if few else f"{len(existing)} versions up to {existing[-1]}"
        raise InputError(
            f"--version: received {version}, expected a new one such as {following}: {export_dir!r} holds {listed}"
        )
    number = following if version is None else version
    return number, os.path.join(export_dir, str(number))
