"""Trains one config at several values of a field, and draws rate against distortion (Alemi et al. 2018)."""

import dataclasses
import difflib
import os
import sys
from collections.abc import Sequence
from typing import Any

from tfvae import config as config_lib
from tfvae.config import Config
from tfvae.devices import refuse_workers
from tfvae.errors import InputError
from tfvae.files import check_folder, read_json, write_atomically, write_json
from tfvae.report import Point, rate_distortion
from tfvae.training import outputs
from tfvae.training.evaluate_run import evaluate_run
from tfvae.training.train import train
from tfvae.training.workdir import WorkDir

FIGURES = ("elbo", "rate", "distortion", "log_likelihood", "log_likelihood_standard_error", "step")


@dataclasses.dataclass(frozen=True)
class Variant:
    """The config at one value of the field.

    Attributes:
      value: of the field.
      name: of its folder, `<field>_<value>`.
      config: of its run.
    """

    value: float
    name: str
    config: Config


def sweep(
    config: Config,
    workdir: str,
    *,
    field: str = "objective.kl_weight",
    values: Sequence[str] = ("0.1", "0.3", "1", "3", "10"),
    verbose: bool = True,
) -> list[dict[str, Any]]:
    """Trains and evaluates each variant in a folder of its own, making only what is missing.

    Writes `sweep.json`, anew after each run, and at the end `rate_distortion.png`; the values of earlier calls stay.

    Args:
      config: what the variants have in common.
      workdir: folder of the sweep.
      field: full name of the field, such as `model.latent_size`.
      values: of the field, as they stand on a command line.
      verbose: shows progress.

    Raises:
      InputError: for a bad field or value, before anything is written; or as `train` does.

    Returns:
      for each value its figures on the test split (nats), the step of its checkpoint, and its folder.
    """
    made = variants(config, field, values)
    check_folder(workdir, flag="--workdir")
    rows = _made_before(os.path.join(workdir, "sweep.json"), config, field)
    for number, variant in enumerate(made, 1):
        if verbose:
            print(f"run {number} of {len(made)}: {field} = {variant.value:g}", file=sys.stderr, flush=True)
        found = _run(variant.config, os.path.join(workdir, variant.name), verbose=verbose)
        figures = {name: found.get(name) for name in FIGURES}
        rows[variant.value] = {"value": variant.value, **figures, "workdir": variant.name}
        written = {"config": config.name, "field": field, "split": found["split"], "units": "nats"}
        write_json(os.path.join(workdir, "sweep.json"), written | {"rows": list(rows.values())})
    in_order = sorted(rows.values(), key=_value)
    points = [Point(f"{row['value']:g}", row["rate"], row["distortion"]) for row in in_order]
    plot = rate_distortion(points, title=f"{config.name}: {field}")
    write_atomically(os.path.join(workdir, "rate_distortion.png"), plot)
    return [rows[variant.value] for variant in made]


def _made_before(path: str, config: Config, field: str) -> dict[float, dict[str, Any]]:
    """The rows of a sweep of the same config and field, by their values."""
    before = read_json(path) if os.path.isfile(path) else {}
    if (before.get("config"), before.get("field")) != (config.name, field):
        return {}
    return {row["value"]: row for row in before["rows"]}


def variants(config: Config, field: str, values: Sequence[str]) -> list[Variant]:
    """The config at each value; raises `InputError` for a bad field or value."""
    now = _number_at(config, field)
    if not values:
        raise InputError("--values: received none, expected numbers with commas between them, such as 0.1,1,10")
    made: list[Variant] = []
    for text in values:
        number = _parse(text, whole=isinstance(now, int))
        name = repr(number).removesuffix(".0")
        if number in [variant.value for variant in made]:
            raise InputError(f"--values: received {name} twice, expected different numbers")
        made.append(Variant(number, f"{field}_{name}", _changed(config, field, number, name)))
    return made


def _number_at(config: Config, field: str) -> float:
    """The number that a field holds now; raises `InputError` where there is no such field, or it holds no number."""
    part: Any = config_lib.to_dict(config)
    for name in field.split("."):
        known = sorted(part.keys() - {"type"}) if isinstance(part, dict) else []
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"expected one of: {', '.join(known) or 'none'}"
            raise InputError(f"--field: received {field!r} with the unknown field {name!r}, {hint}")
        part = part[name]
    if isinstance(part, bool) or not isinstance(part, int | float):
        what = "other fields" if isinstance(part, dict) else repr(part)
        raise InputError(f"--field: received {field!r}, which holds {what}, expected a field that is one number")
    return part


def _parse(text: str, *, whole: bool) -> float:
    """A number from the command line; a field that is whole now may still take a fraction: its own type tells."""
    for kind in (int, float) if whole else (float,):
        try:
            return kind(text)
        except ValueError:
            pass
    raise InputError(f"--values: received {text!r}, expected a number")


def _changed(config: Config, field: str, number: float, name: str) -> Config:
    """The config with the number in its field; raises `InputError` where the field refuses it."""
    values = config_lib.to_dict(config)
    *groups, last = field.split(".")
    part = values
    for group in groups:
        part = part[group]
    part[last] = number
    values["name"] = f"{config.name}_{last}_{name}"
    return config_lib.from_dict(values)


def _run(config: Config, workdir: str, *, verbose: bool) -> dict[str, Any]:
    """Trains and evaluates one variant, as far as that is missing; its evaluation."""
    refuse_workers(config.training.strategy, what="a sweep, which evaluates between its runs")
    train(config, workdir, verbose=verbose)
    place = WorkDir(workdir)
    if outputs.is_missing(place, "evaluation", place.load_model()[2]):
        evaluate_run(place, measures="none")
    return read_json(place.evaluation_file)


def _value(row: dict[str, Any]) -> float:
    return row["value"]


def table(field: str, rows: Sequence[dict[str, Any]]) -> str:
    """The rows as text for a person, in nats."""
    shown = ("elbo", "rate", "distortion", "log_likelihood", "log_likelihood_standard_error")
    heads = [field, "ELBO", "rate", "distortion", "log p(x)", "+-"]
    lines = [heads] + [[f"{row['value']:g}", *(_cell(row[name]) for name in shown)] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
