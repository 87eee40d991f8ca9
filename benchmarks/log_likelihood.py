"""Importance-weighted log p(x): MNIST with K = 5000, the same estimate beside pythae's, and memory against K.

  python benchmarks/log_likelihood.py                    # all parts; the two runs it needs are trained first
  python benchmarks/log_likelihood.py --parts=memory     # one of: mnist, peer, memory; results of the others stay
  python benchmarks/log_likelihood.py --peers_dir=peers --torch=torch==2.13.0+cpu

Parts:
  mnist   the `mnist` config's test split: log p(x), time and peak memory.
  peer    the 784-200-200-50 network of the IWAE paper, with the same weights in pythae: decoded samples per second,
          in rounds that alternate between processes that stay warm; and whether both find the same log p(x).
  memory  peak memory of a process for each of three K.

pythae is installed into an environment of its own below --peers_dir. MNIST is read as the config says, so TFDS_DATA_DIR
counts. Writes result.json and README.md into docs/results/log_likelihood.
"""

import datetime
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from absl import flags
from compare_sides import Homes
from log_likelihood_report import compare, pace, readme
from pythae_settings import fastest
from workers import Worker, machine, serve

from tfvae import cli
from tfvae.errors import InputError
from tfvae.files import make_folder, read_json, write_atomically, write_json

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(ROOT, "docs", "results", "log_likelihood")
RESULT = os.path.join(FOLDER, "result.json")
PARTS = ("mnist", "peer", "memory")
MEMORY_SAMPLES = (500, 5_000, 50_000)
# What pythae is asked for and in which batches, to count what it draws.
COUNTED = ((1, 100), (150, 100), (250, 100), (5_000, 100), (5_000, 10_000))
PRODUCT_ROWS = (500, 1_000, 2_000, 5_000)  # of one pass of the decoder's products: the fastest counts
PEER_BATCH_SIZES = (100, 500, 1_000, 5_000)  # of those that divide K, so that it draws K

flags.DEFINE_list("parts", list(PARTS), f"of {', '.join(PARTS)}")
flags.DEFINE_string("peers_dir", "runs/peers", "folder of the peers' environments")
flags.DEFINE_string("torch", "torch==2.13.0", "what pip installs as torch; a build for CPUs saves some GB")
flags.DEFINE_string("mnist_run", "runs/mnist", "work directory of configs/mnist.py; trained where it is missing")
flags.DEFINE_string("peer_run", "runs/mnist_200_200_50", "work directory of the IWAE paper's network; as above")
flags.DEFINE_integer("num_samples", 5_000, "K", 1)
flags.DEFINE_integer("num_examples", 1_000, "test images of the parts peer and memory: two batches or more", 200)
flags.DEFINE_integer("rounds", 5, "of the part peer", 1)
flags.DEFINE_string("serve", None, "used by the script itself: a work directory to answer requests about")


