"""Child processes that answer requests, so that the sides of a comparison take turns and each stays warm.

Requests and answers are JSON, a line each. Only the standard library is needed: a peer answers from an environment of
its own, where this project is not installed.
"""

import contextlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Callable, Sequence
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))


def serve(handlers: dict[str, Callable[..., dict[str, Any]]]) -> None:
    """Answers requests from standard input until it ends.

    A request is `{"do": <name of a handler>, <its arguments>}`. The answer is what the handler returns, with
    `seconds` (of the call), `cpu_seconds` (of all threads) and `peak_memory_mb` (of the process so far) beside it.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    for line in sys.stdin:
        request = json.loads(line)
        handler = handlers[request.pop("do")]
        start, cpu = time.perf_counter(), time.process_time()
        answer = handler(**request)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        answer |= {"seconds": seconds, "cpu_seconds": cpu, "peak_memory_mb": peak_memory_mb()}
        print(json.dumps(answer), file=answers, flush=True)


def peak_memory_mb() -> float:
    """The most memory that this process has held, in MB of 10^6 bytes."""
    try:
        # Where it can be had not `ru_maxrss`, which begins with the memory of the process that started this one.
        with open("/proc/self/status", encoding="ascii") as file:
            kilobytes = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        kilobytes = most / 1024 if sys.platform == "darwin" else most
    return round(kilobytes * 1024 / 1e6, 1)


class Worker:
    """A child process that runs `serve`.

    Args:
      command: its program and arguments. `benchmarks/` is on its path.
      limit: seconds that an answer may take before the process is ended; None: any time.
    """

    def __init__(self, command: Sequence[str], *, limit: float | None = None) -> None:
        self._limit = limit
        paths = [HERE, os.environ.get("PYTHONPATH", "")]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, closed with the process
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )  # fmt: skip

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
        """The answer to one request.

        Raises:
          TimeoutError: where it took longer than `limit`.
          RuntimeError: where the process has ended, with the last lines of what it wrote to standard error.
        """
        late = threading.Event()
        timer = threading.Timer(self._limit or threading.TIMEOUT_MAX, lambda: (late.set(), self._process.kill()))
        timer.daemon = True
        timer.start()
        with contextlib.suppress(BrokenPipeError):  # where it has ended, which is said below
            self._process.stdin.write(json.dumps({"do": name, **arguments}) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        timer.cancel()
        if late.is_set():
            raise TimeoutError(f"{name}: did not end in {self._limit:g} s")
        if not line:
            self._errors.seek(0)
            last = self._errors.read().decode(errors="replace").strip().splitlines()[-15:]
            raise RuntimeError("\n".join([f"{name}: the process ended without an answer:", *last]))
        return json.loads(line)


class EpochClock:
    """What makes of a Keras callback a clock of the last epoch inside `fit`, in `seconds`."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Before its first step."""
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """After its last one."""
        self.seconds = time.perf_counter() - self.started


class LossByCall:
    """The losses of a side whose calls make several epochs: with each call that after as many epochs as calls."""

    def __init__(self) -> None:
        self._losses: list[float] = []
        self._calls = 0

    def __call__(self, losses: Sequence[float]) -> float:
        """Adds those of a call."""
        self._losses += losses
        self._calls += 1
        return float(self._losses[self._calls - 1])


def environment(folder: str, requirements: Sequence[str]) -> str:
    """A virtual environment with these packages, made where it is not there yet; gives its Python."""
    python = os.path.join(folder, "Scripts" if os.name == "nt" else "bin", "python")
    mark = os.path.join(folder, "requirements.json")
    if os.path.exists(mark):
        with open(mark, encoding="utf-8") as file:
            if json.load(file) == list(requirements):
                return python
    print(f"installing {', '.join(requirements)} into {folder}", file=sys.stderr, flush=True)
    venv.create(folder, with_pip=True, clear=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
    with open(mark, "w", encoding="utf-8") as file:
        json.dump(list(requirements), file)
    return python


def spread(values: Sequence[float]) -> dict[str, float]:
    """The median of rounds, and the lowest and the highest."""
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def machine() -> dict[str, Any]:
    """What the figures were measured on; memory in GB of 10^9 bytes."""
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), model)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "processor": model, "cores": os.cpu_count(), "memory_gb": round(memory), "python": platform.python_version(),
    }  # fmt: skip
