"""The REST interface of the tests' model server, as https://www.tensorflow.org/tfx/serving/api_rest describes it."""

import base64
import contextlib
import http.server
import json
import re
import threading

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2, regression_pb2

from tests.serving.refusals import INVALID, RefusedError

PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d{1,18})|/labels/([^/:]+))?(?:(/metadata)|:(predict|regress))?")
HTTP_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400, grpc.StatusCode.NOT_FOUND: 404, grpc.StatusCode.FAILED_PRECONDITION: 412,
}  # fmt: skip
INT64, FLOAT = range(-(2**63), 2**63), float(np.finfo(np.float32).max)
KINDS = {"float32": (float, int), "int64": (int,), "bool": (bool,)}  # what JSON may hold of a type


@contextlib.contextmanager
def rest_server(models):
    """Serves on a free port of this machine's loopback; gives the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(None)

        def do_POST(self):
            self.answer(self.rfile.read(int(self.headers["Content-Length"])))

        def answer(self, body):
            try:
                code, content = 200, answer(models, self.path, body)
            except RefusedError as refusal:
                code, content = HTTP_CODES.get(refusal.code, 500), {"error": str(refusal)}
            except Exception as error:  # a defect, which a client should be able to tell from a dead server
                code, content = 500, {"error": repr(error)}
            data = json.dumps(content, indent=1).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(models, path, body):
    """The JSON of a GET, whose body is None, or a POST."""
    match = PATH.fullmatch(path)
    if not match or (body is None) == bool(match[5]):
        raise RefusedError(INVALID, f"Malformed request: {'GET' if body is None else 'POST'} {path}")
    name, version, label, metadata, verb = match.groups()
    kinds = {
        "predict": predict_pb2.PredictRequest, "regress": regression_pb2.RegressionRequest,
        "/metadata": get_model_metadata_pb2.GetModelMetadataRequest, None: get_model_status_pb2.GetModelStatusRequest,
    }  # fmt: skip
    request = kinds[verb or metadata]()
    request.model_spec.name = name
    if version:
        request.model_spec.version.value = int(version)
    elif label:
        request.model_spec.version_label = label
    if not verb:
        return _described(models, request, metadata)
    try:
        content = json.loads(body)
        _check(isinstance(content, dict), "expecting an object")
        request.model_spec.signature_name = content.get("signature_name", "")
    except (ValueError, TypeError, RecursionError) as error:
        raise RefusedError(INVALID, f"JSON Parse error: {error}") from error
    if verb == "regress":
        rows = content.get("examples")
        _check(isinstance(rows, list) and all(isinstance(row, dict) for row in rows), "Missing list of 'examples'")
        for row in rows:
            example = request.input.example_list.examples.add()
            for key, value in row.items():
                _fill_feature(example.features.feature[key], value)
        return {"results": [_decimal(one.value) for one in models.regress(request).result.regressions]}
    signature = models.find(request.model_spec)[1].signature(request.model_spec.signature_name)
    in_rows = "instances" in content
    if in_rows == ("inputs" in content):
        raise RefusedError(INVALID, "Missing 'inputs' or 'instances' key, or both are there")
    columns = _columns(content["instances"], signature) if in_rows else content["inputs"]
    if not isinstance(columns, dict) or columns.keys() == {"b64"}:
        columns = {_only(signature.inputs): columns}
    for key, info in signature.inputs.items():
        if key not in columns:
            raise RefusedError(INVALID, f"Missing named input: {key} in 'inputs' object.")
        request.inputs[key].CopyFrom(_tensor(columns[key], tf.as_dtype(info.dtype)))
    outputs = {key: tf.make_ndarray(value) for key, value in models.predict(request).outputs.items()}
    columns = {key: _nested(value) for key, value in outputs.items()}
    if not in_rows:
        return {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}
    if len(columns) == 1:
        return {"predictions": next(iter(columns.values()))}
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}


def _check(holds, message):
    if not holds:
        raise RefusedError(INVALID, message)


def _described(models, request, metadata):
    as_json = {"preserving_proto_field_name": True, "always_print_fields_with_no_presence": True}
    if not metadata:
        return json_format.MessageToDict(models.status(request), **as_json)
    request.metadata_field.append("signature_def")
    response, found = models.metadata(request), get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(found)
    return {
        "model_spec": json_format.MessageToDict(response.model_spec, **as_json),
        "metadata": {"signature_def": json_format.MessageToDict(found, **as_json)},
    }


def _columns(instances, signature):
    """Columns of a list of rows, which are objects or, of an only input, values."""
    if not isinstance(instances, list) or not instances:
        raise RefusedError(INVALID, "Expecting 'instances' to be a list of one value or more")
    objects = [isinstance(row, dict) and row.keys() != {"b64"} for row in instances]
    if not any(objects):
        return {_only(signature.inputs): instances}
    for number, row in enumerate(instances):
        if not objects[number] or row.keys() != signature.inputs.keys():
            raise RefusedError(
                INVALID, f"Failed to process element: {number} of 'instances' list: must only have keys: "
                f"{','.join(sorted(signature.inputs))}"
            )  # fmt: skip
    return {name: [row[name] for row in instances] for name in signature.inputs}


def _only(inputs):
    if len(inputs) > 1:
        raise RefusedError(INVALID, "a plain value/list, but expecting an object as multiple input tensors required")
    return next(iter(inputs))


def _tensor(nested, dtype):
    """A `TensorProto` of nested lists."""
    shape, values = [], [nested]
    while isinstance(values[0], list) and values[0]:
        shape.append(len(values[0]))
        if any(not isinstance(one, list) or len(one) != shape[-1] for one in values):
            raise RefusedError(INVALID, f"Encountered list at unexpected size, expected size: {shape[-1]}")
        values = [one for part in values for one in part]
    if dtype == tf.string:
        values = [_string(one) for one in values]
    elif wrong := [one for one in values if type(one) not in KINDS[dtype.name]]:
        raise RefusedError(INVALID, f"JSON Value: {json.dumps(wrong[0])} is not of expected type: {dtype.name}")
    elif dtype.is_integer:
        _check(all(one in INT64 for one in values), f"JSON Value is not of expected type: {dtype.name}")
    elif dtype.is_floating:
        # A double that float32 cannot hold becomes infinite.
        values = np.array([min(max(one, -(10**39)), 10**39) for one in values], np.float64)
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
    return tf.make_tensor_proto(values, dtype, shape)


def _string(value):
    try:
        return value.encode() if isinstance(value, str) else base64.b64decode(value["b64"], validate=True)
    except (TypeError, KeyError, ValueError) as error:
        raise RefusedError(INVALID, f"JSON Value: {value} not formatted correctly for base64 data") from error


def _fill_feature(feature, values):
    """A number with a point or an exponent is a float, one without is an int64: the two do not mix."""
    for value in values if isinstance(values, list) else [values]:
        _check(not isinstance(value, bool), "Unexpected element type in feature")
        kind = "float_list" if isinstance(value, float) else "int64_list" if isinstance(value, int) else "bytes_list"
        if feature.WhichOneof("kind") not in (None, kind):
            raise RefusedError(
                INVALID, f"Unexpected element type in feature, expecting type: {feature.WhichOneof('kind')}"
            )
        if kind == "int64_list":
            _check(value in INT64, "Unexpected integer of a feature")
        elif kind == "float_list":
            value = min(max(value, -FLOAT), FLOAT) if abs(value) < float("inf") else value
        getattr(feature, kind).value.append(_string(value) if kind == "bytes_list" else value)


def _nested(array):
    """Nested lists, in which a float has no more digits than tell it from its neighbours."""
    if array.dtype != np.float32:
        return array.tolist()
    return np.vectorize(_decimal, otypes=[object])(array).tolist() if array.size else array.tolist()


def _decimal(value):
    return float(str(np.float32(value)))
