"""The same work in tfvae and in its peers, side by side: training, log p(x), exports, start, memory.

  python benchmarks/compare.py                          # about 25 minutes on two cores
  python benchmarks/compare.py --work=w1,w3             # these parts; results of the others stay
  python benchmarks/compare.py --quick                  # each part in miniature, into a temporary folder

Parts:
  w1       the paper's network on binarized MNIST: images a second.
  w2       the convolutional network of the Keras documentation.
  w3       importance-weighted log p(x), K = 5000: decodes a second.
  w4       generation and encoding by an exported SavedModel.
  w5       time to the first optimizer steps, and to `--help`.
  memory   peak memory against the size of the data, and against K.
  scaling  images a second of 6,000, 60,000 and 600,000 images.

Peers are pythae, Keras 3, tf_keras with `tfp.layers`, PyTorch, flax and NumPyro. pip installs them into environments of
their own below --environments, which are kept. One that cannot be installed, or takes too long, is named in the result,
and its ratio is null. MNIST is read through TFDS where TFDS_DATA_DIR has it; else images are random. Writes result.json
and README.md into docs/results/performance.
"""

import datetime
import os
import tempfile
from typing import Any

from absl import flags
from compare_report import PARTS, ratios, readme
from compare_sides import REQUIREMENTS, Homes, say
from workers import machine

from tfvae import cli
from tfvae.errors import InputError
from tfvae.files import make_folder, read_json, write_atomically, write_json

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(ROOT, "docs", "results", "performance")

flags.DEFINE_list("work", list(PARTS), f"of {', '.join(PARTS)}")
flags.DEFINE_list("peers", list(REQUIREMENTS), f"of {', '.join(REQUIREMENTS)}")
flags.DEFINE_integer("rounds", 5, "of each comparison (default with --quick: 1)", 1)
flags.DEFINE_string("environments", os.path.join("runs", "peers"), "folder of the peers' environments")
flags.DEFINE_string("torch", "torch==2.13.0", "what pip installs as torch; a build for CPUs saves some GB")
flags.DEFINE_string("out_dir", None, "where the report goes (default: docs/results/performance)")
flags.DEFINE_bool("quick", False, "a miniature, whose figures mean nothing")


def _chosen(flag: str, known: tuple[str, ...]) -> tuple[str, ...]:
    given = getattr(cli.FLAGS, flag)
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(f"--{flag}: received {', '.join(unknown)}, expected some of: {', '.join(known)}")
    return tuple(name for name in known if name in given)


def measure(parts: tuple[str, ...], peers: tuple[str, ...], out_dir: str) -> dict[str, Any]:
    """Measures the parts one after the other and writes what is known after each."""
    # Later than the flags: they import TensorFlow.
    from compare_data import write_images
    from compare_parts import MEASURES, QUICK, Bench, Sizes

    quick, path = cli.FLAGS.quick, os.path.join(out_dir, "result.json")
    rounds = 1 if quick and not cli.FLAGS["rounds"].present else cli.FLAGS.rounds
    result: dict[str, Any] = read_json(path) if os.path.exists(path) else {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            homes=Homes(cli.FLAGS.environments, cli.FLAGS.torch), peers=peers, sizes=QUICK if quick else Sizes(),
            rounds=rounds, folder=folder, images=write_images(folder),
        )  # fmt: skip
        for part in parts:
            say(f"{part}:")
            before = {"date": datetime.date.today().isoformat(), "machine": machine(), "quick": quick}
            result[part] = before | MEASURES[part](bench)
            result = ratios(result) | {name: result[name] for name in PARTS if name in result}
            write_json(path, result)
            write_atomically(os.path.join(out_dir, "README.md"), readme(result))
    return result


def main() -> None:
    """Measures what is asked for."""
    parts, peers = _chosen("work", PARTS), _chosen("peers", tuple(REQUIREMENTS))
    # A miniature must not take the place of a result.
    out_dir = cli.FLAGS.out_dir or (tempfile.mkdtemp() if cli.FLAGS.quick else FOLDER)
    make_folder(out_dir, flag="--out_dir")
    measure(parts, peers, out_dir)
    print(os.path.join(out_dir, "README.md"))


if __name__ == "__main__":
    cli.run(main)
