"""The examples that a model is to be used on: those of its own source, or of a user's file, folder or source."""

import dataclasses
import glob
import os

import numpy as np

from tfvae import config as config_lib
from tfvae.config import DataConfig
from tfvae.data import ENCODED, DataSet, Split, load, load_whole
from tfvae.data.text import BAGS
from tfvae.errors import InputError
from tfvae.inference.model import Model

# What the name of a file says of its source, and so those of the files in a folder.
SCHEMES = {
    ".npz": "npz", ".png": "images", ".jpg": "images", ".jpeg": "images", ".tfrecord": "tfrecord",
    ".tfrecords": "tfrecord", ".wav": "wav", ".txt": "text", ".csv": "csv",
}  # fmt: skip
_OF_FOLDERS = ("images", "wav", "text")


@dataclasses.dataclass(frozen=True)
class Examples:
    """What a function works on.

    Attributes:
      split: the examples as a stream, prepared as the model's own data were.
      names: of the examples, such as those of files; empty where they have none.
      label_names: names of the labels 0, 1, ...; empty where none are known.
      dataset: that the split is of; None for files and folders.
    """

    split: Split
    names: tuple[str, ...] = ()
    label_names: tuple[str, ...] = ()
    dataset: DataSet | None = None

    def attributes(self, labels: np.ndarray) -> dict[str, np.ndarray]:
        """What labels `[n]` say: the known factors by name, integers `[n]`, or the labels themselves as `label`."""
        if self.dataset is not None and self.dataset.factor_names:
            return dict(zip(self.dataset.factor_names, self.dataset.factors(labels).T, strict=True))
        return {"label": labels}

    def first(self, count: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """The first `count`, or all: x, float32 `[n, *item_shape]`, and labels int64 `[n]` or None."""
        count = self.split.num_examples if count is None else count
        if self.split.has_labels:
            return self.split.examples(count, labels=True)
        return self.split.examples(count), None

    def given_labels(
        self, model: Model, labels: np.ndarray | None, label: int | None, *, count: int | None = None
    ) -> np.ndarray | None:
        """The labels that a conditional model is given, int64 `[count]`; None for any other model.

        Args:
          model: the model.
          labels: those of the examples, if they have any.
          label: one for all of them.
          count: of the examples; None: all.

        Raises:
          InputError: for a label that there is none of, or none at all.
        """
        if label is not None:
            return np.full(self.split.num_examples if count is None else count, check_label(model, label), np.int64)
        if model.num_labels and labels is None:
            raise InputError(
                f"--label: received none, expected one of 0 ... {model.num_labels - 1}: {model.origin} is a "
                "conditional model, and the input has no labels"
            )
        return labels if model.num_labels else None


def check_label(model: Model, label: int) -> int:
    """`label`, where a conditional model has it; raises `InputError` otherwise."""
    if not model.num_labels:
        raise InputError(f"--label: received {label}, expected none: {model.origin} is no conditional model")
    if not 0 <= label < model.num_labels:
        raise InputError(f"--label: received {label}, expected one of 0 ... {model.num_labels - 1}")
    return label


def open_input(model: Model, given: str | None = None, *, split: str = "test", flag: str = "--input") -> Examples:
    """Opens the examples that a flag names.

    Args:
      model: whose preparation they get: its config's, but for the source.
      given: a source such as `digits` or `tfds:mnist`, or a PNG, JPEG, NPZ, TFRecord, WAV, text or CSV file, or a
        folder of images, sounds or texts; None: the source that the model was trained on.
      split: of a source; files and folders are taken whole.
      flag: the name in messages.

    Raises:
      InputError: for what is missing, damaged, or of another shape than the model's items.
    """
    config = _data_config(model)
    if given is None and not model.config:
        raise InputError(f"{flag}: received none, expected one: the model card of {model.origin} names no source")
    whole = given is not None and _is_path(given)
    if whole:
        config.source = f"{_scheme(given, flag, like=config.source)}:{given}"  # type: ignore[arg-type]
    elif given is not None:
        config.source = given
    if config.source != _data_config(model).source:
        # Those of another source would not fit this one.
        config.train_split = config.validation_split = config.test_split = ""
        if config.source.partition(":")[0] not in ENCODED:
            config.encoding = ()
    config.grayscale = config.grayscale or (config.source.startswith("images:") and model.item_shape[-1:] == (1,))
    try:
        if whole:
            found = load_whole(config)
            examples = Examples(found.examples, found.names, found.label_names)
        else:
            dataset = load(config)
            examples = Examples(dataset.split(split), (), dataset.label_names, dataset)
    except InputError as error:
        raise InputError(f"{flag}: {error}") from error
    if examples.split.item_shape != model.item_shape:
        raise InputError(
            f"{flag}: received examples of shape {list(examples.split.item_shape)} in {config.source}, expected "
            f"{list(model.item_shape)}, as those of {model.origin}"
        )
    return examples


def _data_config(model: Model) -> DataConfig:
    """The data's config of the model, or one that takes numbers of its range."""
    if model.config:
        config = config_lib.from_dict(model.config["data"], DataConfig, "data")
        if not os.path.isdir(config.data_dir):
            config.data_dir = ""  # a model card keeps no path of the machine that it was made on
        return config
    in_unit = (model.low, model.high) == (0.0, 1.0)
    return DataConfig(scale="unit" if in_unit else "none", binarization="threshold" if model.binary else "none")


def _is_path(given: str) -> bool:
    """Whether it names files, and no source: `digits` is a source unless a folder has that name."""
    return (
        os.path.exists(given)
        or bool(glob.glob(given))
        or (os.path.splitext(given)[1].lower() in SCHEMES and (":" not in given))
    )


def _scheme(path: str, flag: str, *, like: str) -> str:
    """The scheme of the source that a file or folder is; text is read as that of the model's own source `like`."""
    if os.path.isdir(path):
        names = [name for _, _, names in os.walk(path) for name in sorted(names) if name[0] != "."]
        kinds = [SCHEMES.get(os.path.splitext(name)[1].lower()) for name in names]
        scheme = next((kind for kind in kinds if kind in _OF_FOLDERS), "images")
    else:
        kind = os.path.splitext(path)[1].lower()
        if kind not in SCHEMES:
            raise InputError(
                f"{flag}: received {path!r}, expected a folder of images, sounds or texts, a source, or a file that "
                f"ends in one of: {', '.join(SCHEMES)}"
            )
        scheme = SCHEMES[kind]
    return "words" if scheme == "text" and like.partition(":")[0] in BAGS else scheme
