"""The overview of all results: one row a study."""

import os
from typing import Any

from tfvae.files import read_json, write_atomically
from tfvae.studies.tables import duration, table

_HEAD = """# Results

Each study is made again by one command, `python tools/reproduce.py --study=NAME --budget=full`, which goes on where it
was interrupted; `--budget=quick` takes minutes. Every number below stands in the `result.json` beside its report.
"""

_OTHERS = """## Measured by `benchmarks/`

| | |
|---|---|
"""


def write(results_dir: str) -> None:
    """Writes `README.md` of the folder of all results from the results that are in it."""
    write_atomically(os.path.join(results_dir, "README.md"), markdown(results_dir))


def markdown(results_dir: str) -> str:
    """The overview of a folder of results."""
    studies: list[tuple[str, dict[str, Any]]] = []
    others: list[str] = []
    for name in sorted(os.listdir(results_dir)):
        path = os.path.join(results_dir, name, "result.json")
        if os.path.isfile(path):
            result = read_json(path)
            if "study" in result:
                studies.append((name, result))
            else:
                others.append(name)
    found = (
        _HEAD
        + "\n"
        + table(
            [result for _, result in studies],
            [
                ("study", lambda row: f"[{row['title']}]({row['study']}/README.md)", ""),
                ("finding", lambda row: row["headline"] + _budget(row), ""),
                ("", _thumbnail, ""),
                ("time", lambda row: duration(row["seconds"]), ""),
            ],
        )
    )
    named = [(name, title(results_dir, name)) for name in others]
    lines = [f"| [{what}]({name}/README.md) | `{name}` |" for name, what in named if what]
    return found + "\n" + ("\n" + _OTHERS + "\n".join(lines) + "\n" if lines else "")


def title(results_dir: str, name: str) -> str:
    """The first heading of a report; empty where there is none."""
    path = os.path.join(results_dir, name, "README.md")
    if not os.path.isfile(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return next((line.removeprefix("# ").strip() for line in file if line.startswith("# ")), "")


def _budget(row: dict[str, Any]) -> str:
    notes = [] if row["budget"] == "full" else ["quick budget"]
    notes += [f"{len(row['missing'])} runs missing"] if row["missing"] else []
    return f" ({', '.join(notes)})" if notes else ""


def _thumbnail(row: dict[str, Any]) -> str:
    if row["thumbnail"] is None:
        return ""
    return f'<img src="{row["study"]}/{row["thumbnail"]}" width="160" alt="{row["title"]}">'
