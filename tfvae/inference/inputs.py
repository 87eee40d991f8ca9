"""The examples that a model is to be used on: those of its own source, or of a user's file, folder or source."""

import dataclasses
import functools
import glob
import os

import numpy as np

from tfvae import config as config_lib
from tfvae.config import DataConfig
from tfvae.data import CHECKED_OF_STREAM, ENCODED, DataSet, Split, load, load_whole, paths, readable
from tfvae.data.tables import LABEL, parse_encoding
from tfvae.data.text import BAGS
from tfvae.data.tfds_source import read_label_names
from tfvae.errors import InputError
from tfvae.inference.model import Model
from tfvae.support import Support

# What the name of a file says of its source, and so those of the files in a folder.
SCHEMES = {
    ".npz": "npz", ".png": "images", ".jpg": "images", ".jpeg": "images", ".tfrecord": "tfrecord",
    ".tfrecords": "tfrecord", ".wav": "wav", ".txt": "text", ".csv": "csv",
}  # fmt: skip
_OF_FOLDERS = ("images", "wav", "text")
_PICTURES = ("images", "tfds", "tfrecord")  # of 256 grey levels; those that `data.resize` and `grayscale` are of

# Sources of a model whose label names are found without reading examples, with the files of their subfolders ...
_LISTED = {"images": (".png", ".jpg", ".jpeg"), "wav": (".wav",), "text": (".txt",), "words": (".txt",)}
_SMALL = ("digits", "digits_table", "npz", "sentences", "tones")  # ... and those that are read in no time.


@dataclasses.dataclass(frozen=True)
class Examples:
    """What a function works on.

    Attributes:
      split: the examples as a stream, prepared as the model's own data were.
      names: of the examples, such as those of files; empty where they have none.
      label_names: names of the labels 0, 1, ...; empty where none are known.
      dataset: that the split is of; None for files and folders.
      labels_of: a model whose labels may be numbered in another way than these; None: they are the model's own.
    """

    split: Split
    names: tuple[str, ...] = ()
    label_names: tuple[str, ...] = ()
    dataset: DataSet | None = None
    labels_of: Model | None = None

    def model_labels(self, labels: np.ndarray) -> np.ndarray:
        """Labels of these examples, int64 `[n]`, as the numbers that they have in the model's own data.

        Another source numbers its label names, such as subfolders or strings, in its own way. They are looked up among
        the names of the model's own source, where these are known; else names that are whole numbers, such as "3",
        are those numbers. Labels without names stay what they are.

        Raises:
          InputError: for names that are neither.
        """
        return labels if self._model_numbers is None else self._model_numbers[labels]

    @functools.cached_property
    def _model_numbers(self) -> np.ndarray | None:
        """The model's number for each of `label_names`, int64; None where they are the same."""
        if self.labels_of is None or not self.label_names:
            return None
        own = own_label_names(self.labels_of)
        if set(self.label_names) <= set(own):
            return np.array([own.index(name) for name in self.label_names], np.int64)
        if all(name.isdecimal() for name in self.label_names):
            return np.array([int(name) for name in self.label_names], np.int64)
        received = next(name for name in self.label_names if name not in own and not name.isdecimal())
        listed = f"one of: {', '.join(own[:20])}{', ...' if len(own) > 20 else ''}" if own else "whole numbers as names"
        hint = ", or --label for all examples" if self.labels_of.num_labels else ""
        raise InputError(
            f"--input: received the label {received!r} in {self.split.source}, expected {listed}, as the labels of "
            f"{self.labels_of.origin}{hint}"
        )

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
        self,
        model: Model,
        labels: np.ndarray | None,
        label: int | None,
        *,
        count: int | None = None,
        places: np.ndarray | None = None,
    ) -> np.ndarray | None:
        """The labels that a conditional model is given, int64 `[count]`; None for any other model.

        Args:
          model: the model.
          labels: those of the examples, if they have any: see `model_labels`.
          label: one for all of them.
          count: of the examples; None: all.
          places: of `labels` in the input, for messages; None: 0, 1, ...

        Raises:
          InputError: for a label that the model has not, or none at all.
        """
        if label is not None:
            return np.full(self.split.num_examples if count is None else count, check_label(model, label), np.int64)
        if not model.num_labels:
            return None
        if labels is None:
            raise InputError(
                f"--label: received none, expected one of 0 ... {model.num_labels - 1}: {model.origin} is a "
                "conditional model, and the input has no labels"
            )
        labels = self.model_labels(labels)
        unknown = np.flatnonzero((labels < 0) | (labels >= model.num_labels))
        if len(unknown):
            at = int(unknown[0])
            raise InputError(
                f"--input: received the label {labels[at]} at place {at if places is None else places[at]}, expected "
                f"labels of 0 ... {model.num_labels - 1}, as those of {model.origin}"
            )
        return labels


def check_label(model: Model, label: int) -> int:
    """`label`, where a conditional model has it; raises `InputError` otherwise."""
    if not model.num_labels:
        raise InputError(f"--label: received {label}, expected none: {model.origin} is no conditional model")
    if not 0 <= label < model.num_labels:
        raise InputError(f"--label: received {label}, expected one of 0 ... {model.num_labels - 1}")
    return label


