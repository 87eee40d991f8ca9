"""The model card for people, in Markdown."""

import os
from typing import Any

SERVING_IMAGE = "tensorflow/serving:2.21.0"  # of the TensorFlow release in setup.py

_NATS = ("elbo", "rate", "distortion", "log_likelihood", "log_likelihood_standard_error")
_UNITS = {**dict.fromkeys(_NATS, "nats"), "bits_per_dim": "bits per dimension"}


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
        *_section(
            "Signatures",
            _sizes(content["signatures"]),
            _signatures(content["signatures"]),
        ),
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


def _sizes(signatures: dict[str, Any]) -> str:
    shapes = [tensor["shape"] or [] for one in signatures.values() for tensor in one["inputs"].values()]
    return "N, the number of rows, is free" + (
        ", and so is K, draws of noise." if any(None in shape[1:] for shape in shapes) else "."
    )


def _signatures(signatures: dict[str, Any]) -> str:
    def listed(tensors: dict[str, Any]) -> str:
        shapes = {
            name: ", ".join(
                ("N", "K")[axis > 0] if size is None else str(size) for axis, size in enumerate(tensor["shape"] or [])
            )
            for name, tensor in tensors.items()
        }
        return "; ".join(f"`{name}` {tensor['dtype']} [{shapes[name]}]" for name, tensor in tensors.items())

    places = {name: "" if s["folder"] == "." else f", in `{s['folder']}`" for name, s in signatures.items()}
    rows = [
        [f"`{name}`{places[name]}", one["description"], listed(one["inputs"]), listed(one["outputs"])]
        for name, one in signatures.items()
    ]
    return _table(["Signature", "What", "Inputs", "Outputs"], rows)


def _calls(content: dict[str, Any]) -> list[str]:
    folder, item = content["folder"], content["item"]
    name, model, conditional = item["name"], os.path.dirname(folder), bool(content["num_labels"])
    python, command = (", label=tf.constant([0], tf.int64)", ";label=[0, 1]") if conditional else ("", "")
    given = [("seed", "[1, 2]")] + [("label", "[0, 1]")] * conditional
    filled = "".join(f'request.inputs["{key}"].CopyFrom(tf.make_tensor_proto({v}, tf.int64))\n' for key, v in given)
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
        "By TensorFlow Serving, on this machine alone, over REST:",
        f"```sh\n{_server(model, model, 8500, 8501)}\n{_curl(model, 8501, 'generate', given)}\n```",
        "Over gRPC, with `pip install tensorflow-serving-api`:",
        "```python\n"
        "import grpc\n"
        "import tensorflow as tf\n"
        "from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc\n"
        "request = predict_pb2.PredictRequest()\n"
        f'request.model_spec.name, request.model_spec.signature_name = "{model}", "generate"\n'
        f"{filled}"
        'with grpc.insecure_channel("127.0.0.1:8500") as channel:\n'
        "    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)\n"
        f'    print(tf.make_ndarray(stub.Predict(request, timeout=60.0).outputs["{name}"]).shape)\n'
        "```",
        *_calls_of_sample(content, model),
    ]


def _calls_of_sample(content: dict[str, Any], model: str) -> list[str]:
    """How the signature that has no rows is served, if there is one."""
    if "sample" not in content["signatures"]:
        return []
    inputs = [("n", "4"), ("seed", "1")] + [("label", "0")] * bool(content["num_labels"])
    folder = content["signatures"]["sample"]["folder"]
    if folder == ".":
        words = "The signature `sample` takes single numbers, over REST only as `inputs`:"
        return [words, f"```sh\n{_curl(model, 8501, 'sample', inputs)}\n```"]
    place, apart = f"{content['folder']}/{os.path.dirname(folder)}", f"{model}_sample"
    return [
        "The signature `sample` takes single numbers, over REST only as `inputs`. A server that merges requests cannot "
        "take it: it is a model of its own, here on ports of its own.",
        f"```sh\n{_server(place, apart, 8502, 8503)}\n{_curl(apart, 8503, 'sample', inputs)}\n```",
    ]


def _server(place: str, model: str, grpc: int, rest: int) -> str:
    ports = f"-p 127.0.0.1:{grpc}:8500 -p 127.0.0.1:{rest}:8501"
    return f'docker run -d {ports} -v "$PWD/{place}:/models/{model}:ro" -e MODEL_NAME={model} {SERVING_IMAGE}'


def _curl(model: str, port: int, signature: str, inputs: list[tuple[str, str]]) -> str:
    listed = ", ".join(f'"{name}": {value}' for name, value in inputs)
    body = f'{{"signature_name": "{signature}", "inputs": {{{listed}}}}}'
    return f"curl -d '{body}' http://127.0.0.1:{port}/v1/models/{model}:predict"
