"""Requests of any kind, over REST and gRPC: each gets numbers or an error that blames it, and the next is as before."""

import base64
import dataclasses
import json
import re
import types
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from tests.export.conftest import arguments
from tests.export.test_consumers import misshapen, spoilt
from tests.serving.conftest import SHAPE
from tests.serving.rest import _nested

BLAMED = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION}
VALUES = [
    "NaN", "Infinity", "-Infinity", "1e400", "-1e39", "1e-400", "1" * 400, "9223372036854775808",
    "-9223372036854775808", "1.5", "-1", "null", "true", '"text"', '"\\ud800"', "{}", "[]", '{"b64": "%"}',
    '{"b64": 1}', '{"b64": "AAAA"}', "-",
]  # fmt: skip
PROTO_TYPES = [tf.float32, tf.float64, tf.int32, tf.int64, tf.bool, tf.string, tf.complex64, tf.uint64, tf.bfloat16]


@pytest.fixture(scope="module")
def exported(served):
    """What `tests/export` calls an export."""

    def items(rows, *, binary=None):
        return np.random.default_rng(1).random((rows, *SHAPE)).astype(np.float32)

    sample = tf.saved_model.load(str(served.path / "sample" / "1"))
    return types.SimpleNamespace(
        signatures={**served.loaded.signatures, "sample": sample.signatures["sample"]}, kept=sample,
        item_shape=SHAPE, item_name="image", items=items,
    )  # fmt: skip


