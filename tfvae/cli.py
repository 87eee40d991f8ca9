"""What the scripts in `tools/` share: flags, one-line errors, exit codes.

Imports no TensorFlow, so that `--help` answers at once and a misspelled flag fails at once.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from absl import app, flags, logging

from tfvae.errors import InputError

FLAGS = flags.FLAGS


def run(main: Callable[[], Any], *, config: str | None = None) -> None:
    """Parses the flags, calls `main()`, and leaves: 0, or 1 with one line for bad input.

    Args:
      main: reads `cli.FLAGS`.
      config: default of `--config`, for scripts that take one; the parsed `Config` is
        `FLAGS.config`.
    """
    try:
        if {"--help", "-help", "-h", "-?", "--helpfull", "--helpshort"} & set(sys.argv[1:]):
            _print_help(takes_config=config is not None)
            sys.exit(0)
        with _quiet_start():
            if config is not None:
                _define_config(config)
            arguments = _parse()
        if arguments:
            raise InputError(f"received {' '.join(arguments)!r} beside the flags, expected flags only")
        logging.use_absl_handler()
        logging.set_verbosity(logging.WARNING)
        main()
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command starts it again", file=sys.stderr)
        sys.exit(130)


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
    except InputError:
        raise
    except flags.Error as error:
        raise InputError(str(error)) from error
    # ml_collections lets a field's own KeyError, TypeError or ValueError through.
    except Exception as error:
        raise InputError(f"{_guilty_flag(error)}{type(error).__name__}: {error}") from error


def _guilty_flag(error: Exception) -> str:
    fields = [argument for argument in sys.argv[1:] if argument.startswith("--config.")]
    named = [argument for argument in fields if str(error).strip("'\"").split(".")[-1] in argument]
    return ", ".join(named or fields) + ": " if fields else ""


def _define_config(default: str) -> None:
    """Defines `--config` from a file that exists and has `get_config`."""
    from ml_collections import config_flags

    path = default
    for index, argument in enumerate(sys.argv[1:], 1):
        if argument in ("--config", "-config") and index + 1 < len(sys.argv):
            path = sys.argv[index + 1]
        elif argument.startswith(("--config=", "-config=")):
            path = argument.split("=", 1)[1]
    if not os.path.isfile(path):
        raise InputError(f"--config: received {path!r}, expected a Python file with get_config()")
    config_flags.DEFINE_config_file("config", path, "Python file with get_config()", lock_config=True)


@contextlib.contextmanager
def _quiet_start() -> Iterator[None]:
    """Keeps back what TensorFlow's libraries write while they load, unless loading fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
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


__all__ = ["FLAGS", "app", "run"]
