"""tfvae's side of `compare.py`, in a process of its own: training as `tools/train.py` does it, and exports."""

import contextlib
import dataclasses
import glob
import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from compare_data import NUM_TEST, NUM_VALIDATION, held_out
from tensorboard.compat.proto import event_pb2
from workers import LossByCall, serve

import tfvae
from tfvae import data as data_lib
from tfvae import likelihoods, networks, objectives, posteriors, priors
from tfvae.config import Config, DataConfig, ModelConfig, TrainingConfig
from tfvae.devices import connect
from tfvae.export import export_saved_model
from tfvae.training import WorkDir
from tfvae.training.callbacks import Keeper, Progress, TensorBoard
from tfvae.training.checkpoints import Checkpoints, RunState
from tfvae.training.fitting import fit, fresh_model

ROWS = 1_000  # of a request to an export


class Terminal(io.StringIO):
    """A terminal that nobody looks at: the progress bar is drawn on terminals only."""

    def isatty(self) -> bool:
        return True


class Spent:
    """The seconds inside `on_epoch_end` of callbacks, by their class and epoch."""

    def __init__(self, *callbacks: Any) -> None:
        self.seconds: dict[Any, list[float]] = {callback: [] for callback in callbacks}
        for callback in callbacks:
            callback.on_epoch_end = self._timed(callback, callback.on_epoch_end)

    def _timed(self, callback: Any, method: Callable[..., None]) -> Callable[..., None]:
        def timed(*arguments: Any) -> None:
            start = time.perf_counter()
            method(*arguments)
            self.seconds[callback].append(time.perf_counter() - start)

        return timed


