"""The model card of an export: `model_card.json` for programs and `model_card.md` for people."""

import json
import math
import os
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.evaluation.latent_space import latent_support
from tfvae.export import contents
from tfvae.export.card_text import markdown
from tfvae.export.registry import LARGEST, REGRESS, SENTINEL, SIGNATURES
from tfvae.export.served import Served
from tfvae.support import Support

FIELDS = ("name", "config", "evaluation", "training", "label_names", "licence")
NO_LICENCE = "not stated"

# What an output is in a row that is not valid: on the bad side of each number.
_COSTS = ("anomaly_score", "rate", "distortion", "stddev")
_GAINS = ("elbo", "log_likelihood")
_INVALID = {**dict.fromkeys(_COSTS, SENTINEL), **dict.fromkeys(_GAINS, -SENTINEL), "completion": 0.0}

_TRAINING = ("num_epochs", "batch_size", "optimizer", "learning_rate", "seed")  # of the config


def check(card: dict[str, Any] | None) -> dict[str, Any]:
    """The facts for a card, with a dictionary for each that is missing; no path of this machine is in them.

    Raises:
      ValueError: for an unknown field.
    """
    card = {} if card is None else card
    unknown = sorted(set(card) - set(FIELDS))
    if unknown:
        raise ValueError(f"card: received {', '.join(map(repr, unknown))}, expected some of: {', '.join(FIELDS)}")
    return {field: _public(card.get(field) or {}) for field in FIELDS}


