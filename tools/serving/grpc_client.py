"""Asks a TensorFlow Serving server for an export's signatures over gRPC; needs tensorflow-serving-api and NumPy.

  python grpc_client.py status
  python grpc_client.py score photo.png --version_label=stable
  python grpc_client.py generate --seeds=0-63 --output=made.png
  python grpc_client.py sample --count=16 --seed=1 --output=made.png
  python grpc_client.py encode --input=images.npz --output=codes.npz
  python grpc_client.py regress --input=images.npz

Each command has --help. An error is one line, and the exit code 1.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import client_commands
from client_checks import described
from client_files import Array, ClientError


class GrpcServer:
    """A server's gRPC interface.

    Args:
      flags: `host`, `port`, `model`, `version`, `version_label` and `timeout`.
    """

    def __init__(self, flags: argparse.Namespace) -> None:
        try:  # here, so that --help answers without TensorFlow
            with _quiet():
                import grpc
                import tensorflow  # noqa: F401
                from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
        except ImportError as error:
            raise ClientError(f"expected the package tensorflow-serving-api to be installed ({error})") from error
        self.address, self.flags = f"{flags.host}:{flags.port}", flags
        # Images in batches are soon more than the 4 MB that a client takes by default.
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        channel = grpc.insecure_channel(self.address, options=options)
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def status(self) -> dict[str, Any]:
        """See `client_commands.Server`."""
        from tensorflow_serving.apis import get_model_status_pb2

        request = get_model_status_pb2.GetModelStatusRequest()
        self._name(request.model_spec)
        return _json(self._send(self.models.GetModelStatus, request))

    def signatures(self) -> client_commands.Signatures:
        """See `client_commands.Server`."""
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._name(request.model_spec)
        found = get_model_metadata_pb2.SignatureDefMap()
        self._send(self.predictions.GetModelMetadata, request).metadata["signature_def"].Unpack(found)
        return described(_json(found)["signature_def"])

    def predict(self, signature: str, inputs: dict[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """See `client_commands.Server`."""
        import numpy as np
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        self._name(request.model_spec)
        request.model_spec.signature_name = signature
        for name, array in inputs.items():
            values = np.array(array.values, object if array.dtype == "bytes" else array.dtype).reshape(array.shape)
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
        response = self._send(self.predictions.Predict, request)
        try:
            found = {name: tf.make_ndarray(response.outputs[name]) for name in outputs}
        except (TypeError, ValueError) as error:
            raise ClientError(f"{self.address}: expected a model server's answer ({error})") from error
        return {name: Array(value.dtype.name, value.shape, value.ravel().tolist()) for name, value in found.items()}

    def regress(self, signature: str, inputs: dict[str, Array]) -> Array:
        """See `client_commands.Server`."""
        from tensorflow_serving.apis import regression_pb2

        request = regression_pb2.RegressionRequest()
        self._name(request.model_spec)
        request.model_spec.signature_name = signature
        for row in range(next(iter(inputs.values())).shape[0]):
            features = request.input.example_list.examples.add().features.feature
            for name, array in inputs.items():
                kind = "float_list" if array.dtype == "float32" else "int64_list"
                getattr(features[name], kind).value.extend(array.rows(row, row + 1).values)
        found = [one.value for one in self._send(self.predictions.Regress, request).result.regressions]
        return Array("float32", (len(found),), found)

    def _name(self, spec: Any) -> None:
        """Fills in a `ModelSpec`."""
        spec.name = self.flags.model
        if self.flags.version is not None:
            spec.version.value = self.flags.version
        elif self.flags.version_label is not None:
            spec.version_label = self.flags.version_label

    def _send(self, method: Callable[..., Any], request: Any) -> Any:
        import grpc

        try:
            return method(request, timeout=self.flags.timeout)
        except grpc.RpcError as error:
            code, details = error.code(), error.details()
            if code == grpc.StatusCode.UNAVAILABLE:
                raise ClientError(
                    f"no server answers at {self.address}, or it has too much to do ({details})"
                ) from error
            if code == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise ClientError(f"{self.address}: no answer within {self.flags.timeout:g} s") from error
            raise ClientError(f"{self.address}: {code.name}: {details}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps back what TensorFlow's libraries write to the second file, errors, while they load."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    before = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def _json(message: Any) -> dict[str, Any]:
    """A message as the REST interface would show it."""
    from google.protobuf import json_format

    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


if __name__ == "__main__":
    client_commands.run(__doc__, port=8500, connect=GrpcServer)