class Ours:
    """The model of one work, its data, and its work directory."""

    def __init__(self) -> None:
        self.spent = Spent(Progress, TensorBoard, Keeper).seconds
        self.loss = LossByCall()

    def ready(self, work: str, data: str, num_images: int, folder: str, precision: str = "float32") -> dict[str, Any]:
        """Builds the model and opens the data.

        Args:
          work: `w1` or `w2`, which differ in network and batch size.
          data: a `.npy` file, uint8 `[n, 784]`, of which the first `num_images` are trained on; or a glob of TFRecord
            files.
          num_images: see there.
          folder: the work directory, which is made.
          precision: see `TrainingConfig`.
        """
        config = _config(work, _source(data, num_images, f"{folder}.npz"))
        config = dataclasses.replace(config, training=dataclasses.replace(config.training, precision=precision))
        # Not by `load_data`: its check refuses the greys of W2, whose cross-entropy is no likelihood.
        self.dataset = data_lib.load(config.data)
        self.vae, self.state = fresh_model(config, self.dataset), RunState()
        self.config, self.place = config, WorkDir(folder)
        self.place.claim(config)
        self.checkpoints = Checkpoints(self.place.checkpoints, self.vae, state=self.state)
        steps = self.vae.steps_at_once
        return {"tfvae": tfvae.__version__, "tensorflow": tf.__version__, "steps_per_execution": steps}

    def epoch(self, count: int = 1, before: int = 0) -> dict[str, Any]:
        """`before` and then `count` epochs more by one `fit`, with progress bar, TensorBoard, validation, checkpoints.

        Returns:
          of the last `count` epochs `measured_seconds`, of their training part, which TensorBoard was given as
          throughput, and of what progress bar and TensorBoard do at their ends; `checkpoint_seconds`. The call itself
          takes longer, by checkpoints, validation and the start of the pipeline, for `all_images`. `loss` is that of
          the epoch whose number is that of the call.
        """
        step, num_examples = int(self.vae.steps.numpy()), self.dataset.train.num_examples
        done = step // self.dataset.train.steps_per_epoch(self.config.training.batch_size)
        training = dataclasses.replace(self.config.training, num_epochs=done + before + count)
        config = dataclasses.replace(self.config, training=training)
        logs = self.place.file("logs", "train", "*")
        written_before = set(glob.glob(logs))
        for seconds in self.spent.values():
            seconds.clear()
        with contextlib.redirect_stderr(Terminal()):
            fit(
                config, self.place, self.dataset, self.vae, self.state, self.checkpoints,
                cluster=connect("one_device"), start=step, verbose=True,
            )  # fmt: skip
        [written] = set(glob.glob(logs)) - written_before
        rates, losses = _scalars(written, "images_per_second"), _scalars(written, "loss")
        assert len(rates) == before + count
        at_ends = {callback: sum(seconds[before:]) for callback, seconds in self.spent.items()}
        return {
            "images": count * num_examples,
            "all_images": (before + count) * num_examples,
            "measured_seconds": sum(num_examples / rate for rate in rates[before:])
            + at_ends[Progress]
            + at_ends[TensorBoard],
            "checkpoint_seconds": at_ends[Keeper],
            "loss": self.loss(losses),
        }

    def export(self, data: str) -> dict[str, Any]:
        """Exports the model, loads the export, and compiles both ways of `call`."""
        folder = export_saved_model(self.vae, self.place.file("export"), item_shape=self.vae.item_shape)
        self.loaded, vae = tf.saved_model.load(folder), self.vae

        @tf.function(autograph=False)
        def generate(seed: tf.Tensor) -> Any:
            z = vae.prior.sample(ROWS, seed=[0, tf.cast(seed[0], tf.int32)])
            return vae.decode(z).mean()

        @tf.function(autograph=False)
        def encode(x: tf.Tensor) -> Any:
            posterior = vae.encode(x)
            return posterior.mean(), posterior.stddev()

        x = np.load(data, mmap_mode="r")[: 60 * ROWS].astype(np.float32).reshape(-1, *vae.item_shape)
        signatures = self.loaded.signatures
        self.calls: dict[str, Callable[[int], Any]] = {
            "generate_export": lambda number: signatures["generate"](seed=_seeds(number)),
            "generate_python": lambda number: generate(_seeds(number)),
            "encode_export": lambda number: signatures["encode"](image=_part(x, number)),
            "encode_python": lambda number: encode(_part(x, number)),
        }
        for run in self.calls.values():
            run(0)
        return {}

    def call(self, what: str, items: int) -> dict[str, Any]:
        """So many items in batches, and their numbers in NumPy."""
        for number in range(items // ROWS):
            tf.nest.map_structure(lambda value: value.numpy(), self.calls[what](number))
        return {"images": items}


def _config(work: str, source: DataConfig) -> Config:
    convolutional = networks.Imported(
        encoder_function="compare_networks:encoder", decoder_function="compare_networks:decoder"
    )
    dense = work == "w1"
    return Config(
        name=work,
        data=source,
        model=ModelConfig(
            latent_size=20 if dense else 2,
            posterior=posteriors.Normal(),
            prior=priors.StandardNormal(),
            likelihood=likelihoods.Bernoulli(),
            network=networks.MLP(hidden=(500,)) if dense else convolutional,
            output_bias_from_data=False,  # no other side has it
        ),
        objective=objectives.SGVB_B(),
        training=TrainingConfig(batch_size=100 if dense else 128, pictures_every=0),
    )


def _source(data: str, num_images: int, file: str) -> DataConfig:
    shape = (28, 28, 1)
    if data.endswith(".tfrecord"):
        splits = {f"{name}_split": f"{name}.tfrecord" for name in ("train", "validation", "test")}
        return DataConfig(source=f"tfrecord:{data}", item_shape=shape, **splits)
    images = np.concatenate([np.load(data, mmap_mode="r")[:num_images], np.load(held_out(data))])
    np.savez(file, images=images.reshape(-1, *shape))
    return DataConfig(
        source=f"npz:{file}", item_shape=shape, split_order="sequential",
        validation_fraction=NUM_VALIDATION / len(images), test_fraction=NUM_TEST / len(images),
    )  # fmt: skip


def _scalars(file: str, tag: str) -> list[float]:
    """The values of a tag in an event file, in order."""
    events = map(event_pb2.Event.FromString, tf.data.TFRecordDataset(file).as_numpy_iterator())
    values = [value for event in events for value in event.summary.value]
    return [float(tf.make_ndarray(value.tensor)) for value in values if value.tag == tag]


def _seeds(number: int) -> tf.Tensor:
    return tf.range(number * ROWS, (number + 1) * ROWS, dtype=tf.int64)


def _part(x: np.ndarray, number: int) -> tf.Tensor:
    """The images of one request, which begin again at the end."""
    start = number * ROWS % len(x)
    return tf.constant(x[start : start + ROWS])


if __name__ == "__main__":
    side = Ours()
    serve({name: getattr(side, name) for name in ("ready", "epoch", "export", "call")})
