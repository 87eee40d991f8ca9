"""Where a file, folder or glob that a config names is, and what is said of one that is damaged."""

import glob
import os
import re

from tfvae.errors import InputError


def find(path: str, *, source: str, expected: str) -> list[str]:
    """The files or folders that `path`, a path or a glob, stands for, sorted.

    A relative path that matches nothing is looked for in the folder `TFVAE_DATA_DIR` too.

    Args:
      path: of the config; a `~` at its start is the home directory.
      source: what messages quote.
      expected: what messages ask for.

    Raises:
      InputError: where nothing matches.
    """
    path = os.path.expanduser(path)
    tried, folder = [path], os.environ.get("TFVAE_DATA_DIR", "")
    if folder and not os.path.isabs(path):
        tried.append(os.path.join(os.path.expanduser(folder), path))
    for candidate in tried:
        # A name with brackets in it is that name where it exists, and a pattern elsewhere.
        matches = [candidate] if os.path.exists(candidate) else sorted(glob.glob(candidate))
        if matches:
            return matches
    where = " and ".join(os.path.abspath(candidate) for candidate in tried)
    hint = "" if folder or os.path.isabs(path) else " (relative paths are looked for in TFVAE_DATA_DIR too)"
    raise InputError(f"data.source: received {source!r}, expected {expected}: nothing at {where}{hint}")


def first_line(error: Exception) -> str:
    """What an exception of a library says, short enough for a message of one line."""
    line = str(getattr(error, "message", error)).strip().partition("\n")[0]
    # TensorFlow names the operation before and after the message.
    return re.sub(r"^\{\{.*?\}\}\s*|\s*\[Op:.*$", "", line) or type(error).__name__
