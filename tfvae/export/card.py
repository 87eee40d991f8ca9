"""The model card of an export: `model_card.json` for programs and `model_card.md` for people."""

import json
import math
import os
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.evaluation.latent_space import latent_support
from tfvae.export.module import SENTINEL, SIGNATURES
from tfvae.export.served import Served
from tfvae.support import Support

FIELDS = ("name", "config", "evaluation", "training")

_NATS = ("elbo", "rate", "distortion", "log_likelihood", "log_likelihood_standard_error")
_UNITS = {**dict.fromkeys(_NATS, "nats"), "bits_per_dim": "bits per dimension"}
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
) -> dict[str, Any]:
    """The content of a card.

    Args:
      served: the model.
      functions: the concrete function of each signature.
      left_out: the signatures that there are none of, with the reasons.
      facts: what `check` returned.
      folder: of this version, relative to the parent of the export folder.
      version: its number.
    """
    config = facts["config"]
    data, training = config.get("data", {}), config.get("training", {})
    return {
        "name": facts["name"] or config.get("name") or os.path.dirname(folder),
        "version": version,
        "folder": folder,
        "licence": "Apache-2.0",
        "tensorflow": tf.__version__,
        "item": describe_item(served),
        "latent_size": served.vae.latent_size,
        "latent_support": latent_support(served.vae.prior),
        "num_labels": served.vae.num_labels,
        "num_samples": served.num_samples,
        "parts": {
            part: values for part, values in config.get("model", {}).items() if isinstance(values, dict)
        },
        "data": {name: data[name] for name in ("source", "binarization") if name in data},
        "training": {name: training[name] for name in _TRAINING if name in training} | facts["training"],
        "evaluation": facts["evaluation"],
        "signatures": {name: _signature(name, function) for name, function in functions.items()},
        "left_out": left_out,
        "limits": _limits(served) + [f"There is no signature `{name}`: {why}." for name, why in left_out.items()],
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


def _signature(name: str, function: Any) -> dict[str, Any]:
    positional, named = function.structured_input_signature
    inputs = {spec.name: _tensor(spec) for spec in [*positional, *named.values()]}
    outputs = {key: _tensor(value) for key, value in sorted(function.structured_outputs.items())}
    return {"description": (SIGNATURES[name].function.__doc__ or "").strip(), "inputs": inputs, "outputs": outputs}


def _tensor(spec: Any) -> dict[str, Any]:
    """`null` in a shape is N, the number of rows."""
    return {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}


def _limits(served: Served) -> list[str]:
    name = served.item_name
    limits = [
        f"Every number of `{name}` must be {_must_be(served)}. `valid` is false for a row where one is not; its "
        f"other outputs are then {SENTINEL:g} where high is bad (`anomaly_score`, `rate`, `distortion`) and "
        f"{-SENTINEL:g} where low is bad. Signatures without `valid` take NaN as 0 and clip the rest. Other rows "
        "never change.",
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
        labels = f"one of 0 ... {served.vae.num_labels - 1}; others make a row not valid."
        limits.insert(1, f"The model is conditional: each signature takes the `label` of each row, {labels}")
    return limits


def write(folder: str, content: dict[str, Any]) -> None:
    """Writes both forms of a card into `folder`, over what is there."""
    with open(os.path.join(folder, "model_card.json"), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, allow_nan=False)
        file.write("\n")
    with open(os.path.join(folder, "model_card.md"), "w", encoding="utf-8") as file:
        file.write(markdown(content))


def markdown(content: dict[str, Any]) -> str:
    """The card for people."""
    item, shape = content["item"], content["item"]["shape"]
    parts = [
        [part, values.get("type", ""), _settings({k: v for k, v in values.items() if k != "type"})]
        for part, values in content["parts"].items()
    ]
    figures = [
        [name, _number(value), _UNITS.get(name.rpartition(".")[2], "")] for name, value in _flat(content["evaluation"])
    ]
    lines = [
        f"# {content['name']}, version {content['version']}",
        f"A variational autoencoder over `{item['name']}` {shape} with {content['latent_size']} latent dimensions. "
        f"Exported with TensorFlow {content['tensorflow']}. Licence: {content['licence']}.",
        *_section("Parts", _table(["Part", "Kind", "Settings"], parts)),
        *_section("Data", _table(["Field", "Value"], [[k, _number(v)] for k, v in _flat(content["data"])])),
        *_section("Training", _table(["Field", "Value"], [[k, _number(v)] for k, v in _flat(content["training"])])),
        *_section("Measured figures", _table(["Figure", "Value", "Unit"], figures)),
        *_section("Signatures", "N, the number of rows, is free.", _signatures(content["signatures"])),
        *_section("How to call", *_calls(content)),
        *_section("Limits", "\n".join(f"- {limit}" for limit in content["limits"])),
    ]
    return "\n\n".join(lines) + "\n"


def _section(title: str, *paragraphs: str) -> list[str]:
    """Nothing where there is nothing to tell."""
    return [f"## {title}", *paragraphs] if all(paragraphs) else []


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines if rows)


def _flat(values: dict[str, Any], path: str = "") -> list[tuple[str, Any]]:
    """Nested dictionaries as (dotted name, value); the name of the units is not a figure."""
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        found += _flat(value, f"{path}{name}.") if isinstance(value, dict) else [(path + name, value)]
    return [(name, value) for name, value in found if name.rpartition(".")[2] != "units"]


def _number(value: Any) -> str:
    if value is None:
        return "not defined"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _settings(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_number(value)}" for name, value in _flat(values))


def _signatures(signatures: dict[str, Any]) -> str:
    def listed(tensors: dict[str, Any]) -> str:
        shapes = {
            name: ", ".join("N" if size is None else str(size) for size in tensor["shape"] or [])
            for name, tensor in tensors.items()
        }
        return "; ".join(f"`{name}` {tensor['dtype']} [{shapes[name]}]" for name, tensor in tensors.items())

    rows = [[f"`{n}`", s["description"], listed(s["inputs"]), listed(s["outputs"])] for n, s in signatures.items()]
    return _table(["Signature", "What", "Inputs", "Outputs"], rows)


def _calls(content: dict[str, Any]) -> list[str]:
    folder, item = content["folder"], content["item"]
    name, model = item["name"], os.path.dirname(folder)
    # A conditional model takes labels with everything.
    python, command, rest = (
        (", label=tf.constant([0], tf.int64)", ";label=[0, 1]", ', "label": [0, 1]')
        if content["num_labels"]
        else [""] * 3
    )
    return [
        "In Python, from the folder that holds the export folder, with `tensorflow` alone:",
        "```python\n"
        "import tensorflow as tf\n"
        f'signatures = tf.saved_model.load("{folder}").signatures\n'
        f'print(signatures["serving_default"]({name}=tf.zeros({[1, *item["shape"]]}){python})["anomaly_score"])\n'
        "```",
        "On the command line:",
        "```sh\n"
        f"saved_model_cli run --dir {folder} --tag_set serve --signature_def generate "
        f"--input_exprs 'seed=[1, 2]{command}'\n"
        "```",
        "Over REST, served by TensorFlow Serving:",
        "```sh\n"
        f'docker run -p 8501:8501 -v "$PWD/{model}:/models/{model}" -e MODEL_NAME={model} tensorflow/serving\n'
        f'curl -d \'{{"signature_name": "generate", "inputs": {{"seed": [1, 2]{rest}}}}}\' '
        f"http://localhost:8501/v1/models/{model}:predict\n"
        "```",
    ]
