"""Scripts of `tools/` run in this process, which has TensorFlow already."""

import contextlib
import io
import runpy
import signal
import subprocess
import sys

from absl.testing import flagsaver


def run_inside(arguments, folder, monkeypatch):
    """What a script says and how it ends, in this process, whose flags and signals are put back.

    Args:
      arguments: the path of the script, and its flags.
      folder: to stand in.
      monkeypatch: pytest's.

    Returns:
      a `subprocess.CompletedProcess`.
    """
    out, err = io.StringIO(), io.StringIO()
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", arguments)
    code = 0
    with flagsaver.flagsaver(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(arguments[0], run_name="__main__")
        except SystemExit as end:
            code = end.code
    signal.signal(signal.SIGTERM, before)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
