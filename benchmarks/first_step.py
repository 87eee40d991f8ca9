"""Runs a training script up to its first compiled optimizer steps, and prints how long these took, in seconds.

  python benchmarks/first_step.py tools/train.py --config=configs/digits.py --workdir=... --export_dir=...

The process ends there, without cleaning up.
"""

import os
import runpy
import sys
import time
from typing import Any

from tfvae.training.callbacks import Progress


def begin(self: Progress, batch: int, logs: Any = None) -> None:
    """Before the steps: what follows traces, compiles and runs them."""
    self._began = time.perf_counter()


def end(self: Progress, batch: int, logs: Any = None) -> None:
    """After them."""
    print(time.perf_counter() - self._began, flush=True)
    os._exit(0)


if __name__ == "__main__":
    Progress.on_train_batch_begin, Progress.on_train_batch_end = begin, end
    del sys.argv[0]
    sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name="__main__")
