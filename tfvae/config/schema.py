"""The typed schema of a run: one dataclass a component.

This file imports no TensorFlow. It must not say `from __future__ import annotations`:
ml_collections reads the real types of the fields.
"""

import dataclasses

from tfvae.component import FieldError, bounded, choice
from tfvae.kinds import Likelihood, Network, Objective, Posterior, Prior
from tfvae.schedules import Constant, Schedule


@dataclasses.dataclass(kw_only=True, slots=True)
class DataConfig:
    """Where examples come from and how they are prepared: see `tfvae.data`.

    Attributes:
      source: `digits`, `digits_table`, `shapes`, `tfds:<name>`, `npz:<file>`, `images:<folder>`,
        `tfrecord:<glob>`; sounds: `tones`, `wav:<folder>`; text: `sentences`, `text:<file>`, `topics`,
        `words:<file>`; tables: `table:<name>`, `csv:<file>`.
      data_dir: folder of prepared TFDS sets; empty: `TFDS_DATA_DIR` or TFDS's default.
      download: whether TFDS may download a set that is not prepared.
      train_split, validation_split, test_split: TFDS split expressions or TFRecord globs;
        empty: the source's own split, or the rule documented in `tfvae.data.splits`.
      validation_fraction, test_fraction: what the rule holds out, as a share of the whole.
      split_order: `random` permutes (seeded) before it cuts, `sequential` keeps the order of
        the source, for frames of a video where neighbours would leak.
      split_seed: seed of that permutation.
      item_shape: shape of one example; empty: as found in the data. Sounds are cut into patches of this
        (frames, bins, 1), lines of text to this (length,), and bags have this number of (words,).
      num_labels: labels of the examples, for a conditional model; 0: as found in the data; more than are found
        where some do not occur.
      encoding: how text becomes numbers: the characters or words in the order of their codes, or how each
        column of a table does (`tfvae.data.tables`); empty: as found in the data. A run keeps what was found.
      sample_rate: samples of a second that sounds are brought to, in Hz.
      resize: (height, width) that images of a folder, TFDS or TFRecords get; empty: as they are.
      grayscale: whether they become one channel.
      scale: `unit` brings values into [0, 1]; `none` takes them as they are stored: grey levels, counts,
        codes, columns of a table.
      binarization: how grey becomes 0/1: see `tfvae.data.pipeline`.
      threshold: a pixel above it is 1, for `binarization = "threshold"`.
      dequantize: adds uniform noise of one grey level, for continuous likelihoods on
        quantized data; makes bits per dimension comparable (Theis et al. 2016, section 3.1).
      shuffle_buffer: examples in the shuffle buffer of streamed sources.
      memory_limit_mb: sources larger than this are streamed.
    """

    source: str = "digits"
    data_dir: str = ""
    download: bool = True
    train_split: str = ""
    validation_split: str = ""
    test_split: str = ""
    validation_fraction: float = bounded(0.1, low=0.0, high=0.9, open_low=True)
    test_fraction: float = bounded(0.1, low=0.0, high=0.9, open_low=True)
    split_order: str = choice("random", "sequential")
    split_seed: int = bounded(0, low=0, high=2**32 - 1)
    item_shape: tuple[int, ...] = bounded((), low=1)
    num_labels: int = bounded(0, low=0)
    encoding: tuple[str, ...] = ()
    sample_rate: int = bounded(8_000, low=1_000, high=192_000)
    resize: tuple[int, ...] = bounded((), low=1)
    grayscale: bool = False
    scale: str = choice("unit", "none")
    binarization: str = choice("none", "static", "dynamic", "threshold")
    threshold: float = bounded(0.5, low=0.0, high=1.0)
    dequantize: bool = False
    shuffle_buffer: int = bounded(10_000, low=1)
    memory_limit_mb: int = bounded(2_048, low=0)

    def validate(self) -> None:
        if self.resize and len(self.resize) != 2:
            raise FieldError("resize", self.resize, "(height, width) or ()")
        if self.dequantize and self.binarization != "none":
            raise FieldError("dequantize", True, f"False with binarization {self.binarization!r}")
        if self.scale == "none" and self.binarization != "none":
            raise FieldError("binarization", self.binarization, "'none' with scale 'none'")
        if self.scale == "none" and self.dequantize:
            raise FieldError("dequantize", True, "False with scale 'none'")


