"""What `compare.py` measures, part by part."""

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from compare_data import write_random, write_records
from compare_report import sides_of
from compare_sides import FAILURES, LIMIT, OURS, SIDES, Homes, alternate, pace, reason, say
from pythae_settings import fastest
from workers import Worker, spread

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
PEER_BATCH_SIZES = (100, 500, 1_000, 5_000)  # of pythae's `get_nll`, of those that divide K


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much work a part is; `few` is for sides that are known to be slow."""

    w1: int = 60_000
    w2: int = 12_800
    few: int = 640
    num_samples: int = 5_000
    whole: int = 1_000
    num_examples: int = 200
    generated: int = 10_000
    encoded: int = 60_000
    records: tuple[int, ...] = (60_000, 600_000)
    memory_samples: tuple[int, ...] = (50, 500, 5_000)
    scaling: tuple[int, ...] = (6_000, 60_000, 600_000)


QUICK = Sizes(
    w1=600, w2=256, few=128, num_samples=100, whole=200, generated=1_000, encoded=1_000, records=(200, 2_000),
    memory_samples=(50, 100), scaling=(200, 2_000),
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """What all parts need.

    Attributes:
      homes: of the peers.
      peers: those that run; others are said to be left out.
      sizes: of the work.
      rounds: of each comparison.
      folder: a temporary one, in which `images` are written for all sides.
      images: what they are.
    """

    homes: Homes
    peers: tuple[str, ...]
    sizes: Sizes
    rounds: int
    folder: str
    images: str

    def data(self, work: str) -> str:
        """The images of a work, uint8 `[60000, 784]`."""
        return self.file(f"{work}.npy")

    def file(self, *names: str) -> str:
        """A path in the temporary folder."""
        return os.path.join(self.folder, *names)

    def trained(self, name: str, epochs: int) -> Worker:
        """A process with W1's model of tfvae, trained so long; its work directory is `name` in the temporary folder."""
        worker = self.homes.worker(OURS.script)
        worker.ask("ready", work="w1", data=self.data("w1"), num_images=self.sizes.w1, folder=self.file(name))
        worker.ask("epoch", count=epochs)
        return worker


def training(work: str, bench: Bench) -> dict[str, Any]:
    """W1 and W2: an epoch of each side in turn."""
    sides = {name: side for name, side in SIDES[work].items() if not side.home or side.home in bench.peers}
    ready = {}
    for name, side in sides.items():
        num_images = bench.sizes.few if side.few else getattr(bench.sizes, work)
        ready[name] = {"work": work, "data": bench.data(work), "num_images": num_images, **side.settings}
        if side.script == OURS.script:
            ready[name]["folder"] = bench.file(f"{work}_{name}")
    found = alternate(sides, bench.homes, rounds=bench.rounds, ready=ready)
    found["missing"] |= {name: "left out" for name in SIDES[work] if name not in sides}
    return found | {"data": bench.images, "sides": sides_of(found["rounds"])}


