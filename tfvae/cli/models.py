"""The flags of scripts that use a trained model, and what they stand for.

`--workdir` or `--saved_model` is the model, `--input` what it is used on, `--output` the file that appears. Imports no
TensorFlow at the top, so that `--help` answers at once.
"""

import os
from typing import Any

from absl import flags

from tfvae.errors import InputError
from tfvae.files import write_json

FLAGS = flags.FLAGS


def define_flags(*, output: str) -> None:
    """Defines the flags.

    Args:
      output: the help of `--output`.
    """
    flags.DEFINE_string("workdir", None, "folder of a training run")
    flags.DEFINE_string("saved_model", None, "in its place: one version of an export, such as saved_models/digits/1")
    flags.DEFINE_string("checkpoint", "best", "of the run: best (on the validation split) or last")
    flags.DEFINE_string("input", None, "file, folder or source (default: the source that the model was trained on)")
    flags.DEFINE_string("split", "test", "of a source: train, validation or test")
    flags.DEFINE_string("output", None, output)
    flags.DEFINE_integer("seed", 0, "of all that is drawn: the same gives the same output", 0, 2**32 - 1)


def open_model() -> Any:
    """The `tfvae.inference.model.Model` of `--workdir` or `--saved_model`.

    Raises:
      InputError: where neither or both are given, or there is no such model.
    """
    from tfvae import config as config_lib
    from tfvae.inference.model import Model
    from tfvae.training import WorkDir

    if (FLAGS.workdir is None) == (FLAGS.saved_model is None):
        received = "both" if FLAGS.workdir is not None else "none"
        raise InputError(f"--workdir: received {received} of --workdir and --saved_model, expected one of them")
    if FLAGS.saved_model is not None:
        return Model.load(FLAGS.saved_model)
    vae, config, _ = WorkDir(FLAGS.workdir).load_model(checkpoint=FLAGS.checkpoint)
    return Model.of(vae, config=config_lib.to_dict(config), origin=FLAGS.workdir)


def open_input(model: Any, *, given: str | None = None, split: str | None = None) -> Any:
    """The `tfvae.inference.inputs.Examples` of `--input` and `--split`, or of others."""
    from tfvae.inference.inputs import open_input

    return open_input(model, FLAGS.input if given is None else given, split=FLAGS.split if split is None else split)


def output_file(default: str) -> str:
    """`--output`, or a file in the current folder."""
    return default if FLAGS.output is None else FLAGS.output


def one_of(flag: str, value: str, known: Any) -> str:
    """`value` where it is known; raises `InputError` that names the flag otherwise."""
    if value not in known:
        raise InputError(f"--{flag}: received {value!r}, expected one of: {', '.join(known)}")
    return value


def report(path: str, figures: dict[str, Any] | None = None) -> None:
    """Says where the output is; figures go to a JSON file beside it and to the terminal."""
    if figures is not None:
        beside = os.path.splitext(path)[0] + ".json"
        write_json(beside, figures)
        for name, value in figures.items():
            print(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}")
        print(beside)
    print(path)
