"""A model server for tests, in this process: gRPC by the serving API's own messages, over SavedModels in sessions.

What it says and refuses follows TensorFlow Serving's documents and source; of configs it reads batching_params.pbtxt.
"""

import contextlib
import dataclasses
import math
import pathlib
from concurrent import futures

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import any_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tests.serving.merging import Merger
from tests.serving.messages import parse
from tests.serving.refusals import CODES, INVALID, MISSING, RefusedError
from tfvae.export.batching import PARAMETERS

REGRESS = "tensorflow/serving/regress"
MOST_NUMBERS = 2**24  # of a tensor in a request: a shape in a few bytes may ask for all memory


class Bundle:
    """A SavedModel as the server loads it: a graph in a session, which is fed and fetched by the names of tensors."""

    def __init__(self, path):
        graph = tf.Graph()
        self.session = tf.compat.v1.Session(graph=graph)
        with graph.as_default():
            meta = tf.compat.v1.saved_model.load(self.session, [tf.saved_model.SERVING], path)
        self.signatures = dict(meta.signature_def)
        parameters = pathlib.Path(path, PARAMETERS)
        self.merger = Merger(parse(parameters, "BatchingParameters")) if parameters.exists() else None

    def signature(self, name):
        """The `SignatureDef` of a name, of which "" is the default."""
        name = name or tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY
        if name not in self.signatures:
            raise RefusedError(INVALID, f'Serving signature name: "{name}" not found in signature def')
        return self.signatures[name]

    def run(self, name, feeds):
        """Outputs by their names in the signature of a name, of arrays by those of its inputs."""
        signature = self.signature(name)
        if feeds.keys() != signature.inputs.keys():
            raise RefusedError(
                INVALID, f"input size does not match signature: {sorted(feeds)}, {sorted(signature.inputs)}"
            )
        if not self.merger:
            return self._run(signature, feeds)
        # A batch is of the same tensors, whatever the signature is called.
        key = tuple(sorted(info.name for side in (signature.inputs, signature.outputs) for info in side.values()))
        return self.merger.run(key, feeds, lambda merged: self._run(signature, merged))

    def _run(self, signature, feeds):
        for name, value in feeds.items():
            dtype = np.dtype(tf.as_dtype(signature.inputs[name].dtype).as_numpy_dtype)
            if value.dtype != dtype:  # which a session in Python would cast
                raise RefusedError(INVALID, f"Expects {name} to be {dtype} but {value.dtype} is provided")
        fetches = {name: info.name for name, info in signature.outputs.items()}
        try:
            return self.session.run(fetches, {signature.inputs[name].name: value for name, value in feeds.items()})
        except tf.errors.OpError as error:
            raise RefusedError(CODES[error.error_code], " ".join(error.message.split())) from error
        except ValueError as error:  # a shape that is not the input's
            raise RefusedError(INVALID, str(error).splitlines()[0]) from error


def parsed(proto):
    """The array of a `TensorProto`, as TensorFlow itself reads it."""
    sizes = [dim.size for dim in proto.tensor_shape.dim]
    try:
        if min(sizes, default=0) < 0 or math.prod(sizes) > MOST_NUMBERS:
            raise ValueError(f"a shape {sizes}")
        value = tf.io.parse_tensor(proto.SerializeToString(), tf.as_dtype(proto.dtype)).numpy()
        return np.asarray(value, object) if isinstance(value, bytes) else value
    except (tf.errors.OpError, TypeError, ValueError) as error:
        raise RefusedError(INVALID, f"tensor parsing error: {str(error).splitlines()[0]}") from error


