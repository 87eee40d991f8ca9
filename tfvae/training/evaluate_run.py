"""Evaluates a run that was trained: what `tools/evaluate.py` calls."""

import dataclasses
from typing import Any

from tfvae import config as config_lib
from tfvae.config import Config
from tfvae.errors import InputError
from tfvae.evaluation import Estimator, Importance
from tfvae.evaluation.measures import MEASURES, check_names
from tfvae.files import check_file
from tfvae.training import outputs
from tfvae.training.fitting import load_data
from tfvae.training.run_report import write_report
from tfvae.training.workdir import WorkDir


def evaluate_run(
    place: WorkDir,
    *,
    split: str = "test",
    checkpoint: str = "best",
    estimator: str = "importance",
    settings: dict[str, Any] | None = None,
    measures: str | None = None,
    output: str | None = None,
) -> dict[str, Any]:
    """Estimates log p(x) on a split, and writes the result, the measures and the report.

    Args:
      place: the work directory.
      split: `train`, `validation` or `test`.
      checkpoint: `best` or `last`.
      estimator: the tag of one, such as `ais`.
      settings: fields of the estimator.
      measures: names with commas between them, `all` or `none`; None: all for `importance`, none for others.
      output: an NPZ file for the numbers of each example.

    Raises:
      InputError: for bad input, before anything is written.

    Returns:
      what the JSON file says.
    """
    config = place.config()
    chosen = make_estimator(estimator, settings or {}, config)
    names = _measures(measures, chosen)
    if output is not None:
        check_file(output, flag="--output", suffix=".npz")
    vae, config, step = place.load_model(checkpoint=checkpoint)
    dataset = load_data(config)
    result = outputs.write_evaluation(
        place, vae, config, dataset, split=split, estimator=chosen, measures=names, step=step, output=output or ""
    )
    write_report(place, vae, config, step=step)
    return result


def make_estimator(tag: str, settings: dict[str, Any], config: Config) -> Estimator:
    """The estimator of a tag with these settings; K of importance sampling is by default that of the run's config.

    Raises:
      InputError: for a tag or a setting that there is none of, or a bad value; begins with the flag's name.
    """
    cls = Estimator.from_tag(tag, path="--estimator")
    known = [field.name for field in dataclasses.fields(cls)]
    for name, value in settings.items():
        if name not in known:
            raise InputError(
                f"--{name}: received {value!r}, but {tag} has no such setting, expected some of: {', '.join(known)}"
            )
    if cls is Importance:
        settings = {"num_samples": config.evaluation.num_samples} | settings
    made = cls(**settings)
    config_lib.validate(made, "--")
    return made


def _measures(names: str | None, estimator: Estimator) -> list[str]:
    if names is None:
        names = "all" if isinstance(estimator, Importance) else "none"
    chosen = {"all": list(MEASURES), "none": []}.get(names, names.split(","))
    check_names(chosen, flag="--measures")
    if chosen and not isinstance(estimator, Importance):
        raise InputError(
            f"--measures: received {names!r} with --estimator={estimator.tag}, expected none: they go into "
            "evaluation.json, which --estimator=importance writes"
        )
    return chosen
