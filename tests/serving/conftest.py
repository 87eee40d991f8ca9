import dataclasses
import json
import pathlib
import urllib.error
import urllib.request
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tests.export.golden import EXPORT
from tests.helpers import small_vae
from tests.serving.rest import rest_server
from tests.serving.server import Bundle, Models, grpc_server
from tests.tools.inside import run_inside
from tfvae.export import export_saved_model

TOOLS = pathlib.Path(__file__).parents[2] / "tools" / "serving"
SHAPE = (8, 8, 1)


@dataclasses.dataclass
class Served:
    """An export, loaded again, and servers of it in this process.

    Attributes:
      path: of the version folder.
      models: what the servers serve: `digits` with two versions and two labels, and `digits_sample`.
      rest, grpc: ports.
    """

    path: pathlib.Path
    models: Models
    rest: int
    grpc: int

    def __post_init__(self):
        self.loaded = tf.saved_model.load(str(self.path))

    def __call__(self, name: str, **inputs: Any) -> dict[str, np.ndarray]:
        """A signature of the export, called without a server."""
        call = self.loaded.signatures[name]
        specs = call.structured_input_signature[1]
        given = {key: tf.constant(value, specs[key].dtype) for key, value in inputs.items()}
        return {key: value.numpy() for key, value in call(**given).items()}


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    vae = small_vae(SHAPE, latent_size=2)
    generator = np.random.default_rng(0)
    for variable in vae.trainable_variables:  # initial biases are all zero
        variable.assign_add(generator.normal(0.0, 0.1, variable.shape))
    folder = tmp_path_factory.mktemp("models") / "digits"
    path = pathlib.Path(export_saved_model(vae, str(folder), item_shape=SHAPE, num_samples=5))
    digits, sample = Bundle(str(path)), Bundle(str(path / "sample" / "1"))
    # What answers is in `Models.answered`, so that two versions need not be two models.
    models = Models(
        {"digits": {1: digits, 2: digits}, "digits_sample": {1: sample}}, {"digits": {"stable": 1, "canary": 2}}
    )
    with rest_server(models) as rest_port, grpc_server(models) as grpc_port:
        yield Served(path, models, rest_port, grpc_port)


@pytest.fixture(scope="session")
def committed():
    """The export of this repository, as `digits` and `digits_sample`."""
    parts = {"digits": EXPORT, "digits_sample": EXPORT / "sample" / "1"}
    return Models({name: {1: Bundle(str(path))} for name, path in parts.items()}, {})


@pytest.fixture(scope="module")
def stub(served):
    options = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"127.0.0.1:{served.grpc}", options=options) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture
def predict(stub):
    """The outputs of a signature of the model `digits`, over gRPC."""

    def call(name, **inputs):
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = "digits", name
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        response = stub.Predict(request, timeout=60)
        return {key: tf.make_ndarray(value) for key, value in response.outputs.items()}

    return call


@pytest.fixture
def post(served, monkeypatch):
    """The answer to a POST of JSON, or of bytes: HTTP status and JSON."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    def call(content, verb="predict", model="digits"):
        url = f"http://127.0.0.1:{served.rest}/v1/models/{model}:{verb}"
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        try:
            with urllib.request.urlopen(url, data=body, timeout=60) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    return call


@pytest.fixture
def client(served, tmp_path, monkeypatch):
    """Runs a client in this process, as `rest`, `rest --format=row` or `grpc`: exit code, output, errors."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.syspath_prepend(str(TOOLS))

    def run(kind, *arguments, port=None):
        name, *flags = kind.split()
        port = port or getattr(served, name)
        script = str(TOOLS / f"{name}_client.py")
        command, *others = arguments
        done = run_inside([script, command, f"--port={port}", "--timeout=120", *flags, *others], tmp_path, monkeypatch)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def refusal(client, tmp_path):
    """What a client says that fails; it says one line, and leaves no file behind."""

    def run(kind, *arguments, **settings):
        before = sorted(tmp_path.iterdir())
        code, out, err = client(kind, *arguments, **settings)
        assert (code, out) == (1, "") and err.startswith("error: ") and err.count("\n") == 1, (code, out, err)
        assert sorted(tmp_path.iterdir()) == before
        return err.removeprefix("error: ").rstrip("\n")

    return run


@pytest.fixture(scope="session")
def images():
    """0/1 images `[70, 8, 8, 1]`, which are more than a request may carry."""
    return (np.random.default_rng(1).random((70, *SHAPE)) < 0.4).astype(np.float32)
