"""Gathers what a work directory holds into `report.html`."""

import glob
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfvae import config as config_lib
from tfvae.config import Config
from tfvae.files import read_json, write_atomically
from tfvae.inference.pictures import CAPTIONS
from tfvae.report import Content, Picture, page, training_curves
from tfvae.report.numbers import words
from tfvae.training.workdir import WorkDir
from tfvae.vae import VAE

REPORT = "report.html"


def write_report(place: WorkDir, vae: VAE | None, config: Config, *, step: int | None = None) -> str:
    """Writes `report.html` from what there is: nothing has to be there, and nothing is computed.

    Args:
      place: of the run.
      vae: its model, which tells the number of its weights and how its KL is found; or None.
      config: of the run.
      step: of the checkpoint that the report is about; None: that of `evaluation.json`, or else of what there is.

    Returns:
      the path of the file.
    """
    evaluation, estimators = _evaluation(place), _estimators(place)
    if step is None:
        step = next((found["step"] for found in (evaluation, *estimators.values()) if "step" in found), None)
    content = Content(
        title=config.name,
        facts=_facts(vae, config, step),
        evaluation=evaluation,
        estimators=list(estimators.values()),
        curves=training_curves(place.file("logs")),
        step=step,
        pictures=_pictures(place),
        config=config_lib.to_dict(config),
        notes=_notes({os.path.basename(place.evaluation_file): evaluation} | estimators, step),
    )
    path = place.file(REPORT)
    write_atomically(path, page(content).encode())
    return path


def _evaluation(place: WorkDir) -> dict[str, Any]:
    return read_json(place.evaluation_file) if os.path.exists(place.evaluation_file) else {}


def _estimators(place: WorkDir) -> dict[str, dict[str, Any]]:
    """What `evaluation/<split>_<estimator>.json` hold, by their paths inside the work directory."""
    paths = sorted(glob.glob(os.path.join(glob.escape(place.evaluations), "*.json")))
    found = {os.path.relpath(path, place): read_json(path) for path in paths}
    return {name: result for name, result in found.items() if isinstance(result, dict) and "estimator" in result}


def _notes(results: Mapping[str, Mapping[str, Any]], step: int | None) -> list[str]:
    """Results that are not of the checkpoint of this report."""
    return [
        f"{name} is of the checkpoint of step {found['step']}, not of step {step}: evaluate again."
        for name, found in results.items()
        if "step" in found and found["step"] != step
    ]


def _facts(vae: VAE | None, config: Config, step: int | None) -> dict[str, Any]:
    """What the model is."""
    parts, data, model = config_lib.to_dict(config.model), config.data, config.model
    facts: dict[str, Any] = {
        "Posterior q(z|x)": _part(parts["posterior"]),
        "Prior p(z)": _part(parts["prior"]),
        "Likelihood p(x|z)": _part(parts["likelihood"]),
        "Network": _part(parts["network"]),
        "Objective": _part(config_lib.to_dict(config.objective)),
        "Latent size": model.latent_size,
    }
    if model.conditional:
        facts["Labels"] = f"{data.num_labels}, given to encoder and decoder"
    shape = " x ".join(map(str, data.item_shape))
    prepared = "" if data.binarization == "none" else f", {data.binarization} binarization"
    facts["Data"] = f"{data.source}{f', {shape}' if shape else ''}{prepared}"
    if vae is not None:
        facts["Weights"] = int(sum(np.prod(v.shape) for v in vae.trainable_variables))
        facts["KL"] = "in closed form" if vae.kl_estimator == "analytic" else "estimated from draws of z"
    training = config.training
    facts["Training"] = (
        f"{training.optimizer}, learning rate {training.learning_rate:g}, batches of {training.batch_size}, "
        f"{training.num_epochs} epochs"
    )
    return facts | {"Checkpoint": None if step is None else f"step {step:,}", "Seed": str(training.seed)}


def _part(values: Mapping[str, Any]) -> str:
    """A component by its tag and fields: "sgvb_b (samples 1, KL weight 0.5)"."""
    fields = ", ".join(f"{words(key)} {_field(value)}" for key, value in values.items() if key != "type")
    return f"{values['type']}{f' ({fields})' if fields else ''}"


def _field(value: Any) -> str:
    if isinstance(value, Mapping):
        return _part(value)
    if isinstance(value, list):
        return " ".join(map(_field, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _pictures(place: WorkDir) -> list[Picture]:
    """The PNG files of the run: those with a caption in its order, then others by name."""
    found = {}
    for path in glob.glob(os.path.join(glob.escape(place.pictures), "*.png")):
        with open(path, "rb") as file:
            found[os.path.splitext(os.path.basename(path))[0]] = file.read()
    order = [name for name in CAPTIONS if name in found] + sorted(found.keys() - CAPTIONS.keys())
    return [Picture(name=name, caption=CAPTIONS.get(name, "A picture of the run."), png=found[name]) for name in order]
