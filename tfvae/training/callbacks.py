"""What happens around the steps: progress, TensorBoard, checkpoints, stopping."""

import functools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tqdm import tqdm

from tfvae import config as config_lib
from tfvae.config import Config
from tfvae.errors import InputError
from tfvae.inference.model import Model
from tfvae.inference.pictures import all_pictures
from tfvae.training.checkpoints import Checkpoints, RunState


class Interrupted(SystemExit):
    """Leaves after a signal, with everything saved; the exit code is the shell's for that signal."""


class Keeper(tf_keras.callbacks.Callback):
    """Saves checkpoints, finds the best epoch, and ends the run: early, on a signal, or when it diverges.

    Args:
      checkpoints: where to save.
      state: of the run.
      patience: epochs without a better `Objective.quality` before the run ends; 0: never.
      steps_per_epoch: optimizer steps.
      gather: gives the values of all workers, `Cluster.gather`; None for one.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        state: RunState,
        *,
        patience: int,
        steps_per_epoch: int,
        gather: Callable[[int], np.ndarray] | None = None,
    ) -> None:
        super().__init__()
        self._gather = gather or (lambda value: np.array([value]))
        self._checkpoints, self._state = checkpoints, state
        self._patience, self._steps_per_epoch = patience, steps_per_epoch
        self._signal: int | None = None
        self._agreed = 0
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> "Keeper":
        # Python lets the main thread alone handle signals.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._handlers[number] = signal.signal(number, self._note_signal)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note_signal(self, number: int, _: Any) -> None:
        if self._signal is not None:  # asked twice: leave at once
            raise KeyboardInterrupt
        self._signal = number

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        bad = int(self.model.first_bad_step.numpy())
        if bad >= 0:
            self._refuse(f"the loss is not finite at step {bad} (epoch {bad // self._steps_per_epoch + 1})")
        # A signal to any worker ends the run on all, at one step.
        self._agreed = int(self._gather(self._signal or 0).max())
        if self._agreed and int(self.model.steps.numpy()) % self._steps_per_epoch:
            self._leave()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        validation = {name.removeprefix("val_"): value for name, value in logs.items() if name.startswith("val_")}
        if not np.isfinite(validation["elbo"]):
            self._refuse(f"the validation ELBO is not finite after epoch {epoch + 1}")
        state, quality = self._state, self.model.objective.quality(validation)
        if quality > state.best_quality.numpy():
            state.best_quality.assign(quality)
            state.best_step.assign(self.model.steps)
            state.stale_epochs.assign(0)
            self._checkpoints.save(best=True)
        else:
            state.stale_epochs.assign_add(1)
        if self._patience and state.stale_epochs.numpy() >= self._patience:
            state.stopped.assign(True)
            self.model.stop_training = True
        self._checkpoints.save()
        if self._agreed:
            self._leave()

    def _leave(self) -> None:
        self._checkpoints.save()
        step = int(self.model.steps.numpy())
        print(f"\ninterrupted: saved at step {step}; the same command goes on from there", file=sys.stderr)
        raise Interrupted(128 + self._agreed)

    def _refuse(self, what: str) -> None:
        raise InputError(
            f"training.learning_rate: {what}; what was saved before is kept. Expected a smaller learning rate, or "
            "training.gradient_clip_norm above 0, in a new --workdir"
        )


class Progress(tf_keras.callbacks.Callback):
    """One progress bar over all epochs; where the output is no terminal, one line an epoch.

    Args:
      num_examples: in an epoch.
      num_epochs: in the whole run.
      batch_size: examples in a full batch.
    """

    def __init__(self, *, num_examples: int, num_epochs: int, batch_size: int) -> None:
        super().__init__()
        self._num_examples, self._num_epochs, self._batch_size = num_examples, num_epochs, batch_size
        self._terminal = sys.stderr.isatty()
        self._bar: tqdm | None = None
        self._shown: dict[str, str] = {}

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._bar is None:
            self._bar = tqdm(
                total=self._num_examples * self._num_epochs,
                initial=self._num_examples * epoch,
                unit=" images",
                unit_scale=True,
                disable=not self._terminal,
            )
        self._bar.set_description(f"epoch {epoch + 1}/{self._num_epochs}")
        self._seen, self._started = 0, time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        seen = min((batch + 1) * self._batch_size, self._num_examples)
        assert self._bar is not None
        self._bar.update(seen - self._seen)
        self._seen = seen
        self._show(logs or {}, ("loss", "rate", "distortion"))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._show(logs, ("loss", "rate", "distortion", "val_elbo"))
        if not self._terminal:
            speed = self._seen / (time.perf_counter() - self._started)
            shown = "  ".join(f"{name} {value}" for name, value in self._shown.items())
            print(f"epoch {epoch + 1}/{self._num_epochs}  {shown}  {speed:,.0f} images/s", file=sys.stderr, flush=True)

    def _show(self, logs: dict[str, Any], names: tuple[str, ...]) -> None:
        assert self._bar is not None
        self._shown |= {name: f"{float(logs[name]):.2f}" for name in names if name in logs}
        self._bar.set_postfix(self._shown, refresh=False)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.close()


class TensorBoard(tf_keras.callbacks.Callback):
    """Scalars of each epoch in `train` and `validation`, pictures and the config; the axis counts optimizer steps.

    Args:
      folder: of the logs.
      config: written as text.
      examples: for pictures: validation examples `[n, *item_shape]`, and their labels or None.
      num_examples: in an epoch, for the throughput.
    """

    def __init__(
        self, folder: str, config: Config, *, examples: tuple[np.ndarray, np.ndarray | None], num_examples: int
    ) -> None:
        super().__init__()
        self._folder, self._config, self._examples = folder, config, examples
        self._num_examples = num_examples
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def _writer(self, name: str) -> tf.summary.SummaryWriter:
        if name not in self._writers:
            self._writers[name] = tf.summary.create_file_writer(os.path.join(self._folder, name))
        return self._writers[name]

    @functools.cached_property
    def _drawn(self) -> Model:
        return Model.of(self.model)

    def on_train_begin(self, logs: Any = None) -> None:
        text = json.dumps(config_lib.to_dict(self._config), indent=2)
        with self._writer("train").as_default():
            tf.summary.text("config", f"```json\n{text}\n```", step=0)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._started, self._first_step = time.perf_counter(), int(self.model.steps.numpy())

    def on_test_begin(self, logs: Any = None) -> None:
        # Validation follows the training part of an epoch, whose time is what throughput means.
        self._seconds = time.perf_counter() - self._started

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        step = int(self.model.steps.numpy())
        examples = min((step - self._first_step) * self._config.training.batch_size, self._num_examples)
        scalars = {
            "learning_rate": float(tf.convert_to_tensor(self.model.optimizer.learning_rate)),
            "images_per_second": examples / self._seconds,
        }
        validation = {name.removeprefix("val_"): value for name, value in logs.items() if name.startswith("val_")}
        if self.model.objective.regularizes:
            scalars["kl_weight"] = float(self.model.regularizer.weight.numpy())
        scalars |= {name: value for name, value in logs.items() if not name.startswith("val_")}
        for name, values in (("train", scalars), ("validation", validation)):
            with self._writer(name).as_default():
                for scalar, value in values.items():
                    tf.summary.scalar(scalar, value, step=step)
        every = self._config.training.pictures_every
        if every and (epoch % every == 0 or epoch + 1 == self._config.training.num_epochs):
            with self._writer("validation").as_default():
                for name, pixels in all_pictures(self._drawn, *self._examples).items():
                    tf.summary.image(name, pixels[None], step=step)
        for writer in self._writers.values():
            writer.flush()
