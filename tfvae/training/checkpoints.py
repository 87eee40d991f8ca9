"""Checkpoints: the newest few, and the best by `Objective.quality` on the validation split.

`DIR/ckpt-STEP.*` and `DIR/best/ckpt-STEP.*`, in TensorFlow's own format, whose files
appear by rename and carry checksums.
"""

import glob
import os
import re

import tensorflow as tf
from absl import logging

from tfvae.errors import InputError
from tfvae.vae import VAE


class RunState(tf.Module):
    """What a run must remember besides the model and its optimizer.

    Attributes:
      best_quality: the highest `Objective.quality` so far: the validation ELBO, or what the objective has instead.
      best_step: when it was reached.
      stale_epochs: epochs since.
      stopped: whether early stopping ended the run.
    """

    def __init__(self) -> None:
        super().__init__(name="run_state")
        self.best_quality = tf.Variable(float("-inf"), dtype=tf.float64, trainable=False)
        self.best_step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.stale_epochs = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.stopped = tf.Variable(False, trainable=False)


class Checkpoints:
    """Saves and restores a model, its optimizer and the run's state.

    Args:
      folder: where they lie.
      vae: the model; its optimizer is saved where it is compiled.
      state: of the run; None where the model is only used.
      keep: how many of the newest.
      saved_in: where new ones go, if elsewhere.
    """

    def __init__(
        self, folder: str, vae: VAE, state: RunState | None = None, *, keep: int = 3, saved_in: str | None = None
    ) -> None:
        self._folder, self._best_folder, self._vae = folder, os.path.join(folder, "best"), vae
        self._saved_in = saved_in or folder
        parts = {"vae": vae} | ({"state": state} if state else {})
        self._checkpoint = tf.train.Checkpoint(**parts)
        self._keep = keep

    @staticmethod
    def exist_in(folder: str) -> bool:
        """Whether a folder holds any."""
        return bool(_newest_first(folder))

    def save(self, *, best: bool = False) -> None:
        """Saves the present step among the newest, or as the best."""
        manager = tf.train.CheckpointManager(
            self._checkpoint,
            os.path.join(self._saved_in, "best") if best else self._saved_in,
            max_to_keep=1 if best else self._keep,
        )
        manager.save(checkpoint_number=int(self._vae.steps.numpy()))

    def restore_newest(self) -> int | None:
        """Restores all of the newest checkpoint that is whole; its step, or None where there is none.

        Raises:
          InputError: where there are some and none can be read.
        """
        return self._restore(self._folder, whole=True)

    def restore_for_use(self, which: str) -> int:
        """Restores the model alone, from the `best` or the `last` checkpoint; its step.

        Raises:
          InputError: where there is none.
        """
        step = self._restore(self._best_folder if which == "best" else self._folder, whole=False)
        if step is None:
            raise InputError(f"--workdir: no {which} checkpoint in {self._folder}, expected a run that was trained")
        return step

    def _restore(self, folder: str, *, whole: bool) -> int | None:
        paths = _newest_first(folder)
        for path in paths:
            try:
                status = self._checkpoint.restore(path)
                status.assert_existing_objects_matched()
                if not whole:
                    status.expect_partial()  # the optimizer stays behind
                return _step(path)
            # TensorFlow says "damaged" in as many ways as there are places to notice it.
            except (tf.errors.OpError, AssertionError, ValueError, RuntimeError, LookupError) as error:
                reason = str(error).splitlines()[0][:200]
                logging.warning("checkpoint %s is damaged, falling back to the one before: %s", path, reason)
        if paths:
            raise InputError(f"--workdir: none of the checkpoints in {folder} can be read, expected at least one whole")
        return None


def _newest_first(folder: str) -> list[str]:
    """Prefixes of the checkpoints in a folder; one without an index was never finished."""
    found = [path.removesuffix(".index") for path in glob.glob(os.path.join(glob.escape(folder), "ckpt-*.index"))]
    return sorted((path for path in found if re.search(r"ckpt-\d+$", path)), key=_step, reverse=True)


def _step(path: str) -> int:
    return int(path.rsplit("-", 1)[1])
