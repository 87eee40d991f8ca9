"""What the scripts in `tools/` share: flags, one-line errors, exit codes.

Imports no TensorFlow, so that `--help` answers at once.
"""

import contextlib
import dataclasses
import difflib
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from absl import flags, logging

from tfvae.component import Component
from tfvae.config import from_file, split_argument
from tfvae.errors import InputError

FLAGS = flags.FLAGS
_HELP = {"--help", "-help", "-h", "-?", "--helpfull", "--helpshort"}


def run(main: Callable[[], Any], *, config: str | None = None) -> None:
    """Parses the flags, calls `main()`, and leaves: 0, or 1 with one line for bad input.

    Args:
      main: reads `cli.FLAGS`.
      config: default of `--config`, for scripts that take one; the parsed `Config` is
        `FLAGS.config`.
    """
    # Leaves through `finally`, so that nothing half-written stays.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        if _HELP & set(sys.argv[1:]):
            _print_help(takes_config=config is not None)
            sys.exit(0)
        if config is not None:
            _define_config(config)
        arguments = _parse()
        if arguments:
            raise InputError(f"received {' '.join(arguments)!r} beside the flags, expected flags only")
        _start_tensorflow()
        main()
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command starts it again", file=sys.stderr)
        sys.exit(130)


def _start_tensorflow() -> None:
    """Imports TensorFlow and finds its devices, quietly."""
    with quiet():
        import tensorflow as tf

        from tfvae import devices

        devices.start()
    logging.use_absl_handler()
    logging.set_verbosity(logging.WARNING)
    tf.get_logger().setLevel("ERROR")


def _print_help(*, takes_config: bool) -> None:
    if takes_config:
        flags.DEFINE_string(
            "config", None, "Python file with get_config(); set its fields as --config.model.latent_size=32",
            module_name=sys.argv[0],
        )  # fmt: skip
    print((sys.modules["__main__"].__doc__ or "").strip(), end="\n\n")
    print(FLAGS.main_module_help())


def _parse() -> list[str]:
    """Parses the command line; returns what is no flag."""
    try:
        return FLAGS(sys.argv)[1:]
    except flags.Error as error:
        raise InputError(str(error)) from error


def _define_config(default: str) -> None:
    """Defines `--config` from a file that exists and has `get_config`, with its fields as flags.

    ml_collections answers a bad file or field with errors of many kinds, so files and
    fields are looked at here first.
    """
    from ml_collections import config_flags

    path = default
    for index, argument in enumerate(sys.argv[1:], 1):
        if argument in ("--config", "-config") and index + 1 < len(sys.argv):
            path = sys.argv[index + 1]
        elif argument.startswith(("--config=", "-config=")):
            path = argument.split("=", 1)[1]
    config = _load_config(path)
    for argument in sys.argv[1:]:
        if argument.startswith(("--config.", "-config.", "--noconfig.", "-noconfig.")):
            _check_field(config, *argument.lstrip("-").removeprefix("no").split("=", 1))
    try:
        config_flags.DEFINE_config_file("config", path, "Python file with get_config()", lock_config=True)
    except Exception as error:
        fields = [argument for argument in sys.argv[1:] if argument.startswith(("--config.", "-config."))]
        raise InputError(f"{' '.join(fields)}: {error}") from error


def _load_config(path: str) -> Any:
    if not os.path.isfile(split_argument(path)[0]):
        raise InputError(f"--config: received {path!r}, expected a Python file with get_config()")
    with quiet():  # config files import TensorFlow through the parts they choose
        try:
            return from_file(path)
        except InputError as error:
            raise InputError(f"--config: {path!r}: {error}") from error
        except TypeError as error:
            if split_argument(path)[1] and "positional argument" in str(error):
                raise InputError(f"--config: received {path!r}, expected no argument after the file") from error
            raise InputError(f"--config: {path}: {type(error).__name__}: {error}") from error
        except Exception as error:
            raise InputError(f"--config: {path}: {type(error).__name__}: {error}") from error


def _check_field(config: Any, flag: str, value: str | None = None) -> None:
    """Checks that `config.a.b` is a field that a flag can set, and to a number where it holds one."""
    part = config
    for name in flag.split(".")[1:]:
        known = [field.name for field in dataclasses.fields(part)] if dataclasses.is_dataclass(part) else []
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f", did you mean {near[0]}?" if near else f", expected one of: {', '.join(known) or 'none'}"
            raise InputError(f"--{flag}: unknown field {name!r}{hint}")
        part = getattr(part, name)
    if dataclasses.is_dataclass(part):
        what = f"{part.kind} is" if isinstance(part, Component) else "group of fields is"
        inside = ", ".join(field.name for field in dataclasses.fields(part)) or "none"
        raise InputError(f"--{flag}: a {what} chosen in the config file, expected one of its fields: {inside}")
    kind = type(part)
    if kind in (int, float) and value is not None:
        try:
            kind(value)
        except ValueError as error:
            raise InputError(f"--{flag}: received {value!r}, expected {kind.__name__}") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps back what TensorFlow's libraries write while they load, unless loading fails."""
    # A worker that another one has left says so itself, in one line.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3" if os.environ.get("TF_CONFIG") else "2")
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        before = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except InputError:
            raise
        except BaseException:
            sys.stderr.flush()
            kept.seek(0)
            os.write(before, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
