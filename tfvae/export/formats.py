"""Formats that signatures are converted to: how each is written, and run again."""

import dataclasses
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfvae.export import portable

_OPSET = 17  # of ONNX

Arrays = dict[str, Any]  # NumPy's


@dataclasses.dataclass(frozen=True)
class Format:
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
    run: Callable[[bytes, str, Arrays], Arrays]


def _to_litert(function: Any, name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        # By way of a SavedModel, which keeps the names of inputs and outputs.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(tf.Module(), folder, signatures={name: function}, options=options)
        return tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[name]).convert()


def _run_litert(content: bytes, name: str, given: Arrays) -> Arrays:
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


def _run_onnx(content: bytes, name: str, given: Arrays) -> Arrays:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, given), strict=True))


FORMATS = {
    "litert": Format("LiteRT", ".tflite", (), portable.LITERT, _to_litert, _run_litert),
    "onnx": Format("ONNX", ".onnx", ("tf2onnx", "onnx", "onnxruntime"), portable.ONNX, _to_onnx, _run_onnx),
}