def open_input(
    model: Model, given: str | None = None, *, split: str = "test", flag: str = "--input", check: bool = True
) -> Examples:
    """Opens the examples that a flag names.

    Another source than the model's own is prepared as that was, as far as it can be: pictures are brought to its size
    and its channels, and grey levels are dequantized where there are some.

    Args:
      model: whose preparation they get: its config's, but for the source.
      given: a source such as `digits` or `tfds:mnist`, or a PNG, JPEG, NPZ, TFRecord, WAV, text or CSV file, or a
        folder of images, sounds or texts; None: the source that the model was trained on.
      split: of a source; files and folders are taken whole.
      flag: the name in messages.
      check: whether to check the numbers, of a stream its first 1,000 examples: they must be finite and in the model's
        range, and whole where its items are counts or codes. Grey for a model of 0 and 1 is drawn, and a number between
        two levels of a discretized likelihood is rounded, as `tfvae.export.served.Served.clean` says. For callers that
        mark what is not fit.

    Raises:
      InputError: for what is missing, damaged, or unlike the model's items.
    """
    config = _data_config(model)
    own = config.source
    if given is None and not model.config:
        raise InputError(f"{flag}: received none, expected one: the model card of {model.origin} names no source")
    whole = given is not None and _is_path(given)
    if whole:
        config.source = f"{_scheme(given, flag, like=config.source)}:{given}"  # type: ignore[arg-type]
    elif given is not None:
        config.source = given
    foreign = config.source != own
    if foreign:
        _forget_source(config)
    config.grayscale = config.grayscale or (config.source.startswith("images:") and model.item_shape[-1:] == (1,))
    try:
        examples = _opened(config, split, whole=whole)
    except InputError as error:
        raise InputError(f"{flag}: {error}") from error
    if examples.split.item_shape != model.item_shape:
        raise InputError(
            f"{flag}: received examples of shape {list(examples.split.item_shape)} in {config.source}, expected "
            f"{list(model.item_shape)}, as those of {model.origin}"
        )
    if check:
        _check(model, examples.split, flag)
    return dataclasses.replace(examples, labels_of=model) if foreign or not model.config else examples


def _forget_source(config: DataConfig) -> None:
    """Clears the fields that were set for another source than `config.source` and do not fit it."""
    scheme = config.source.partition(":")[0]
    config.train_split = config.validation_split = config.test_split = ""
    if scheme not in ENCODED:
        config.encoding = ()
    if scheme not in _PICTURES:
        config.resize, config.grayscale = (), False


def _opened(config: DataConfig, split: str, *, whole: bool) -> Examples:
    try:
        if whole:
            found = load_whole(config)
            return Examples(found.examples, found.names, found.label_names)
        dataset = load(config)
        return Examples(dataset.split(split), (), dataset.label_names, dataset)
    except InputError as error:
        # Floats have no levels to fill, and only the source knows that it holds some: they are taken as they are.
        if not (config.dequantize and str(error).startswith("data.dequantize:")):
            raise
    return _opened(dataclasses.replace(config, dequantize=False), split, whole=whole)


def item_support(model: Model, *, pictures: bool) -> Support:
    """Where the numbers of a model's items may lie; grey for a model of 0 and 1 is drawn, and so is any number.

    Args:
      model: the model.
      pictures: whether they are those of pictures of 256 grey levels.
    """
    low, high = (
        infinite if limit is None else limit for limit, infinite in ((model.low, -np.inf), (model.high, np.inf))
    )
    if _data_config(model).source == "digits" and high > 1 and pictures:
        high = min(high, 16.0)  # grey in 0 ... 255 would be 16 times too bright for counts that have no limit
    return Support(low=low, high=high, step=1.0 if model.step == 1.0 and not model.binary else 0.0)


def _check(model: Model, split: Split, flag: str) -> None:
    """Raises `InputError` for numbers that the model's items cannot have."""
    support = item_support(model, pictures=split.source.partition(":")[0] in _PICTURES)
    whole = support.step == 1.0
    with readable(split.source):
        for values in split.sample(CHECKED_OF_STREAM):
            fault = support.fault(values)
            if fault is not None:
                received, expected = fault
                hint = ": means of such items are none, draws are" if whole and "." in received else ""
                raise InputError(
                    f"{flag}: received {received} in {split.source}, expected {expected}, as the items of "
                    f"{model.origin}{hint}"
                )


def own_label_names(model: Model) -> tuple[str, ...]:
    """Names of the labels 0, 1, ... of the model's own source, where they can be known in no time; else none."""
    if not model.config:
        return ()
    config = _data_config(model)
    scheme, _, rest = config.source.partition(":")
    if scheme in ("table", "csv"):
        return next((tuple(entry[1]) for entry in parse_encoding(config.encoding) if entry[0] == LABEL), ())
    try:
        if scheme == "tfds":
            return read_label_names(rest, config)
        if scheme in _LISTED:
            return paths.collect(rest, _LISTED[scheme], source=config.source, kind="files")[2]
        return load(config).label_names if scheme in _SMALL else ()
    except InputError:
        return ()  # what an export was trained on may be far away


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
