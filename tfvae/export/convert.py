"""Signatures of an export in other formats, LiteRT and ONNX, each compared with the SavedModel before it is written."""

import importlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.errors import InputError
from tfvae.export.formats import FORMATS, Arrays, Format
from tfvae.export.portable import NotPortableError, portable
from tfvae.files import check_folder, make_folder, read_json, write_atomically, write_json

TOLERANCE = 1e-4
DIFFERENCE = "the largest |converted - source| / max(1, |source|) of all numbers"
DEFAULT = ("encode", "decode", "reconstruct", "score_noise")  # those that an export has


class RefusedError(Exception):
    """Why a format cannot hold a signature, or other numbers came out."""


def convert(
    saved_model: str,
    to: str,
    output: str | None = None,
    *,
    signatures: Sequence[str] | None = None,
    num_samples: int | None = None,
) -> dict[str, Any]:
    """Writes a folder with a file for each signature and `conversion.json`; all of it appears by one rename.

    The first axis of what goes in and out is free, as in the export.

    Args:
      saved_model: a version of an export, such as `saved_models/digits/1`.
      to: `litert` or `onnx`.
      output: the folder, which is new or empty; None: `<name>-<version>-<to>` in the current one.
      signatures: their names, all of which are to become files; None: those of `DEFAULT` that can.
      num_samples: K of the noise of `score_noise`; None: what it is in the export, free or one number.

    Returns:
      the content of `conversion.json`, in which `refused` has the reason of each of `DEFAULT` that could not become a
      file, and `output`: the path of the folder.

    Raises:
      InputError: for what the flags of `tools/convert.py` get wrong, and a package that is missing; where
        `signatures` are given for one that the format cannot hold, or whose numbers come out otherwise, with the
        reason, else where that is so of all.
    """
    if to not in FORMATS:
        raise InputError(f"--to: received {to!r}, expected one of: {', '.join(FORMATS)}")
    kind = FORMATS[to]
    tools = {"tensorflow": tf.__version__} | {name: _version(name, to) for name in kind.packages}
    card, loaded = open_export(saved_model)
    names = _names(signatures, loaded.signatures, card)
    if num_samples is not None:
        _check_num_samples(num_samples, names, loaded.signatures)
    folder = output or f"{card['folder'].replace('/', '-')}-{to}"
    if os.path.lexists(folder) and not (os.path.isdir(folder) and not os.listdir(folder)):
        raise InputError(f"--output: received {folder!r}, which is there, expected a new folder")
    check_folder(os.path.dirname(os.path.abspath(folder)), flag="--output")
    files, entries, refused = {}, {}, {}
    for name in names:
        sizes = {"noise": num_samples} if name == "score_noise" and num_samples else {}
        try:
            content, difference = _converted(loaded.signatures, name, kind, card, sizes)
        except RefusedError as error:
            if signatures is not None:
                raise InputError(
                    f"--signatures: received {name!r}, which cannot become {kind.title}: {error}"
                ) from error
            refused[name] = str(error)
            continue
        files[name + kind.suffix] = content
        tensors = card["signatures"][name]
        inputs = {key: _resized(value, sizes.get(key)) for key, value in tensors["inputs"].items()}
        entries[name] = {
            "file": name + kind.suffix, "inputs": inputs, "outputs": tensors["outputs"],
            "largest_difference": difference,
        }  # fmt: skip
    if not files:
        reasons = "; ".join(f"{name!r}: {why}" for name, why in refused.items())
        raise InputError(
            f"--saved_model: received {saved_model!r}, none of whose signatures can become {kind.title}: {reasons}"
        )
    source = {key: card[key] for key in ("name", "folder", "version")}
    facts = {
        "format": to, "source": source, "tools": tools, "signatures": entries, "refused": refused,
        "difference": DIFFERENCE, "tolerance": TOLERANCE,
    }  # fmt: skip
    _write(folder, files, facts)
    return facts | {"output": folder}


