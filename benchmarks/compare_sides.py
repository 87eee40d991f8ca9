"""The sides of `compare.py`: where each lives, how it is asked, and rounds that alternate between them."""

import contextlib
import dataclasses
import os
import random
import subprocess
import sys
from typing import Any

from workers import Worker, environment

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 300.0  # seconds of an answer
CPUINFO = "/proc/cpuinfo"

# Those that were tried together. pip takes torch from what `--torch` says.
JAX, TENSORFLOW = "jax==0.10.2", "tensorflow==2.21.*"
REQUIREMENTS = {
    "pythae": ("numpy", "pythae==0.1.2"),
    "torch": ("numpy",),
    "keras3": ("keras==3.15.1", TENSORFLOW),
    "flax": (JAX, "flax==0.12.8", "optax==0.2.8"),
    "numpyro": (JAX, "numpyro==0.22.0"),
}
WITH_TORCH = ("pythae", "torch")


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 by itself, as far as Linux tells."""
    if not os.path.exists(CPUINFO):
        return False
    with open(CPUINFO, encoding="utf-8") as file:
        return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(file.read().split())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a comparison.

    Attributes:
      title: for the report.
      script: below `benchmarks/`.
      home: the key of `REQUIREMENTS` that names its environment; empty: the Python that runs the script.
      settings: what `ready` is given besides.
      epoch: what `epoch` is given: sides that train by `fit` are timed from its second epoch on.
      few: whether it is known to be so slow that it gets few images.
      peer: whether it counts among the peers; tfvae and the floor do not.
    """

    title: str
    script: str
    home: str = ""
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    epoch: dict[str, Any] = dataclasses.field(default_factory=dict)
    few: bool = False
    peer: bool = True


_BY_FIT = {"before": 1}
OURS = Side(title="tfvae", script="compare_ours.py", epoch=_BY_FIT, peer=False)
_TORCH, _KERAS3 = "peers/torch_vae.py", "peers/keras3_vae.py"
_PYTHAE = Side(title="pythae, `BaseTrainer`", script="peers/pythae_vae.py", home="pythae")
_EAGER = Side(title="PyTorch, eager", script=_TORCH, home="torch", settings={"compiled": False})
_COMPILED = Side(title="PyTorch, `torch.compile`", script=_TORCH, home="torch", settings={"compiled": True})
_FLAX = Side(title="flax and optax, a scanned epoch", script="peers/flax_vae.py", home="flax")
_JIT = Side(title="Keras 3, XLA", script=_KERAS3, home="keras3", settings={"jit": True}, epoch=_BY_FIT)
_PLAIN = dataclasses.replace(_JIT, title="Keras 3 (no XLA, its default on a CPU)", settings={"jit": False})

SIDES: dict[str, dict[str, Side]] = {
    "w1": {
        "tfvae": OURS,
        "pythae": _PYTHAE,
        "keras3": _JIT,
        "keras3_no_jit": _PLAIN,
        "tf_keras_fit": Side(title="tf_keras `fit` with `tfp.layers`", script="peers/tf_keras_fit.py", epoch=_BY_FIT),
        "torch": _EAGER,
        "torch_compile": _COMPILED,
        "flax": _FLAX,
        "numpyro": Side(title="NumPyro, a scanned epoch", script="peers/numpyro_vae.py", home="numpyro"),
        "floor": Side(title="the matrix products alone", script="peers/floor.py", peer=False),
    },
    # XLA on CPUs is slow with convolutions, and bfloat16 on those that have no instructions for it.
    "w2": {
        "tfvae": OURS,
        "tfvae_bfloat16": dataclasses.replace(
            OURS, title="tfvae, `mixed_bfloat16`", settings={"precision": "mixed_bfloat16"}, few=not has_bfloat16()
        ),
        "pythae": _PYTHAE,
        "keras3": dataclasses.replace(_JIT, few=True),
        "keras3_no_jit": _PLAIN,
        "torch": _EAGER,
        "torch_compile": _COMPILED,
        "flax": dataclasses.replace(_FLAX, few=True),
    },
}


@dataclasses.dataclass(frozen=True)
class Homes:
    """The environments of the peers.

    Attributes:
      folder: where they are made and kept.
      torch: what pip installs as torch.
    """

    folder: str
    torch: str

    def python(self, home: str) -> str:
        """The Python of an environment, which is made where it is missing; see `environment`."""
        if not home:
            return sys.executable
        torch = (self.torch,) if home in WITH_TORCH else ()
        return environment(os.path.join(self.folder, home), [*torch, *REQUIREMENTS[home]])

    def worker(self, script: str, home: str = "", *options: str, limit: float | None = None) -> Worker:
        """A fresh process for a script below `benchmarks/`."""
        return Worker([self.python(home), os.path.join(HERE, script), *options], limit=limit)


def reason(error: Exception) -> str:
    """Why a side is missing, in one line."""
    if isinstance(error, subprocess.CalledProcessError):
        return "could not be installed"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1].strip()[:300]}"


FAILURES = (RuntimeError, TimeoutError, OSError, subprocess.CalledProcessError)


def alternate(
    sides: dict[str, Side], homes: Homes, *, rounds: int, ready: dict[str, dict[str, Any]], limit: float = LIMIT
) -> dict[str, Any]:
    """An epoch of each side in turn, `rounds` times, after one that compiles and is not counted.

    Args:
      sides: by name.
      homes: where they live.
      rounds: see above.
      ready: what each side is asked to make ready.
      limit: seconds that any answer may take.

    Returns:
      `rounds`, a list of answers by side; `missing`, why a side is not among them; `versions`.
    """
    missing: dict[str, str] = {}
    versions: dict[str, dict[str, Any]] = {}
    workers: dict[str, Worker] = {}
    found: list[dict[str, Any]] = []
    with contextlib.ExitStack() as stack:

        def answer(name: str, what: str, **given: Any) -> dict[str, Any] | None:
            try:
                if name not in workers:
                    side = sides[name]
                    workers[name] = stack.enter_context(homes.worker(side.script, side.home, limit=limit))
                return workers[name].ask(what, **given)
            except FAILURES as error:
                if sides[name] is OURS:
                    raise
                missing[name] = reason(error)
                say(f"{name}: {missing[name]}")
                return None

        for name in sides:
            given = answer(name, "ready", **ready[name])
            first = given and answer(name, "epoch", **sides[name].epoch)
            if first:
                known = ("seconds", "cpu_seconds", "peak_memory_mb")
                versions[name] = {key: value for key, value in given.items() if key not in known}
                say(f"{name}: ready, the first epoch took {first['seconds']:.1f} s")
        for number in range(rounds):
            found.append({})
            # Another order in each round: a slow stretch of the machine hits other neighbours.
            order = random.Random(number).sample([*sides], len(sides))
            for name in [name for name in order if name not in missing]:
                epoch = answer(name, "epoch", **sides[name].epoch)
                if epoch:
                    found[-1][name] = epoch
            say(f"round {number + 1} of {rounds}: " + ", ".join(f"{n} {pace(a):,.0f}/s" for n, a in found[-1].items()))
    # A side that fell out is not in some rounds only.
    kept = [{name: row[name] for name in sides if name in row and name not in missing} for row in found]
    return {"rounds": kept, "missing": missing, "versions": versions}


def pace(answer: dict[str, Any]) -> float:
    """Images or decodes a second, by the time that the side measured itself where it did."""
    items = answer.get("images", answer.get("decodes"))
    return items / answer.get("measured_seconds", answer["seconds"])


def say(text: str) -> None:
    """To standard error, at once."""
    print(text, file=sys.stderr, flush=True)
