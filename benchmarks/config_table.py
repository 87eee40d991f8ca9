"""Trains configs and writes what they reach into the README's table, so that no row of it is copied.

  python benchmarks/config_table.py                          # every config that needs no download
  python benchmarks/config_table.py --configs=iwae,mnist     # these alone; the other rows stay
  python benchmarks/config_table.py --measure=false          # the README from the rows that are there

Each row is one run of `tools/train.py` in a fresh work directory: what its `evaluation.json` says of the test
split, and the time of the whole command. Rows are kept in `docs/results/configs/result.json`, written after each
run, so that an interrupted measurement goes on where it was with --configs. A config whose run fails loses its
row, and the script ends with 1.
"""

import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from typing import Any

from absl import app, flags

from tfvae import cli
from tfvae.config import Config, from_file
from tfvae.errors import InputError
from tfvae.files import write_atomically, write_json

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULT = os.path.join(ROOT, "docs", "results", "configs", "result.json")
README = os.path.join(ROOT, "README.md")
BEGIN, END = "<!-- table of configs: python benchmarks/config_table.py -->", "<!-- end of the table -->"
# What a variant is compared with: parts that are the same are not named again.
_BASE = "digits"

flags.DEFINE_list("configs", None, "names in configs/; default: every config of a source that is embedded")
flags.DEFINE_bool("measure", True, "whether to train; else the table is written from what was measured before")


def names() -> list[str]:
    """All configs: those of data sets first, then their variants."""
    found = sorted(
        name.removesuffix(".py") for name in os.listdir(os.path.join(ROOT, "configs")) if name.endswith(".py")
    )
    order = ("digits", "mnist", "mnist_tril", "mnist_conv", "frey_faces")
    return [*order, *(name for name in found if name not in order)]


def load(name: str) -> Config:
    """The config of this name."""
    return from_file(os.path.join(ROOT, "configs", f"{name}.py"))


def parts(name: str) -> str:
    """The parts in which a config differs from the digits', or all of them for the digits."""
    config, base = load(name), load(_BASE)
    found = []
    for part in ("posterior", "prior", "likelihood", "network"):
        value = getattr(config.model, part)
        if value != getattr(base.model, part) or name == _BASE:
            found.append(value.tag)
    if config.model.conditional:
        found.append("conditional")
    if config.objective != base.objective or name == _BASE:
        found.append(config.objective.tag)
    return ", ".join(found)


def summary(name: str) -> tuple[str, str]:
    """The first sentence of a config's docstring, and its origin."""
    with open(os.path.join(ROOT, "configs", f"{name}.py"), encoding="utf-8") as file:
        text = file.read().split('"""')[1]
    origin = re.search(r"^Origin: (.*?)(?=\n[A-Z][A-Za-z ]*:|\Z)", text, re.DOTALL | re.MULTILINE)
    return text.strip().splitlines()[0], re.split(r"\. (?=[A-Z])", " ".join(origin[1].split()))[0].rstrip(
        "."
    ) if origin else ""


def measure(name: str) -> dict[str, Any]:
    """One run from nothing; raises `InputError` where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, os.path.join(ROOT, "tools", "train.py"), f"--config={ROOT}/configs/{name}.py",
            f"--workdir={folder}/run", f"--export_dir={folder}/export",
        ]  # fmt: skip
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        if done.returncode:
            raise InputError(f"{name}: {done.stderr.strip().splitlines()[-1]}")
        with open(f"{folder}/run/evaluation.json", encoding="utf-8") as file:
            evaluation = json.load(file)
    return {"config": name, "date": datetime.date.today().isoformat(), "seconds": round(seconds, 1), **evaluation}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The measured rows as Markdown."""
    lines = [
        "| config | what | paper | parts | flag of `tools/train.py` | test ELBO | log p(x) bound | time |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in names():
        if name not in rows:
            continue
        row, (what, origin) = rows[name], summary(name)
        bound = f"{row['log_likelihood']:.2f} (K = {row['num_samples']})"
        seconds = row["seconds"]
        duration = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
        cells = [f"`{name}`", what, origin, parts(name), f"`--config=configs/{name}.py`", f"{row['elbo']:.2f}"]
        lines.append(f"| {' | '.join([*cells, bound, duration])} |")
    return "\n".join(lines)


def write_table(rows: dict[str, dict[str, Any]]) -> None:
    """Puts the table between its two marks in the README."""
    with open(README, encoding="utf-8") as file:
        text = file.read()
    before, begin, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    if not (begin and END in rest):
        raise InputError(f"README.md: expected the marks {BEGIN!r} and {END!r}")
    write_atomically(README, f"{before}{BEGIN}\n{table(rows)}\n{END}{after}".encode())


def main(_: Any) -> None:
    with cli.quiet():  # the parts that configs choose import TensorFlow
        embedded = [name for name in names() if load(name).data.source.startswith("digits")]
    rows = {}
    if os.path.exists(RESULT):
        with open(RESULT, encoding="utf-8") as file:
            rows = {row["config"]: row for row in json.load(file)["rows"]}
    failed = []
    for name in (flags.FLAGS.configs or embedded) if flags.FLAGS.measure else []:
        # A row of before would speak for a config that does not run any more.
        rows.pop(name, None)
        try:
            row = rows[name] = measure(name)
        except InputError as error:
            failed.append(name)
            print(f"error: {error}; it has no row", file=sys.stderr, flush=True)
        else:
            print(
                f"{name:24} ELBO {row['elbo']:9.2f}  log p(x) {row['log_likelihood']:9.2f}  {row['seconds']:6.0f} s",
                flush=True,
            )
        os.makedirs(os.path.dirname(RESULT), exist_ok=True)
        write_json(RESULT, {"rows": [rows[name] for name in names() if name in rows]})
        write_table(rows)
    write_table(rows)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    app.run(main)