def open_export(path: str) -> tuple[dict[str, Any], Any]:
    """The model card of an export and its SavedModel, loaded.

    Raises:
      InputError: for a folder that is no SavedModel, or not one of this project's.
    """
    expected = "expected a version of an export, such as saved_models/digits/1"
    for file in ("saved_model.pb", "model_card.json"):
        if not os.path.isfile(os.path.join(path, file)):
            raise InputError(f"--saved_model: received {path!r}, which holds no {file}, {expected}")
    card = read_json(os.path.join(path, "model_card.json"))
    for field in ("name", "folder", "version", "item", "signatures"):
        if field not in card:
            raise InputError(f"--saved_model: received {path!r}, whose card has no {field!r}, {expected}")
    try:
        return card, tf.saved_model.load(path)
    except Exception as error:
        line = str(error).strip().partition("\n")[0]
        raise InputError(f"--saved_model: {path}: received a SavedModel that cannot be loaded ({line})") from error


def _names(given: Sequence[str] | None, known: Any, card: dict[str, Any]) -> list[str]:
    names = [name for name in DEFAULT if name in known] if given is None else list(dict.fromkeys(given))
    some = f"expected some of: {', '.join(sorted(known))}"
    if not names:
        raise InputError(f"--signatures: received none, {some}")
    for name in names:
        if name not in known:
            why = card.get("left_out", {}).get(name, some)
            raise InputError(f"--signatures: received {name!r}, which the export has not: {why}")
    return names


def _check_num_samples(num_samples: int, names: Sequence[str], signatures: Any) -> None:
    if "score_noise" not in names:
        raise InputError(f"--num_samples: received {num_samples}, expected 'score_noise' among --signatures")
    fixed = signatures["score_noise"].structured_input_signature[1]["noise"].shape[1]
    if fixed not in (None, num_samples):
        raise InputError(
            f"--num_samples: received {num_samples}, expected {fixed} or none, as the noise of the export's "
            "'score_noise' has that many samples"
        )


def _version(package: str, to: str) -> str:
    try:
        return importlib.import_module(package).__version__
    except ImportError as error:
        raise InputError(
            f"--to: received {to!r}, which needs the package {package}: pip install tfvae[convert]"
        ) from error


def _resized(tensor: dict[str, Any], size: int | None) -> dict[str, Any]:
    return tensor if size is None else tensor | {"shape": [tensor["shape"][0], size, *tensor["shape"][2:]]}


def _converted(
    signatures: Mapping[str, Any], name: str, kind: Format, card: dict[str, Any], sizes: dict[str, int]
) -> tuple[bytes, float]:
    """The file of a signature, and its largest difference from the SavedModel; raises `RefusedError`."""
    content, difference = content_of(signatures[name], name, kind, sizes=sizes), 0.0
    for given in _requests(signatures, name, card, sizes):
        expected = _call(signatures, name, given)
        try:
            found = kind.run(content, name, given)
        except Exception as error:
            raise RefusedError(f"what came out does not run: {_reason(error)}") from error
        if found.keys() != expected.keys():
            raise RefusedError(f"what came out gives {sorted(found)}, expected {sorted(expected)}")
        for key, value in expected.items():
            apart = difference_of(found[key], value)
            if not apart <= TOLERANCE:
                raise RefusedError(f"{key!r} differs by {apart:.1e}, expected at most {TOLERANCE:g}: {DIFFERENCE}")
            difference = max(difference, apart)
    return content, difference


def content_of(function: Any, name: str, kind: Format, *, sizes: Mapping[str, int] | None = None) -> bytes:
    """The file of a concrete function, which no number has been compared of; raises `RefusedError`."""
    try:
        graph = portable(function, kind.replaced, sizes=sizes)
    except NotPortableError as error:
        raise RefusedError(str(error)) from error
    try:
        return kind.convert(graph, name)
    except Exception as error:  # of whatever kind the packages raise
        raise RefusedError(_reason(error)) from error


