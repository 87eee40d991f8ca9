"""Makes the graph of a SavedModel small, which TFP's names blow up.

They are made of those of all that a distribution is made of, and come again in each node that takes the output of
another: half of a graph, of a flow's two thirds.
"""

import itertools
import os

from tensorflow.core.framework import function_pb2, node_def_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.saved_model import fingerprinting_utils

# What no runtime needs: shapes that follow from the ops', and gradients of TFP's own, which `saved` leaves out.
_DROPPED = ("_output_shapes", "_gradient_op_type")


def shrink(folder: str) -> None:
    """Rewrites `saved_model.pb` in the folder of a SavedModel; it computes what it did."""
    path = os.path.join(folder, "saved_model.pb")
    model = saved_model_pb2.SavedModel()
    with open(path, "rb") as file:
        model.ParseFromString(file.read())
    for meta_graph in model.meta_graphs:
        # By the names of their arguments only objects are called.
        objects = meta_graph.object_graph_def.concrete_functions
        for function in meta_graph.graph_def.library.function:
            _shorten(function, arguments=function.signature.name not in objects)
    with open(path, "wb") as file:
        file.write(model.SerializeToString(deterministic=True))
    # It holds a hash of the graph.
    fingerprinting_utils.write_fingerprint(folder)


def _shorten(function: function_pb2.FunctionDef, *, arguments: bool) -> None:
    """Gives the nodes of a function, and its arguments, new names, and makes equal constants one."""
    taken = {one.name for one in function.signature.input_arg}
    fresh = (name for name in map("n{}".format, itertools.count()) if name not in taken)
    names: dict[str, str] = {}
    if arguments:
        for argument in function.signature.input_arg:
            names[argument.name] = argument.name = next(fresh)
    constants: dict[tuple[bytes, str], str] = {}
    staying = []
    for node in function.node_def:
        constant = node.op == "Const" and not node.input
        key = (node.attr["value"].SerializeToString() if constant else b"", node.device)
        if constant and key in constants:
            names[node.name] = constants[key]
            continue
        names[node.name] = next(fresh)
        staying.append(node)
        if constant:
            constants[key] = names[node.name]

    def renamed(tensor: str) -> str:
        # `argument`, `node:output:place` or, what only has to run before, `^node`
        node, colon, rest = tensor.removeprefix("^").partition(":")
        return "^" * tensor.startswith("^") + names.get(node, node) + colon + rest

    for node in staying:
        node.name = names[node.name]
        node.ClearField("experimental_debug_info")
        for name in _DROPPED:
            node.attr.pop(name, None)
        data = [renamed(tensor) for tensor in node.input if not tensor.startswith("^")]
        node.input[:] = data + list(dict.fromkeys(renamed(one) for one in node.input if one.startswith("^")))
        if "_class" in node.attr:  # loc:@node, of ops that belong on one device
            places = node.attr["_class"].list
            places.s[:] = [b"loc:@" + names.get(p[5:].decode(), p[5:].decode()).encode() for p in places.s]
    for output, tensor in list(function.ret.items()):
        function.ret[output] = renamed(tensor)
    for output, name in list(function.control_ret.items()):
        function.control_ret[output] = names[name]
    copies = [node_def_pb2.NodeDef.FromString(node.SerializeToString()) for node in staying]
    del function.node_def[:]
    function.node_def.extend(copies)