@dataclasses.dataclass
class Fuzzer:
    """Makes requests of good ones, and sends them.

    Attributes:
      rng: what is drawn comes from.
      exported: what good requests are made for.
      post: sends REST bodies.
      stub: sends gRPC messages.
    """

    rng: np.random.Generator
    exported: Any
    post: Any
    stub: Any

    def pick(self, choices):
        return choices[int(self.rng.integers(len(choices)))]

    def good(self, name, rows=2):
        return {key: value.numpy() for key, value in arguments(self.exported, name, rows).items()}

    def request(self, name, inputs):
        """A `PredictRequest` of arrays."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "digits_sample" if name == "sample" else "digits"
        request.model_spec.signature_name = name
        for key, value in inputs.items():
            dtype = tf.string if value.dtype.kind in "OSU" else None
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value.tolist() if dtype else value, dtype))
        return request

    def answers(self):
        """The numbers of a good request for each signature, both ways."""
        found = {}
        for name in sorted(self.exported.signatures):
            response = self.stub.Predict(self.request(name, self.good(name)), timeout=60)
            code, body = self.post(self.content(name, self.good(name)), model=self.model(name))
            assert code == 200, body
            found[name] = {key: tf.make_ndarray(value).tolist() for key, value in response.outputs.items()}, body
        return found

    @staticmethod
    def model(name):
        return "digits_sample" if name == "sample" else "digits"

    @staticmethod
    def content(name, inputs, rows=False):
        """What a REST body holds."""

        def jsonable(value):
            if value.dtype.kind in "OSU":
                return np.vectorize(lambda one: {"b64": base64.b64encode(one).decode()}, otypes=[object])(
                    value
                ).tolist()
            return _nested(value) if value.ndim else value.item()

        columns = {key: jsonable(value) for key, value in inputs.items()}
        if rows:
            return {
                "signature_name": name,
                "instances": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
            }
        return {"signature_name": name, "inputs": columns}

    def arrays(self, name):
        """Inputs that may be anything: of the right shape and type, of another, missing, or too many."""
        inputs = self.good(name, int(self.rng.integers(0, 5)))
        if name == "sample":
            inputs["n"] = np.int64(self.pick([-(2**63), -1, 0, 3, 10_001, 2**63 - 1]))
        else:
            inputs = {key: spoilt(self.rng, self.exported, value) for key, value in inputs.items()}
        if self.rng.random() < 0.6:
            inputs = misshapen(self.rng, {key: np.asarray(value) for key, value in inputs.items()})
        return {key: value for key, value in inputs.items() if value is not None}

    def rest(self, name):
        """Sends a body; gives whether there were numbers."""
        way = int(self.rng.integers(6))
        verb, model = "predict", self.model(name)
        if way == 0:
            body = self.rng.bytes(int(self.rng.integers(0, 100)))
        elif way == 1:
            inputs = self.arrays(name)
            inputs = {k: v if v.dtype.kind != "c" else v.real.astype(np.float32) for k, v in inputs.items()}
            words = {k: v.tolist() for k, v in inputs.items() if v.dtype.kind in "SU" and v.dtype != object}
            content = self.content(name, {k: v for k, v in inputs.items() if k not in words})
            content["inputs"] |= json.loads(json.dumps(words, default=str))
            body = json.dumps(content).encode()
        else:
            rows = name != "sample" and self.rng.random() < 0.5
            content = self.content(name, self.good(name), rows=rows)
            if way == 2:
                key = self.pick(["signature_name", "inputs", "instances", "examples", "other"])
                content[key] = json.loads(self.pick(["1", "[]", "{}", "null", '"none"', "[[1], [2, 3]]", "[{}, 1]"]))
            text = json.dumps(content)
            if way == 3:
                text = text[: int(self.rng.integers(len(text)))]
            if way == 4:
                places = [match.span() for match in re.finditer(r'-?\d[\d.e+-]*|"b64": "[^"]*"|\[', text)]
                start, stop = self.pick(places)
                text = text[:start] + self.pick(VALUES) + text[stop:]
            if way == 5:
                verb, model = self.pick([("regress", "digits"), ("predict", "another"), ("classify", "digits")])
                features = self.pick(['{"image": [0.5, %s]}', '{"image": %s}', '{"label": %s}', "%s"])
                text = '{"signature_name": "regress", "examples": [%s]}' % (features % self.pick(VALUES))
            body = text.encode()
        code, answer = self.post(body, verb, model)
        assert code in (200, 400, 404, 412), (name, verb, body, answer)
        assert ("error" in answer) == (code != 200) and (code == 200 or answer["error"])
        if code == 200 and verb == "predict":
            self.finite(answer.get("outputs", answer.get("predictions")), body)
        return code == 200

    def message(self, name):
        """Sends a `PredictRequest`; gives whether there were numbers."""
        request = self.request(name, self.arrays(name))
        if request.inputs and self.rng.random() < 0.5:
            self.damage(request.inputs[self.pick(sorted(request.inputs))])
        if self.rng.random() < 0.05:
            request.model_spec.signature_name = self.pick(["none", "regress", "", "\0"])
        if self.rng.random() < 0.05:
            request.model_spec.version.value = self.pick([-1, 7, 2**63 - 1])
        try:
            response = self.stub.Predict(request, timeout=60)
        except grpc.RpcError as error:
            assert error.code() in BLAMED, (name, error.code(), error.details(), request)
            return False
        for key, value in response.outputs.items():
            self.finite(tf.make_ndarray(value).tolist(), (key, request))
        return True

    def damage(self, proto):
        """Makes a tensor another than it says that it is."""
        way = int(self.rng.integers(6))
        if way == 0:
            proto.tensor_content = proto.tensor_content[: int(self.rng.integers(0, 20))]
        elif way == 1:
            proto.tensor_content = self.rng.bytes(int(self.rng.integers(0, 300)))
        elif way == 2:
            proto.dtype = self.pick([0, 7, 20, 21, 99, 101, *(one.as_datatype_enum for one in PROTO_TYPES)])
        elif way == 3:
            size = self.pick([-1, 0, 1, 3, 2**20, 2**40, 2**63 - 1])
            proto.tensor_shape.dim.insert(int(self.rng.integers(0, 3)), type(proto.tensor_shape.dim.add())(size=size))
        elif way == 4:
            del proto.tensor_shape.dim[:]
            proto.tensor_shape.unknown_rank = bool(self.rng.random() < 0.5)
        else:
            del proto.float_val[:], proto.int64_val[:], proto.string_val[:]
            proto.tensor_content = b""

    @staticmethod
    def finite(values, what):
        """Each number of an answer is one that JSON has."""
        flat = [values]
        while flat:
            one = flat.pop()
            if isinstance(one, dict | list):
                flat += one.values() if isinstance(one, dict) else one
            else:
                assert isinstance(one, bool | int | str) or np.isfinite(one), what


def fuzz(fuzzer, count):
    """Sends requests in turn both ways; returns how many were refused, and how many gave numbers."""
    before, given = fuzzer.answers(), []
    for number in range(count):
        name = fuzzer.pick(sorted(fuzzer.exported.signatures))
        given.append((fuzzer.rest, fuzzer.message)[number % 2](name))
        if number % 1000 == 999:
            assert fuzzer.answers() == before
    assert fuzzer.answers() == before
    return count - sum(given), sum(given)


def test_any_request(exported, post, stub):
    refused, given = fuzz(Fuzzer(np.random.default_rng(0), exported, post, stub), 200)
    assert refused > 100 and given > 20


@pytest.mark.slow
def test_any_request_of_many(exported, post, stub):
    refused, given = fuzz(Fuzzer(np.random.default_rng(1), exported, post, stub), 10_000)
    assert refused > 5_000 and given > 1_000
