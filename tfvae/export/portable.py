"""A signature as a graph that other formats can hold: constants for variables, and other ops for those they lack."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

# What no other format holds, by an op that shows it.
_SHOWN = {
    "DatasetToSingleElement": "it reads encoded data",
    "Bitcast": "it draws noise from a seed, which takes integer operations",
}

_Replacement = Callable[..., Any]


def _broadcast_args(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    return tf.shape(tf.zeros(left) + tf.zeros(right), left.dtype)


def _cosh(x: tf.Tensor) -> tf.Tensor:
    return 0.5 * (tf.exp(x) + tf.exp(-x))


def _expm1(x: tf.Tensor) -> tf.Tensor:
    # e^x - 1 = 2 t / (1 - t), t = tanh(x/2), which loses no digits about 0
    t = tf.tanh(0.5 * tf.clip_by_value(x, -1.0, 1.0))
    return tf.where(tf.abs(x) < 1.0, 2.0 * t / (1.0 - t), tf.exp(x) - 1.0)


def _log1p(x: tf.Tensor) -> tf.Tensor:
    # log(1 + x) = x log(u) / (u - 1), u = fl(1 + x): its error and that of u - 1 cancel (Goldberg 1991, theorem 4)
    u = 1.0 + x
    none = tf.equal(u, 1.0)
    return tf.where(none, x, x * (tf.math.log(u) / tf.where(none, 1.0, u - 1.0)))


def _lgamma(x: tf.Tensor) -> tf.Tensor:
    # Of x above 0: Stirling's series, below 8 by Gamma(x) = Gamma(x + 8) / (x (x + 1) ... (x + 7))
    low, near = x < 8.0, tf.minimum(x, 8.0)
    product = tf.ones_like(x)
    for step in range(8):
        product *= near + step
    y = tf.where(low, x + 8.0, x)
    series = 1 / (12 * y) - 1 / (360 * y**3) + 1 / (1260 * y**5)
    stirling = (y - 0.5) * tf.math.log(y) - y + 0.5 * math.log(2 * math.pi) + series
    return stirling - tf.where(low, tf.math.log(product), 0.0)


# Of square matrices the main diagonal: the only one that is asked for here.
def _matrix_diag(diagonal: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
    return tf.where(_on_diagonal(diagonal), diagonal[..., None], 0.0)


def _matrix_diag_part(matrix: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.where(_on_diagonal(matrix), matrix, 0.0), axis=-1)


def _matrix_set_diag(matrix: tf.Tensor, diagonal: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
    return tf.where(_on_diagonal(matrix), diagonal[..., None], matrix)


def _on_diagonal(like: tf.Tensor) -> tf.Tensor:
    return tf.eye(tf.shape(like)[-1]) > 0.0


def _mul_no_nan(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.equal(y, 0.0), 0.0, x * y)


def _sigmoid(x: tf.Tensor) -> tf.Tensor:
    # ONNX has it, but its runtime takes a number below -18 for -18.
    return 1.0 / (1.0 + tf.exp(-x))


def _xlogy(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    none = tf.equal(x, 0.0)
    return tf.where(none, 0.0, x * tf.math.log(tf.where(none, 1.0, y)))


def _sparse_softmax_cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    one_hot = tf.one_hot(labels, tf.shape(logits)[-1])
    log_probs = tf.nn.log_softmax(logits)
    return -tf.reduce_sum(one_hot * log_probs, axis=-1), tf.exp(log_probs) - one_hot


LITERT: dict[str, _Replacement] = {
    "EnsureShape": tf.identity,
    "Cosh": _cosh,
    "Lgamma": _lgamma,
    "MatrixDiagPartV3": _matrix_diag_part,
    "SparseSoftmaxCrossEntropyWithLogits": _sparse_softmax_cross_entropy,
}
ONNX: dict[str, _Replacement] = {
    "EnsureShape": tf.identity,
    "BroadcastArgs": _broadcast_args,
    "Expm1": _expm1,
    "Lgamma": _lgamma,
    "Log1p": _log1p,
    "MatrixDiagPartV3": _matrix_diag_part,
    "MatrixDiagV3": _matrix_diag,
    "MatrixSetDiagV3": _matrix_set_diag,
    "MulNoNan": _mul_no_nan,
    "Sigmoid": _sigmoid,
    "Xlogy": _xlogy,
}


class NotPortableError(Exception):
    """What a signature does that no other format holds."""


def portable(function: Any, replaced: Mapping[str, _Replacement], *, sizes: Mapping[str, int] | None = None) -> Any:
    """The same function without variables, assertions and the ops of `replaced`.

    Args:
      function: the concrete function of a signature.
      replaced: by type of op, what computes the same from the same inputs.
      sizes: of the second axis of inputs by their names, where it is free and shall not be.

    Returns:
      a concrete function whose inputs and outputs bear the names that they have in the signature.

    Raises:
      NotPortableError: with the reason.
    """
    sizes = sizes or {}
    frozen = convert_to_constants.convert_variables_to_constants_v2(function, lower_control_flow=False)
    graph = frozen.graph.as_graph_def()
    present = {node.op for part in (graph.node, *(f.node_def for f in graph.library.function)) for node in part}
    for op, what in _SHOWN.items():
        if op in present:
            raise NotPortableError(f"{what} (op {op})")
    for node in graph.node:
        # Control inputs only order assertions, which raise where another format has no exceptions.
        data = [name for name in node.input if not name.startswith("^")]
        del node.input[:]
        node.input.extend(data)
        if node.op in replaced:
            called = _traced(replaced[node.op], frozen.graph.get_operation_by_name(node.name))
            graph.library.function.append(called.function_def)
            _call(node, called)
    names = [tensor.op.name for tensor in frozen.inputs]
    outputs = [tensor.name for tensor in frozen.outputs]
    graph = tf.compat.v1.graph_util.extract_sub_graph(graph, [tensor.op.name for tensor in frozen.outputs])
    specs = [tf.TensorSpec(tensor.shape, tensor.dtype, name) for name, tensor in zip(names, frozen.inputs, strict=True)]
    for place, spec in enumerate(specs):
        if spec.name in sizes:
            shape = [spec.shape[0], sizes[spec.name], *spec.shape[2:]]
            specs[place] = tf.TensorSpec(shape, spec.dtype, spec.name)

    def run(*given: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = {f"{name}:0": value for name, value in zip(names, given, strict=True)}
        found = tf.graph_util.import_graph_def(graph, input_map=inputs, return_elements=outputs, name="model")
        named = {}
        for key, value in zip(sorted(function.structured_outputs), found, strict=True):
            named[key] = tf.identity(value, key)
            named[key].set_shape(function.structured_outputs[key].shape)
        return named

    return tf.function(run, input_signature=specs, autograph=False).get_concrete_function()


def _traced(replacement: _Replacement, operation: Any) -> Any:
    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in operation.inputs]
    return tf.function(replacement, autograph=False).get_concrete_function(*specs)


def _call(node: Any, called: Any) -> None:
    """Makes a node of a graph a call of a concrete function, in place."""
    node.op = "PartitionedCall"
    node.attr.clear()
    node.attr["Tin"].list.type.extend(tensor.dtype.as_datatype_enum for tensor in called.inputs)
    node.attr["Tout"].list.type.extend(tensor.dtype.as_datatype_enum for tensor in called.outputs)
    node.attr["f"].func.name = called.function_def.signature.name