class Ours:
    """tfvae's side, in a process of its own: the model of a work directory and its test split."""

    def __init__(self, workdir: str) -> None:
        from tfvae.training import WorkDir, load_data

        self.vae, self.config, _ = WorkDir(workdir).load_model()
        self.split = load_data(self.config).test

    def ready(self) -> dict[str, Any]:
        """TensorFlow's version, once the model and the data are there."""
        import tensorflow as tf

        return {"tensorflow": tf.__version__}

    def write(self, folder: str, num_examples: int) -> dict[str, Any]:
        """The weights and the first examples, flat, for the other side."""
        import numpy as np

        arrays = {
            f"{part}_{index}": value.numpy()
            for part, network in (("encoder", self.vae.encoder), ("decoder", self.vae.decoder))
            for index, value in enumerate(network.trainable_weights)
        }
        np.savez(os.path.join(folder, "weights.npz"), **arrays)
        x = next(iter(self.split.evaluation_batches(batch_size=num_examples))).numpy()
        np.save(os.path.join(folder, "x.npy"), x.reshape(len(x), -1))
        return {
            "scale_floor": self.config.model.posterior.scale_floor,
            "activation": self.config.model.network.activation,
        }

    def evaluate(self, num_samples: int, num_examples: int | None = None, seed: int = 0) -> dict[str, Any]:
        """`tfvae.evaluation.evaluate` on the first examples."""
        from tfvae.evaluation import evaluate

        split = First(self.split, min(num_examples or math.inf, self.split.num_examples))
        found = evaluate(self.vae, split, num_samples=num_samples, seed=seed)
        return found | {"decodes": found["num_examples"] * num_samples}

    def products(self, num_decodes: int) -> dict[str, Any]:
        """The matrix products of the decoder alone, without biases, activations or densities."""
        import tensorflow as tf

        kernels = [weight for weight in self.vae.decoder.weights if weight.shape.rank == 2]

        @tf.function(jit_compile=True, autograph=False)
        def run(z: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
            def body(index: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                # Each pass hangs on the whole one before, so that nothing is left out; the loop carries it as it is.
                h = z + 1e-30 * found[0, 0]
                for kernel in kernels:
                    h = tf.matmul(h, kernel)
                return index + 1, h

            start = (tf.constant(0), tf.zeros([z.shape[0], kernels[-1].shape[-1]]))
            return tf.while_loop(lambda index, _: index < count, body, start, parallel_iterations=1)[1][0, 0]

        def pass_over(z: tf.Tensor, decodes: int) -> float:
            start = time.perf_counter()
            run(z, tf.constant(decodes // z.shape[0])).numpy()
            return time.perf_counter() - start

        if not hasattr(self, "_z"):
            sizes = [tf.random.stateless_normal([rows, self.vae.latent_size], seed=[0, 0]) for rows in PRODUCT_ROWS]
            for z in sizes:
                pass_over(z, 0)  # compiles
            self._z = min(sizes, key=lambda z: min(pass_over(z, 50_000) for _ in range(2)))
            self._products = pass_over
        rows = int(self._z.shape[0])
        self._products(self._z, num_decodes)
        return {"decodes": num_decodes // rows * rows, "rows": rows}


class First:
    """The first `num_examples` of a split, as `evaluate` takes them."""

    def __init__(self, split: Any, num_examples: int) -> None:
        self.split, self.name, self.num_examples = split, split.name, num_examples

    def evaluation_batches(self, *, batch_size: int, labels: bool = False) -> Any:
        """As those of the split."""
        batches = self.split.evaluation_batches(batch_size=batch_size, labels=labels)
        if self.num_examples == self.split.num_examples:
            return batches
        return batches.unbatch().take(self.num_examples).batch(batch_size)


def ours(workdir: str) -> Worker:
    """A fresh process for a work directory."""
    return Worker([sys.executable, os.path.abspath(__file__), f"--serve={workdir}"])


def trained(workdir: str, *config_flags: str) -> str:
    """A work directory of `configs/mnist.py` with these flags, trained where it is missing."""
    if not os.path.exists(os.path.join(workdir, "evaluation.json")):
        print(f"training {workdir}", file=sys.stderr, flush=True)
        script, config = os.path.join(ROOT, "tools", "train.py"), os.path.join(ROOT, "configs", "mnist.py")
        with tempfile.TemporaryDirectory() as folder:
            export = f"--export_dir={folder}/export"
            subprocess.run(
                [sys.executable, script, f"--config={config}", f"--workdir={workdir}", export, *config_flags],
                check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
    return workdir


def measure_mnist() -> dict[str, Any]:
    """The whole test split in a process that does nothing else."""
    with ours(trained(cli.FLAGS.mnist_run)) as worker:
        worker.ask("ready")
        return worker.ask("evaluate", num_samples=cli.FLAGS.num_samples)


def measure_memory() -> dict[str, Any]:
    """Peak memory of a fresh process for each K, and that before the estimate: model and data alone."""
    rows = []
    for num_samples in MEMORY_SAMPLES:
        with ours(trained(cli.FLAGS.mnist_run)) as worker:
            before = worker.ask("ready")["peak_memory_mb"]
            found = worker.ask("evaluate", num_samples=num_samples, num_examples=cli.FLAGS.num_examples)
        rows.append({"before_mb": before, **found})
        print(f"K = {num_samples}: {found['peak_memory_mb']} MB, {found['seconds']:.0f} s", file=sys.stderr, flush=True)
    peaks = [row["peak_memory_mb"] for row in rows]
    return {"rows": rows, "largest_over_smallest": max(peaks) / min(peaks)}


def measure_peer() -> dict[str, Any]:
    """The rounds, what pythae draws, and how far the two estimates are apart."""
    num_samples, num_examples = cli.FLAGS.num_samples, cli.FLAGS.num_examples
    network = ("--config.model.latent_size=50", "--config.model.network.hidden=(200, 200)")
    workdir = trained(cli.FLAGS.peer_run, *network, "--config.training.num_epochs=10")
    homes = Homes(cli.FLAGS.peers_dir, cli.FLAGS.torch)
    with (
        ours(workdir) as our,
        homes.worker("peers/pythae_nll.py", "pythae") as peer,
        tempfile.TemporaryDirectory() as folder,
    ):
        given = our.ask("write", folder=folder, num_examples=num_examples)
        if given["activation"] != "tanh":
            raise InputError(f"--peer_run: received a network with {given['activation']}, expected tanh")
        found = our.ask("ready") | peer.ask("load", folder=folder, scale_floor=given["scale_floor"])
        versions = {name: found[name] for name in ("pythae", "torch", "tensorflow")}
        counts = [
            {"num_samples": k, "batch_size": b, "drawn": peer.ask(
                "get_nll", num_samples=k, batch_size=b, num_examples=2, seed=0, threads=1)["decodes"] // 2}
            for k, b in COUNTED
        ]  # fmt: skip
        sizes = sorted({num_samples, *(size for size in PEER_BATCH_SIZES if num_samples % size == 0)})
        tried = fastest(peer, num_samples, sizes)
        first = our.ask("evaluate", num_samples=num_samples, num_examples=num_examples, seed=cli.FLAGS.rounds)
        our.ask("products", num_decodes=0)  # compiles
        rounds = []
        for number in range(cli.FLAGS.rounds):
            # Beside other work one thread can be faster than two, or not: looked at anew.
            best = fastest(peer, num_samples, [tried[0]["batch_size"]])[0]
            settings = {"batch_size": best["batch_size"], "threads": best["threads"], "seed": number}
            mine = our.ask("evaluate", num_samples=num_samples, num_examples=num_examples, seed=number)
            theirs = peer.ask("get_nll", num_samples=num_samples, num_examples=num_examples, **settings)
            products = our.ask("products", num_decodes=1_000_000)
            load = os.getloadavg()[0]
            rounds.append({"tfvae": mine, "pythae": settings | theirs, "products": products, "load": load})
            print(f"round {number + 1}: {pace(mine):.0f} and {pace(theirs):.0f} decodes/s", file=sys.stderr, flush=True)
    found = {"versions": versions, "settings_tried": tried, "drawn": counts, "first_call": first, "rounds": rounds}
    return found | compare(rounds)


def main() -> None:
    if cli.FLAGS.serve is not None:
        side = Ours(cli.FLAGS.serve)
        serve({name: getattr(side, name) for name in ("ready", "write", "evaluate", "products")})
        return
    unknown = sorted(set(cli.FLAGS.parts) - set(PARTS))
    if unknown:
        raise InputError(f"--parts: received {', '.join(unknown)}, expected some of: {', '.join(PARTS)}")
    make_folder(FOLDER, flag="--parts")
    measures = {"mnist": measure_mnist, "peer": measure_peer, "memory": measure_memory}
    for part in [part for part in PARTS if part in cli.FLAGS.parts]:
        found = {"date": datetime.date.today().isoformat(), "machine": machine(), **measures[part]()}
        result = (read_json(RESULT) if os.path.exists(RESULT) else {}) | {part: found}
        write_json(RESULT, result)
        write_atomically(os.path.join(FOLDER, "README.md"), readme(result))
    print(json.dumps({part: result[part] for part in PARTS if part in result}, indent=2))


if __name__ == "__main__":
    cli.run(main)
