"""Signatures of an export in other formats, LiteRT and ONNX, each compared with the SavedModel before it is written."""

import dataclasses
import importlib
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.errors import InputError
from tfvae.export import portable as portable_lib
from tfvae.export.portable import portable
from tfvae.files import check_folder, make_folder, read_json, write_atomically, write_json

TOLERANCE = 1e-4
DIFFERENCE = "the largest |converted - source| / max(1, |source|) of all numbers"
DEFAULT = ("encode", "decode", "reconstruct", "score_noise")  # those that an export has

_OPSET = 17  # of ONNX

_Arrays = dict[str, Any]  # NumPy's


@dataclasses.dataclass(frozen=True)
class _Format:
    """One to convert to.

    Attributes:
      title: of the format.
      suffix: of its files.
      packages: that it needs beside TensorFlow.
      replaced: ops that it lacks: see `portable`.
      convert: of a concrete function and the signature's name, to the content of a file.
      run: of such a content, the name, and inputs, to outputs.
    """

    title: str
    suffix: str
    packages: tuple[str, ...]
    replaced: dict[str, Any]
    convert: Callable[[Any, str], bytes]
    run: Callable[[bytes, str, _Arrays], _Arrays]


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
      signatures: their names; None: `DEFAULT`.
      num_samples: K of the noise of `score_noise`; None: free as well.

    Returns:
      the content of `conversion.json`, and `output`: the path of the folder.

    Raises:
      InputError: for what the flags of `tools/convert.py` get wrong, a package that is missing, and a signature
        that the format cannot hold, with the reason, or whose numbers come out otherwise.
    """
    if to not in FORMATS:
        raise InputError(f"--to: received {to!r}, expected one of: {', '.join(FORMATS)}")
    kind = FORMATS[to]
    tools = {"tensorflow": tf.__version__} | {name: _version(name, to) for name in kind.packages}
    card, loaded = open_export(saved_model)
    names = _names(signatures, loaded.signatures, card)
    if num_samples is not None and "score_noise" not in names:
        raise InputError(f"--num_samples: received {num_samples}, expected 'score_noise' among --signatures")
    folder = output or f"{card['folder'].replace('/', '-')}-{to}"
    if os.path.lexists(folder) and not (os.path.isdir(folder) and not os.listdir(folder)):
        raise InputError(f"--output: received {folder!r}, which is there, expected a new folder")
    check_folder(os.path.dirname(os.path.abspath(folder)), flag="--output")
    files, entries = {}, {}
    for name in names:
        sizes = {"noise": num_samples} if name == "score_noise" and num_samples else {}
        content, difference = _converted(loaded.signatures, name, kind, card, sizes)
        files[name + kind.suffix] = content
        tensors = card["signatures"][name]
        inputs = {key: _resized(value, sizes.get(key)) for key, value in tensors["inputs"].items()}
        entries[name] = {
            "file": name + kind.suffix, "inputs": inputs, "outputs": tensors["outputs"],
            "largest_difference": difference,
        }  # fmt: skip
    source = {key: card[key] for key in ("name", "folder", "version")}
    facts = {
        "format": to, "source": source, "tools": tools, "signatures": entries, "difference": DIFFERENCE,
        "tolerance": TOLERANCE,
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
    signatures: Any, name: str, kind: _Format, card: dict[str, Any], sizes: dict[str, int]
) -> tuple[bytes, float]:
    """The file of a signature, and its largest difference from the SavedModel."""
    refused = f"--signatures: received {name!r}, which cannot become {kind.title}"
    function = signatures[name]
    try:
        content = kind.convert(portable(function, kind.replaced, sizes=sizes), name)
    except Exception as error:  # of whatever kind the packages raise
        raise InputError(f"{refused}: {_reason(error)}") from error
    difference = 0.0
    for given in _requests(signatures, name, card, sizes):
        expected = {key: v.numpy() for key, v in function(**{k: tf.constant(v) for k, v in given.items()}).items()}
        try:
            found = kind.run(content, name, given)
        except Exception as error:
            raise InputError(f"{refused}: what came out does not run: {_reason(error)}") from error
        for key, value in expected.items():
            apart = difference_of(found[key], value)
            if not apart <= TOLERANCE:
                raise InputError(
                    f"{refused}: {key!r} differs by {apart:.1e}, expected at most {TOLERANCE:g}: {DIFFERENCE}"
                )
            difference = max(difference, apart)
    return content, difference


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
    return f"it cannot do {', '.join(ops)}" if ops else text.strip().partition("\n")[0][:300]


def _requests(signatures: Any, name: str, card: dict[str, Any], sizes: dict[str, int]) -> Iterator[_Arrays]:
    """Requests of one row and of three; in the second of the three a number is NaN where it is one of an item."""
    generator, item = np.random.default_rng(0), card["item"]
    seed, label = np.arange(3, dtype=np.int64), np.zeros(3, np.int64)
    # A draw of the model is what its data are like, whatever these are.
    given: _Arrays = {"seed": seed, "label": label}
    given["z"] = _call(signatures["generate"], given)["z"]
    items = _call(signatures["decode_sample"], given)[item["name"]]
    low, high = item["range"]
    given[item["name"]] = np.clip(items, -np.inf if low is None else low, np.inf if high is None else high)
    given["mask"] = generator.random(items.shape) < 0.5
    for rows in (1, 3):
        if rows == 3:
            given[item["name"]][1].flat[0] = np.nan
        request = {}
        for key, spec in signatures[name].structured_input_signature[1].items():
            if key == "noise":
                shape = [size or sizes.get(key, 2 * rows) for size in spec.shape[1:]]
                given[key] = generator.normal(size=(3, *shape)).astype(np.float32)
            request[key] = given[key][:rows]
        yield request


def _call(function: Any, given: _Arrays) -> _Arrays:
    names = function.structured_input_signature[1]
    return {key: v.numpy() for key, v in function(**{name: tf.constant(given[name]) for name in names}).items()}


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


def _to_litert(function: Any, name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        # By way of a SavedModel, which keeps the names of inputs and outputs.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(tf.Module(), folder, signatures={name: function}, options=options)
        return tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[name]).convert()


def _run_litert(content: bytes, name: str, given: _Arrays) -> _Arrays:
    with warnings.catch_warnings():
        # TensorFlow's own interpreter will leave it one day; another needs a package.
        warnings.simplefilter("ignore")
        return tf.lite.Interpreter(model_content=content).get_signature_runner(name)(**given)


def _to_onnx(function: Any, name: str) -> bytes:
    import onnx
    import tf2onnx

    inputs, outputs = ([tensor.name for tensor in tensors] for tensors in (function.inputs, function.outputs))
    named = dict(zip(outputs, sorted(function.structured_outputs), strict=True))
    model, _ = tf2onnx.convert.from_graph_def(
        function.graph.as_graph_def(), name=name, input_names=inputs, output_names=outputs, opset=_OPSET,
        tensors_to_rename={tensor: tensor.partition(":")[0] for tensor in inputs} | named,
        custom_op_handlers={"SelectV2": (_where, [])},
    )  # fmt: skip
    shapes = {tensor.op.name: tensor.shape for tensor in function.inputs}
    shapes |= {key: tensor.shape for key, tensor in function.structured_outputs.items()}
    for value in [*model.graph.input, *model.graph.output]:
        del value.type.tensor_type.shape.dim[:]
        for axis, size in enumerate(shapes[value.name]):
            value.type.tensor_type.shape.dim.add(**({"dim_param": "NK"[axis]} if size is None else {"dim_value": size}))
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _where(context: Any, node: Any, name: str, arguments: Any) -> None:
    # The converter's own choice is c x + (1 - c) y, which is NaN where what is not chosen is NaN or infinite.
    node.type = "Where"


def _run_onnx(content: bytes, name: str, given: _Arrays) -> _Arrays:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, given), strict=True))


FORMATS = {
    "litert": _Format("LiteRT", ".tflite", (), portable_lib.LITERT, _to_litert, _run_litert),
    "onnx": _Format("ONNX", ".onnx", ("tf2onnx", "onnx", "onnxruntime"), portable_lib.ONNX, _to_onnx, _run_onnx),
}
