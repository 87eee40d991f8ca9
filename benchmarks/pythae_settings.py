"""The settings with which `VAE.get_nll` of pythae runs fastest, for the benchmarks that measure it."""

import os
from typing import Any

from log_likelihood_report import pace
from workers import Worker


def fastest(peer: Worker, num_samples: int, batch_sizes: list[int]) -> list[dict[str, Any]]:
    """Batch sizes and numbers of threads, the fastest first: the better of two short calls each."""
    found = []
    for threads in sorted({1, os.cpu_count() or 1}):
        for batch_size in batch_sizes:
            ask = {"num_samples": num_samples, "batch_size": batch_size, "threads": threads, "seed": 0}
            best = max(pace(peer.ask("get_nll", num_examples=20, **ask)) for _ in range(2))
            found.append({"batch_size": batch_size, "threads": threads, "decodes_per_second": best})
    return sorted(found, key=lambda row: -row["decodes_per_second"])