def difference_of(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest |found - expected| / max(1, |expected|); infinite for other shapes or types, and where one is NaN."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return float("inf")
    with np.errstate(invalid="ignore"):
        apart = np.abs(found.astype(float) - expected) / np.maximum(1.0, np.abs(expected.astype(float)))
    same = (found == expected) | ((found != found) & (expected != expected))
    return float(np.max(np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart)), initial=0.0))


def _reason(error: Exception) -> str:
    """One line of an error: the ops that a converter names, or else its first line."""
    text = str(error)
    lacking = re.findall(r'(?:Select|Custom) ops: (.*)|No Op registered for (\w+)|error: loc\(.*?fused\["(\w+):', text)
    ops = sorted({op for found in lacking for part in found for op in part.split(", ") if op})
    return f"it cannot do {', '.join(ops)}" if ops else text.strip().partition("\n")[0][:300] or type(error).__name__


def _requests(
    signatures: Mapping[str, Any], name: str, card: dict[str, Any], sizes: dict[str, int]
) -> Iterator[Arrays]:
    """Requests of one row and of three; in the second of the three a number is NaN where it is one of an item."""
    generator, item = np.random.default_rng(0), card["item"]["name"]
    given: Arrays = {"seed": np.arange(3, dtype=np.int64), "label": np.zeros(3, np.int64)}
    given["z"] = _call(signatures, "generate", given)["z"]
    given[item] = _items(signatures, card["item"], given)
    given["mask"] = generator.random(given[item].shape) < 0.5
    specs = signatures[name].structured_input_signature[1]
    for rows in (1, 3):
        if rows == 3:
            given[item][1].flat[0] = np.nan
        if "noise" in specs:
            shape = [size or sizes.get("noise", 2 * rows) for size in specs["noise"].shape[1:]]
            given["noise"] = generator.normal(size=(3, *shape)).astype(np.float32)
        yield {key: given[key][:rows] for key in specs}


def _items(signatures: Mapping[str, Any], item: dict[str, Any], given: Arrays) -> np.ndarray:
    """Three items that are valid: draws of the model are what its data are like, whatever these are."""
    low, high = (sign * np.inf if limit is None else limit for sign, limit in zip((-1, 1), item["range"], strict=True))
    if "decode_sample" in signatures:
        return np.clip(_call(signatures, "decode_sample", given)[item["name"]], low, high)
    # A bag of words has no draws, as its total is not modelled. Up from the mean, which is below 1 for most words.
    step = item.get("step") or 0.0
    start = low if np.isfinite(low) else 0.0
    mean = _call(signatures, "decode", given)["mean"]
    return np.clip(start + np.ceil((mean - start) / step) * step if step else mean, low, high).astype(np.float32)


def _call(signatures: Mapping[str, Any], name: str, given: Arrays) -> Arrays:
    """What a signature gives; raises `InputError` for one that there is none of."""
    if name not in signatures:
        raise InputError(f"--saved_model: received an export without the signature {name!r}, which makes the requests "
                         "that conversions are compared on")  # fmt: skip
    specs = signatures[name].structured_input_signature[1]
    outputs = signatures[name](**{key: tf.constant(given[key], spec.dtype) for key, spec in specs.items()})
    return {key: value.numpy() for key, value in outputs.items()}


def _write(folder: str, files: dict[str, bytes], facts: dict[str, Any]) -> None:
    parent = os.path.dirname(os.path.abspath(folder))
    make_folder(parent, flag="--output")
    with tempfile.TemporaryDirectory(dir=parent, prefix=".tmp-") as staging:
        # A folder below the temporary one, which only its owner can read.
        complete = os.path.join(staging, "complete")
        os.mkdir(complete)
        for name, content in files.items():
            write_atomically(os.path.join(complete, name), content)
        write_json(os.path.join(complete, "conversion.json"), facts)
        try:
            os.rename(complete, folder)
        except OSError as error:
            raise InputError(f"--output: received {folder!r}, expected a new folder ({error.strerror})") from error