@dataclasses.dataclass
class Models:
    """What a server serves.

    Attributes:
      bundles: by name and version; None of a version that is still loading.
      labels: versions by name and label.
      answered: (name, version, signature) of each request that was run.
      seconds_left: of each request over gRPC, until its deadline.
    """

    bundles: dict[str, dict[int, Bundle | None]]
    labels: dict[str, dict[str, int]]
    answered: list[tuple[str, int, str]] = dataclasses.field(default_factory=list)
    seconds_left: list[float] = dataclasses.field(default_factory=list)

    def find(self, spec):
        """The version and the bundle that a `ModelSpec` means."""
        versions = {version: one for version, one in self.bundles.get(spec.name, {}).items() if one}
        choice = spec.WhichOneof("version_choice")
        if choice == "version_label":
            if spec.version_label not in self.labels.get(spec.name, {}):
                raise RefusedError(INVALID, f"Unrecognized servable version label: {spec.version_label}")
            version = self.labels[spec.name][spec.version_label]
        else:
            version = spec.version.value if choice else max(versions, default=None)
        if version not in versions:
            kind = f"Specific({spec.name}, {version})" if choice else f"Latest({spec.name})"
            raise RefusedError(MISSING, f"Servable not found for request: {kind}")
        return version, versions[version]

    def predict(self, request):
        """A `PredictResponse`."""
        version, bundle = self.find(request.model_spec)
        name = request.model_spec.signature_name
        outputs = bundle.run(name, {key: parsed(value) for key, value in request.inputs.items()})
        response = predict_pb2.PredictResponse()
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        self._name(response, request, version)
        return response

    def regress(self, request):
        """A `RegressionResponse`."""
        version, bundle = self.find(request.model_spec)
        name = request.model_spec.signature_name
        signature = bundle.signature(name)
        if signature.method_name != REGRESS:
            raise RefusedError(
                INVALID, f"Expected regression signature method_name to be {REGRESS}. Was: {signature.method_name}"
            )
        examples = [one.SerializeToString() for one in request.input.example_list.examples]
        if not examples:
            raise RefusedError(INVALID, "Input is empty.")
        values = bundle.run(name, {"inputs": np.array(examples, object)})["outputs"]
        response = regression_pb2.RegressionResponse()
        response.result.regressions.extend(regression_pb2.Regression(value=value) for value in values)
        self._name(response, request, version)
        return response

    def metadata(self, request):
        """A `GetModelMetadataResponse`."""
        version, bundle = self.find(request.model_spec)
        if list(request.metadata_field) != ["signature_def"]:
            raise RefusedError(INVALID, f"Metadata field {list(request.metadata_field)} is not supported")
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name, response.model_spec.version.value = request.model_spec.name, version
        packed = any_pb2.Any()
        packed.Pack(get_model_metadata_pb2.SignatureDefMap(signature_def=bundle.signatures))
        response.metadata["signature_def"].CopyFrom(packed)
        return response

    def status(self, request):
        """A `GetModelStatusResponse`."""
        spec, response = request.model_spec, get_model_status_pb2.GetModelStatusResponse()
        if spec.name not in self.bundles:
            raise RefusedError(MISSING, f"Could not find any versions of model {spec.name}")
        chosen = spec.WhichOneof("version_choice")
        for version in [self.find(spec)[0]] if chosen else sorted(self.bundles[spec.name], reverse=True):
            one, loaded = response.model_version_status.add(version=version), self.bundles[spec.name][version]
            one.state = one.AVAILABLE if loaded else one.LOADING
            one.status.error_message = ""
        return response

    def _name(self, response, request, version):
        response.model_spec.CopyFrom(request.model_spec)
        response.model_spec.version.value = version
        self.answered.append((request.model_spec.name, version, request.model_spec.signature_name))


@contextlib.contextmanager
def grpc_server(models):
    """Serves on a free port of this machine's loopback; gives the port."""

    class Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
        Predict = _answering(models, models.predict)
        Regress = _answering(models, models.regress)
        GetModelMetadata = _answering(models, models.metadata)

    class Status(model_service_pb2_grpc.ModelServiceServicer):
        GetModelStatus = _answering(models, models.status)

    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Predictions(), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Status(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(grace=None).wait()


def _answering(models, method):
    def call(self, request, context):
        models.seconds_left.append(context.time_remaining())
        try:
            return method(request)
        except RefusedError as refusal:
            return context.abort(refusal.code, str(refusal))

    return call
