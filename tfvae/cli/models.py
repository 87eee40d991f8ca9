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


def open_model(*, prefix: str = "") -> Any:
    """The `tfvae.inference.model.Model` of `--workdir` or `--saved_model`, or of flags whose names begin with `prefix`.

    Raises:
      InputError: where neither or both are given, or there is no such model.
    """
    from tfvae import config as config_lib
    from tfvae.inference.model import Model
    from tfvae.training import WorkDir

    workdir, saved_model = getattr(FLAGS, prefix + "workdir"), getattr(FLAGS, prefix + "saved_model")
    if (workdir is None) == (saved_model is None):
        received = "both" if workdir is not None else "none"
        both = f"--{prefix}workdir and --{prefix}saved_model"
        raise InputError(f"--{prefix}workdir: received {received} of {both}, expected one of them")
    try:
        if saved_model is not None:
            return Model.load(saved_model)
        vae, config, _ = WorkDir(workdir).load_model(checkpoint=FLAGS.checkpoint)
    except InputError as error:
        raise InputError(str(error).replace("--", f"--{prefix}", 1)) from error  # messages begin with the flag's name
    return Model.of(vae, config=config_lib.to_dict(config), origin=workdir)


def open_input(model: Any, *, check: bool = True) -> Any:
    """The `tfvae.inference.inputs.Examples` of `--input` and `--split`, checked unless the caller marks unfit ones."""
    from tfvae.inference.inputs import open_input

    return open_input(model, FLAGS.input, split=FLAGS.split, check=check)


def output_file(model: Any, name: str) -> str:
    """`--output`, or a file of this name in the current folder: a picture, or arrays where items are no images."""
    from tfvae.inference.sheet import can_draw

    return FLAGS.output or name + (".png" if can_draw(model.item_shape) else ".npz")


def integers(flag: str) -> tuple[int, ...] | None:
    """The whole numbers of a flag that lists them, or None where it is not given."""
    given = getattr(FLAGS, flag)
    if given is None:
        return None
    if not all(part.strip().isdecimal() for part in given):
        raise InputError(f"--{flag}: received {','.join(given)!r}, expected whole numbers with commas between them")
    return tuple(int(part) for part in given)


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
