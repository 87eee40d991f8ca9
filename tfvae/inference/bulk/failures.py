"""Files that cannot be read or written, said in one line."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from tfvae.data.paths import first_line
from tfvae.errors import InputError

# What filesystems raise: that of this machine, those of TensorFlow, and names of files that are no UTF-8.
FAILURES = (OSError, tf.errors.OpError, UnicodeError)

# Those that are of one file, and say nothing of the disk or the network that it is on.
OF_ONE_FILE = (tf.errors.NotFoundError, tf.errors.PermissionDeniedError, UnicodeError)

READABLE, WRITABLE = "a file that can be read", "a place that has room and can be written to"


def reason(error: Exception) -> str:
    """What one of `FAILURES` says, in one line; of this machine's without the path, which a message names anyway."""
    return getattr(error, "strerror", None) or first_line(error)


@contextlib.contextmanager
def in_one_line(flag: str, file: str, expected: str = READABLE) -> Iterator[None]:
    """Raises `InputError` in place of `FAILURES`.

    Args:
      flag: that the file is of, such as --input.
      file: its path.
      expected: what the message asks for.
    """
    try:
        yield
    except FAILURES as error:
        raise InputError(f"{flag}: {file}: received {reason(error)}, expected {expected}") from error