def likelihood(bench: Bench) -> dict[str, Any]:
    """W3: `evaluate`, `get_nll` of pythae with the same weights, and the decoder's products, in turn."""
    bench.trained("w3", 3).close()
    sizes, rounds, missing = bench.sizes, [], {}
    asked = {"num_samples": sizes.num_samples, "num_examples": sizes.num_examples}
    with serve_run(bench, "w3") as ours:
        versions = {"tfvae": {"tensorflow": ours.ask("ready")["tensorflow"]}}
        whole = ours.ask("evaluate", num_samples=sizes.num_samples, num_examples=sizes.whole)
        ours.ask("products", num_decodes=0)  # compiles
        given = ours.ask("write", folder=bench.folder, num_examples=sizes.num_examples)
        peer, settings = None, None
        try:
            if "pythae" not in bench.peers:
                raise RuntimeError("left out")
            peer = bench.homes.worker(os.path.join("peers", "pythae_nll.py"), "pythae", limit=LIMIT)
            loaded = peer.ask("load", folder=bench.folder, scale_floor=given["scale_floor"])
            versions["pythae"] = {name: loaded[name] for name in ("pythae", "torch")}
            batch_sizes = [size for size in PEER_BATCH_SIZES if sizes.num_samples % size == 0]
            batch_size = fastest(peer, sizes.num_samples, batch_sizes)[0]["batch_size"]
            for number in range(bench.rounds):
                # Beside other work one thread can be faster than two, or not: looked at anew.
                best = fastest(peer, sizes.num_samples, [batch_size])[0]
                settings = {name: best[name] for name in ("batch_size", "threads")}
                rounds.append({"tfvae": ours.ask("evaluate", seed=number, **asked)})
                rounds[-1]["pythae"] = peer.ask("get_nll", seed=number, **settings, **asked)
                rounds[-1]["floor"] = ours.ask("products", num_decodes=sizes.num_samples * sizes.num_examples)
                say(", ".join(f"{name} {pace(answer):,.0f}/s" for name, answer in rounds[-1].items()))
        except FAILURES as error:
            missing["pythae"] = reason(error)
            say(f"pythae: {missing['pythae']}")
            rounds = [
                {
                    "tfvae": ours.ask("evaluate", seed=number, **asked),
                    "floor": ours.ask("products", num_decodes=sizes.num_samples * sizes.num_examples),
                }
                for number in range(bench.rounds)
            ]
        finally:
            if peer is not None:
                peer.close()
    return {
        "rounds": rounds, "missing": missing, "versions": versions, "settings": settings, "whole": whole, **asked,
        "sides": sides_of(rounds),
    }  # fmt: skip


def serve_run(bench: Bench, name: str) -> Worker:
    """`log_likelihood.py` as a process that answers about a work directory."""
    return bench.homes.worker("log_likelihood.py", "", f"--serve={bench.file(name)}")


def export(bench: Bench) -> dict[str, Any]:
    """W4: an export's signatures, and the same networks called from Python."""
    items = {"generate": bench.sizes.generated, "encode": bench.sizes.encoded}
    with bench.trained("w4", 1) as ours:
        ours.ask("export", data=bench.data("w1"))
        rounds = [
            {
                f"{what}_{way}": ours.ask("call", what=f"{what}_{way}", items=count)
                for what, count in items.items()
                for way in ("export", "python")
            }
            for _ in range(bench.rounds)
        ]
    calls = {}
    for what, count in items.items():
        pairs = [(pace(row[f"{what}_export"]), pace(row[f"{what}_python"])) for row in rounds]
        calls[what] = {
            "items": count, "export": spread([one for one, _ in pairs]), "python": spread([two for _, two in pairs]),
            "ratio": spread([one / two for one, two in pairs]),
        }  # fmt: skip
    return {"rounds": rounds, "calls": calls}


def start(bench: Bench) -> dict[str, Any]:
    """W5: from the command to the first optimizer steps, and to the help, each in a fresh process."""
    train, rounds = os.path.join(ROOT, "tools", "train.py"), []
    for number in range(bench.rounds):
        place = [f"--workdir={bench.file(f'start_{number}')}", f"--export_dir={bench.file('start_export')}"]
        row: dict[str, float] = {}
        for name, options in (
            ("python", ["-c", "pass"]),
            ("tensorflow", ["-c", "import tensorflow"]),
            ("help", [train, "--help"]),
            ("first_step", [os.path.join(HERE, "first_step.py"), train, f"--config={ROOT}/configs/digits.py", *place]),
        ):
            began = time.perf_counter()
            words = _run(options).stdout
            row[name] = time.perf_counter() - began
        row["first_program"] = float(words.split()[-1])
        rounds.append(row)
        say(", ".join(f"{name} {seconds:.2f} s" for name, seconds in row.items()))
    summary = {name: spread([row[name] for row in rounds]) for name in rounds[0]}
    quotients: dict[str, Callable[[dict[str, float]], float]] = {
        "first_step_ratio": lambda row: row["first_step"] / (row["tensorflow"] + row["first_program"]),
        "help_ratio": lambda row: row["help"] / row["python"],
        "help_to_tensorflow": lambda row: row["help"] / row["tensorflow"],
    }
    summary |= {name: spread([quotient(row) for row in rounds]) for name, quotient in quotients.items()}
    imported = _run(["-X", "importtime", train, "--help"]).stderr.splitlines()
    found = any(line.rpartition("|")[2].strip() == "tensorflow" for line in imported)
    return {"rounds": rounds, "summary": summary, "help_imports_tensorflow": found}


