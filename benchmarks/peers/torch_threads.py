"""How many threads PyTorch is given."""

import os
import time
from collections.abc import Callable
from typing import Any

import torch


def choose(run: Callable[[], Any]) -> int:
    """Sets one thread or as many as there are cores: with which `run` is faster, the better of two calls each.

    Steps as small as these can be slower with two threads than with one, and more so beside other work.
    """
    seconds = {}
    for threads in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(threads)
        each = []
        for _ in range(2):
            start = time.perf_counter()
            run()
            each.append(time.perf_counter() - start)
        seconds[threads] = min(each)
    best = min(seconds, key=seconds.__getitem__)
    torch.set_num_threads(best)
    return best