def _public(value: Any) -> Any:
    """`value` as JSON holds it; an absolute path, which tells of a machine and nothing of a model, by its last part."""
    if isinstance(value, dict):
        # Words and columns are no paths, whatever they begin with.
        return {str(key): inner if key == "encoding" else _public(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_public(inner) for inner in value]
    if isinstance(value, np.ndarray | np.generic):
        return _public(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        kind, colon, path = value.rpartition(":")  # as in "npz:<file>"
        return kind + colon + os.path.basename(path.rstrip("/")) if path.startswith(("/", "~")) else value
    return value


def describe(
    served: Served,
    functions: dict[str, Any],
    left_out: dict[str, str],
    facts: dict[str, Any],
    *,
    folder: str,
    version: int,
    batched: bool,
) -> dict[str, Any]:
    """The content of a card.

    Args:
      served: the model.
      functions: the concrete function of each signature.
      left_out: the signatures that there are none of, with the reasons.
      facts: what `check` returned.
      folder: of this version, relative to the parent of the export folder.
      version: its number.
      batched: whether a server is to merge requests.
    """
    config = facts["config"]
    data, training = config.get("data", {}), config.get("training", {})
    return {
        "name": facts["name"] or config.get("name") or os.path.dirname(folder),
        "version": version,
        "folder": folder,
        "licence": facts["licence"] or NO_LICENCE,
        "tensorflow": tf.__version__,
        "item": describe_item(served),
        "latent_size": served.vae.latent_size,
        "latent_support": latent_support(served.vae.prior),
        "num_labels": served.vae.num_labels,
        "label_names": list(facts["label_names"]),
        "num_samples": served.num_samples,
        "pixel_scale": served.pixel_scale,
        "parts": {
            part: values for part, values in config.get("model", {}).items() if isinstance(values, dict)
        },
        "data": {name: data[name] for name in ("source", "binarization") if name in data},
        "training": {name: training[name] for name in _TRAINING if name in training} | facts["training"],
        "evaluation": facts["evaluation"],
        "signatures": {
            name: _signature(name, function, folder=contents.folder_of(name, version, batched=batched))
            for name, function in functions.items()
        },
        "left_out": left_out,
        "limits": _limits(served, functions)
        + [f"There is no signature `{name}`: {why}." for name, why in left_out.items()],
        "config": config,
    }  # fmt: skip


def describe_item(served: Served) -> dict[str, Any]:
    """The name and shape of an item, and its values: `range`, null where there is no limit, and `step`."""
    return {"name": served.item_name, "shape": list(served.item_shape), **_values(served.vae.support)}


def _values(support: Support) -> dict[str, Any]:
    """The range of the numbers of an item, null where there is no limit, and their spacing, 0 where any will do."""
    low, high, steps = float(np.min(support.low)), float(np.max(support.high)), np.unique(support.step)
    limits = [limit if math.isfinite(limit) else None for limit in (low, high)]
    return {"range": limits, "step": float(steps[0]) if len(steps) == 1 else None}


def _must_be(served: Served) -> str:
    """What every number of an item must be, in words."""
    values = _values(served.vae.support)
    low, high = values["range"]
    kind = {0.0: "finite", 1.0: "finite and whole"}.get(values["step"], "finite and of its column's kind")
    if values["step"] == 0.0 or served.vae.support.between != "refused":
        kind = "finite"
    if low is None and high is None:
        return kind
    limits = f"in [{low:g}, {high:g}]" if None not in (low, high) else f"at least {low:g}" if high is None else ""
    return f"{kind} and {limits}"


def _signature(name: str, function: Any, *, folder: str) -> dict[str, Any]:
    positional, named = function.structured_input_signature
    inputs = {spec.name: _tensor(spec) for spec in [*positional, *named.values()]}
    outputs = {key: _tensor(value) for key, value in sorted(function.structured_outputs.items())}
    one = SIGNATURES[name]
    for key in outputs:
        outputs[key] |= _of_invalid(name, key, outputs)
    return {
        "description": " ".join((one.function.__doc__ or "").split()), "method": one.method,
        "folder": folder, "inputs": inputs, "outputs": outputs,
    }  # fmt: skip


def _tensor(spec: Any) -> dict[str, Any]:
    """`null` in a shape is N, the number of rows."""
    return {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}


def _of_invalid(name: str, key: str, outputs: Any) -> dict[str, float]:
    """What an output is in a row that is not valid, where it has a mark for that."""
    if SIGNATURES[name].method == REGRESS:
        return {"invalid": SENTINEL}
    return {"invalid": _INVALID[key]} if "valid" in outputs and key != "valid" else {}


def _marks(functions: dict[str, Any]) -> str:
    """The outputs by what they are in a row that is not valid."""
    marks: dict[float, list[str]] = {}
    for name, function in functions.items():
        for key in sorted(function.structured_outputs):
            output = f"`{key}` of `{name}`" if key in ("outputs", "stddev") else f"`{key}`"
            for mark in _of_invalid(name, key, function.structured_outputs).values():
                marks.setdefault(mark, []).append(output)
    return "; ".join(
        f"{', '.join(dict.fromkeys(outputs))}: {mark:g}" for mark, outputs in sorted(marks.items(), reverse=True)
    )


def _listed(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _limits(served: Served, functions: dict[str, Any]) -> list[str]:
    name = served.item_name
    marking = [one for one, function in functions.items() if "valid" in function.structured_outputs]
    regressing = [one for one in functions if SIGNATURES[one].method == REGRESS]
    hidden = ", but for what the mask of `complete` hides" if "complete" in functions else ""
    free = np.any(np.asarray(served.vae.support.step) == 0.0) and "log_joint" in functions
    limits = [
        f"Every number of `{name}` must be {_must_be(served)}{hidden}. `valid` is false for a row where one is not "
        f"({_listed(marking)}), and its other outputs are then marks, of which {_listed(regressing)} has one without "
        f"`valid`. {_marks(functions)}. So it is for noise of `score_noise` that is not finite. Other rows "
        "never change.",
        f"Signatures without a mark take a number of `{name}` that is not finite as 0, and clip all to the range where "
        f"there is one{' (`log_joint` leaves finite numbers of a density as they are)' if free else ''}. In their `z` "
        f"and `noise` a number that is not finite counts as 0, and others are clipped to {LARGEST:g} either side. No "
        f"output is above {SENTINEL:g} or below {-SENTINEL:g}, and none is NaN.",
        "A number that is not finite, or a file that cannot be read, makes its row not valid; a wrong shape or type is "
        "an error of the request, and where a server merges requests of all that it has merged.",
        "Items come out as the mean of p(x|z), smoother than a sample of x.",
        "A row's result depends on that row and its own seed, whatever batch it travels in. Signatures without "
        "`seed` use a fixed one.",
        f"`log_likelihood` is an importance-weighted estimate from {served.num_samples} posterior samples, in nats; "
        "its expectation is a lower bound of log p(x). A density has no upper limit: compare it only between models "
        "of equally prepared data.",
        "A high likelihood does not prove that an item is like the training data: simple items can score better "
        "than the training data itself.",
    ]
    support = served.vae.support
    if support.between == "drawn":
        grey = "The model is one of 0 and 1: grey is drawn to 0 or 1, the grey being the probability of 1, from the "
        limits.insert(
            1, grey + "row's seed where there is one, and a fixed seed elsewhere. 0 and 1 stay what they are."
        )
    if support.between == "rounded":
        levels = f"{support.low:g}, {support.low + support.step:.6g}, ..."
        limits.insert(1, f"The model is one of the values {levels}: others are rounded to the nearest.")
    if served.vae.num_labels:
        limits.insert(2, _about_labels(served, functions, marking, regressing))
    return limits


def _about_labels(served: Served, functions: dict[str, Any], marking: list[str], regressing: list[str]) -> str:
    # By the inputs that there are: a signature may take a label of each row, one for all rows, or none.
    ranks = {one: _inputs(function).get("label") for one, function in functions.items()}
    single = [one for one, shape in ranks.items() if shape == []]
    others = [one for one, shape in ranks.items() if shape and one not in marking]
    for_all = f", {_listed(single)} one number for all items" if single else ""
    in_examples = f", and {_listed(regressing)} an integer `label` in each example" if regressing else ""
    return (
        "The model is conditional. Signatures of rows take the `label` of each row, one of 0 ... "
        f"{served.vae.num_labels - 1}{for_all}{in_examples}. Another makes a row not valid where there is `valid`, "
        f"or {_listed(regressing)}; {_listed([*others, *single])} have no mark, and take it as no label at all."
    )


def _inputs(function: Any) -> dict[str, list[int | None]]:
    """Shapes by name."""
    positional, named = function.structured_input_signature
    return {spec.name: spec.shape.as_list() for spec in [*positional, *named.values()]}


def write(folder: str, content: dict[str, Any]) -> None:
    """Writes both forms of a card into `folder`, over what is there."""
    with open(os.path.join(folder, "model_card.json"), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, allow_nan=False)
        file.write("\n")
    with open(os.path.join(folder, "model_card.md"), "w", encoding="utf-8") as file:
        file.write(markdown(content))