def _run(options: list[str]) -> Any:
    return subprocess.run([sys.executable, *options], check=True, capture_output=True, text=True)


def memory(bench: Bench) -> dict[str, Any]:
    """Peak memory of training against the size of the data, and of log p(x) against K; a process for each."""
    sizes, records, samples = bench.sizes, [], []
    for num_images in sizes.records:
        folder = bench.file(f"records_{num_images}")
        os.makedirs(folder)
        data = write_records(folder, num_images)
        with bench.homes.worker(OURS.script) as ours:
            ours.ask("ready", work="w1", data=data, num_images=num_images, folder=bench.file(f"run_{num_images}"))
            records.append({"num_images": num_images, **ours.ask("epoch")})
        say(f"{num_images:,} images of TFRecords: {records[-1]['peak_memory_mb']:,.0f} MB")
    bench.trained("memory", 1).close()
    for num_samples in sizes.memory_samples:
        with serve_run(bench, "memory") as ours:
            before = ours.ask("ready")["peak_memory_mb"]
            found = ours.ask("evaluate", num_samples=num_samples, num_examples=sizes.num_examples)
        samples.append({"num_samples": num_samples, "before_mb": before, "peak_memory_mb": found["peak_memory_mb"]})
        say(f"K = {num_samples:,}: {found['peak_memory_mb']:,.0f} MB")
    return {
        "records": records, "records_ratio": _largest_over_smallest(records), "num_examples": sizes.num_examples,
        "samples": samples, "samples_ratio": _largest_over_smallest(samples),
    }  # fmt: skip


def _largest_over_smallest(rows: list[dict[str, Any]]) -> float:
    peaks = [row["peak_memory_mb"] for row in rows]
    return max(peaks) / min(peaks)


def scaling(bench: Bench) -> dict[str, Any]:
    """Images a second against their number, in rounds that alternate."""
    workers, rounds = {}, []
    try:
        for num_images in bench.sizes.scaling:
            data = bench.file(f"random_{num_images}.npy")
            write_random(data, num_images, levels=2)
            worker = workers[num_images] = bench.homes.worker(OURS.script)
            worker.ask("ready", work="w1", data=data, num_images=num_images, folder=bench.file(f"random_{num_images}"))
            worker.ask("epoch", before=1)
        for _ in range(bench.rounds):
            # As many epochs of the small ones as make their time long enough to be measured.
            counts = {size: max(1, min(20, 120_000 // size)) for size in workers}
            rounds.append(
                {str(size): worker.ask("epoch", before=1, count=counts[size]) for size, worker in workers.items()}
            )
            say(", ".join(f"{name} images: {pace(answer):,.0f}/s" for name, answer in rounds[-1].items()))
    finally:
        for worker in workers.values():
            worker.close()
    paces = [[pace(answer) for answer in row.values()] for row in rounds]
    return {
        "rounds": rounds,
        "sides": sides_of(rounds, ours=""),
        "lowest_over_highest": spread([min(row) / max(row) for row in paces]),
    }


MEASURES: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "w1": lambda bench: training("w1", bench),
    "w2": lambda bench: training("w2", bench),
    "w3": likelihood,
    "w4": export,
    "w5": start,
    "memory": memory,
    "scaling": scaling,
}
