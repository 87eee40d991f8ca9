"""Where a file, folder or glob that a config names is, and what is said of one that is damaged."""

import glob
import os
import re

import numpy as np

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


# Files, int64 labels `[N]` or None, the names of the labels, and the names of the files.
Listed = tuple[list[str], np.ndarray | None, tuple[str, ...], tuple[str, ...]]


def collect(path: str, extensions: tuple[str, ...], *, source: str, kind: str) -> Listed:
    """The files that `path` stands for: a file, a folder (see `listing`) or a glob of files (see `find`)."""
    found = find(path, source=source, expected=f"a file, folder or glob of {kind}")
    if len(found) == 1:
        return listing(found[0], extensions, kind=kind)
    return found, None, (), tuple(os.path.basename(file) for file in found)


def listing(folder: str, extensions: tuple[str, ...], *, kind: str) -> Listed:
    """The files of a folder, or of its subfolders, whose sorted names are the labels; or one file.

    Hidden files and other extensions are passed over; files are in the order of their names.

    Args:
      folder: its path, or that of one file.
      extensions: of the files, lower case.
      kind: what messages call them.

    Raises:
      InputError: where there are none, or some in the folder itself and some in its subfolders.

    Returns:
      the files; their labels int64 `[N]`, or None; the names of the labels; the paths of the files inside the folder.
    """
    if not os.path.isdir(folder):
        return [folder], None, (), (os.path.basename(folder),)

    def inside(path: str) -> list[str]:
        return sorted(
            entry.path
            for entry in os.scandir(path)
            if entry.is_file() and entry.name[0] != "." and entry.name.lower().endswith(extensions)
        )

    files = inside(folder)
    subfolders = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")
    classes = {name: found for name in subfolders if (found := inside(os.path.join(folder, name)))}
    if files and classes:
        raise InputError(
            f"data.source: received {folder!r} with {kind} in it and in its subfolders ({', '.join(classes)}), "
            "expected them in one of these places"
        )
    if not files and not classes:
        raise InputError(
            f"data.source: received {folder!r} without {kind}, expected files ending in {', '.join(extensions)} "
            "in it or in its subfolders"
        )
    labels = np.repeat(np.arange(len(classes)), [len(found) for found in classes.values()]) if classes else None
    files = files or [file for found in classes.values() for file in found]
    return files, labels, tuple(classes), tuple(os.path.relpath(file, folder) for file in files)


def refusal(file: str, received: str, expected: str) -> InputError:
    """What is said of a file that cannot be taken."""
    return InputError(f"data.source: {file}: received {received}, expected {expected}")


def first_line(error: Exception) -> str:
    """What an exception of a library says, short enough for a message of one line."""
    line = str(getattr(error, "message", error)).strip().partition("\n")[0]
    # TensorFlow names the operation before and after the message.
    return re.sub(r"^\{\{.*?\}\}\s*|\s*\[Op:.*$", "", line) or type(error).__name__