@dataclasses.dataclass(kw_only=True, slots=True)
class ModelConfig:
    """The parts of a VAE: q(z|x), p(z), p(x|z) and the networks between them.

    Attributes:
      conditional: gives the labels to the encoder and the decoder (Sohn et al. 2015).
      output_bias_from_data: starts the decoder's output at the mean of the training data.
    """

    latent_size: int = bounded(2, low=1)
    posterior: Posterior
    prior: Prior
    likelihood: Likelihood
    network: Network
    conditional: bool = False
    output_bias_from_data: bool = True


@dataclasses.dataclass(kw_only=True, slots=True)
class TrainingConfig:
    """How the parameters are learned.

    Attributes:
      learning_rate: multiplied by `learning_rate_schedule` at each step.
      gradient_clip_norm: largest global norm of a gradient; 0: no clipping.
      seed: of the initialisation, the order of the data and all noise.
      steps_per_execution: optimizer steps in one compiled call; 0: 100 with XLA, 10 with several replicas,
        else 1.
      jit_compile: XLA; `auto` is on for dense networks and on GPUs, off for
        convolutions on a CPU, where it is over ten times slower.
      strategy: `auto` takes all GPUs of the machine, or the one device; with several workers in `TF_CONFIG` it is
        `multi_worker`. `mirrored`: all GPUs, or all logical CPUs. `multi_worker`: all GPUs of the machines that
        `TF_CONFIG` names, one process on each. `batch_size` is that of all devices together: see docs/scale.md.
      precision: of the networks; distributions and losses are always float32.
      early_stopping_patience: epochs without a better `Objective.quality` (the validation ELBO, mostly) before the run
        ends; 0: never.
      pictures_every: epochs between pictures in TensorBoard; 0: none.
      checkpoints_to_keep: the newest ones; the best is kept besides.
    """

    num_epochs: int = bounded(50, low=1)
    batch_size: int = bounded(100, low=1)
    optimizer: str = choice("adam", "adamw", "adagrad", "rmsprop", "sgd")
    learning_rate: float = bounded(1e-3, low=0.0, open_low=True)
    learning_rate_schedule: Schedule = dataclasses.field(default_factory=Constant)
    gradient_clip_norm: float = bounded(0.0, low=0.0)
    seed: int = bounded(0, low=0, high=2**32 - 1)
    steps_per_execution: int = bounded(0, low=0)
    jit_compile: str = choice("auto", "on", "off")
    strategy: str = choice("auto", "one_device", "mirrored", "multi_worker")
    precision: str = choice("float32", "mixed_bfloat16", "mixed_float16")
    early_stopping_patience: int = bounded(0, low=0)
    pictures_every: int = bounded(5, low=0)
    checkpoints_to_keep: int = bounded(3, low=1)


@dataclasses.dataclass(kw_only=True, slots=True)
class EvaluationConfig:
    """The evaluation that ends a training run.

    Attributes:
      num_samples: K, posterior samples for each example in the importance-weighted bound.
      seed: of the posterior samples.
    """

    num_samples: int = bounded(100, low=1)
    seed: int = bounded(0, low=0, high=2**32 - 1)


@dataclasses.dataclass(kw_only=True, slots=True)
class Config:
    """A whole run. `name` is that of the default work and export directories."""

    name: str
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig
    objective: Objective
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = dataclasses.field(default_factory=EvaluationConfig)

    def validate(self) -> None:
        if not self.name or self.name != self.name.strip(".") or set(self.name) & set("/\\"):
            raise FieldError("name", self.name, "a plain folder name")
        likelihood = self.model.likelihood
        if self.data.scale != likelihood.scale:
            meaning = {"unit": "values in [0, 1]", "none": "the stored values as they are"}[likelihood.scale]
            raise FieldError(
                "data.scale", self.data.scale, f"{likelihood.scale!r}, {meaning}, for a {likelihood.tag} likelihood"
            )
        if self.data.dequantize and likelihood.support(self.data.item_shape).discrete:
            raise FieldError("data.dequantize", True, f"False for a {likelihood.tag} likelihood, which is of levels")
