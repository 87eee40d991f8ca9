"""What the clients in `tools/serving` say, in one line, of servers and of what they are given."""

import http.server
import json
import socket
import threading

import numpy as np
import pytest

from tests.serving.test_clients import KINDS


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_servers_that_do_not_answer(kind, refusal):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        assert f"no server answers at {'http://' * (kind == 'rest')}127.0.0.1:{port}" in refusal(
            kind, "status", port=port
        )
        other.listen()  # and never answers
        assert refusal(kind, "status", "--timeout=0.2", port=port).endswith("no answer within 0.2 s")


SIGNATURE = {
    "method_name": "tensorflow/serving/predict",
    "inputs": {"seed": {"dtype": "DT_INT64", "tensor_shape": {"dim": [{"size": "-1"}]}}},
    "outputs": {name: {"dtype": "DT_FLOAT", "tensor_shape": {}} for name in ("image", "z")},
}
METADATA = {"metadata": {"signature_def": {"signature_def": {"generate": SIGNATURE}}}}
GENERATE = ("generate", "--seeds=1,2", "--output=a.npz")


def says(code, body):
    return lambda path: (code, body)


def outputs(body, key="outputs"):
    return lambda path: (200, METADATA if path.endswith("metadata") else body if key is None else {key: body})


@pytest.mark.parametrize(
    ("answer", "arguments", "words"),
    [
        (says(200, b"<html>"), ["status"], "model server's answer (JSON"),
        (says(200, [1]), ["status"], "(TypeError"),
        (says(200, {"model_version_status": [1]}), ["status"], "(TypeError"),
        (says(200, b"[" * 100_000), ["status"], "(RecursionError"),
        (says(418, b"words"), ["status"], "HTTP 418: I'm"),
        (says(400, []), ["status"], "HTTP 400"),
        (says(200, {"metadata": []}), GENERATE, "(TypeError"),
        (says(200, {"metadata": {"signature_def": {"signature_def": {"generate": {}}}}}), GENERATE, "(KeyError"),
        (says(200, {"metadata": {"signature_def": {"signature_def": []}}}), GENERATE, "(AttributeError"),
        (outputs([]), GENERATE, "(TypeError"),
        (outputs({}), GENERATE, "(KeyError: 'image')"),
        (outputs([], "predictions"), [*GENERATE, "--format=row"], "'image' has the shape [0], expected 2 rows"),
        (outputs({}, "predictions"), [*GENERATE, "--format=row"], "'image' has the shape [0], expected 2 rows"),
        (outputs([1, 2], "predictions"), [*GENERATE, "--format=row"], "(TypeError"),
        (outputs([{"z": 1}], "predictions"), [*GENERATE, "--format=row"], "(KeyError: 'image')"),
        (outputs({"image": [1.0], "z": [1.0]}), GENERATE, "'image' has the shape [1], expected 2 rows"),
        (outputs({"image": 1.0, "z": 2.0}), GENERATE, "'image' has the shape [], expected 2 rows"),
        (outputs({"image": [1.0, [2.0]], "z": [1.0, 2.0]}), GENERATE, "(ValueError"),
        (outputs({"image": [1.0, "2"], "z": [1.0, 2.0]}), GENERATE, "(ValueError"),
        (outputs({"image": [10**30, 1], "z": [1.0, 2.0]}), GENERATE, "(ValueError"),
        (outputs(None, None), GENERATE, "(TypeError"),
    ],
)  # fmt: skip
def test_a_server_of_something_else(answer, arguments, words, refusal):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            code, body = answer(self.path)
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        assert words in refusal("rest", *arguments, port=server.server_address[1])
        server.shutdown()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("score missing.png", "received 'missing.png', expected a PNG or JPEG file (No such file or directory)"),
        ("score words.png", "received 'words.png', which is neither PNG nor JPEG"),
        ("generate --seeds=1-x --output=a.npz", "--seeds: received '1-x', expected whole numbers such as 1,2,3 or"),
        ("generate --seeds=3-1 --output=a.npz", "--seeds: received '3-1'"),
        ("generate --seeds=1,,2 --output=a.npz", "--seeds: received '1,,2'"),
        ("generate --seeds=9223372036854775808 --output=a.npz", "expected numbers of at most 9223372036854775807"),
        (f"generate --seeds={'9' * 5000} --output=a.npz", "expected numbers of at most 9223372036854775807"),
        ("generate --seeds=0-99999999999 --output=a.npz", "--seeds: received 100000000000 numbers, expected at most"),
        ("generate --seeds=1 --output=a.npz --label=9223372036854775808", "--label: received 9223372036854775808, exp"),
        ("generate --seeds=1 --output=a.npz --label=1", "--label: expected none, as the signature takes seed"),
        ("generate --seeds=1 --output=a.npz --version=9223372036854775808", "--version: received 9223372036854775808"),
        ("sample --count=0 --seed=1 --output=a.npz", "--count: received 0, expected 1 to 100000"),
        ("sample --count=1 --seed=9223372036854775808 --output=a.npz", "--seed: received 9223372036854775808"),
        ("sample --count=10001 --seed=1 --output=a.npz", "n is above 10000"),
        ("sample --count=2 --seed=1 --output=a.npz --version_label=new", "Unrecognized servable version label: new"),
        ("regress --input=wide.npz", "'image' has the shape [2, 8, 9, 1], expected [-1, 8, 8, 1] with a row or more"),
        ("regress --input=wide.npz --label=1", "--label: expected none"),
        ("regress --input=large.npz", "--input: 'large.npz' is no NPZ file of numbers or truth values (a number that"),
        ("encode --input=one.npz --output=a.npz --signature=sample --model=digits_sample", "whose 'n' is one number"),
        ("generate --seeds=1 --output=a.gif", "--output: received 'a.gif', expected the name of a file that ends in"),
        ("generate --seeds=1 --output=new/a.png", "--output: received 'new/a.png', expected a file in a folder"),
        ("generate --seeds=1 --output=a.png --white=0", "--white: received 0.0"),
        ("generate --seeds=1 --output=a.png --timeout=0", "--timeout: received 0.0, expected above 0 and at most"),
        ("generate --seeds=1 --output=a.png --port=70000", "--port: received 70000"),
        ("generate --seeds=1 --outptu=a.png", "the following arguments are required: --output"),
        ("generate --seeds=1 --output=a.npz --model=digits_sample", "without 'generate', expected one of: sample"),
        ("encode --input=words.png --output=a.npz", "--input: 'words.png' is no NPZ file"),
        ("encode --input=new.npz --output=a.npz", "--input: received 'new.npz', expected an NPZ file (No such file"),
        ("encode --input=bytes.npz --output=a.npz", "--input: 'image' is of type int64, expected float32 (bytes of"),
        ("encode --input=wide.npz --output=a.npz", "'image' has the shape [2, 8, 9, 1], expected [-1, 8, 8, 1] with"),
        ("encode --input=empty.npz --output=a.npz", "'image' has the shape [0, 8, 8, 1], expected [-1, 8, 8, 1]"),
        ("encode --input=uneven.npz --output=a.npz --signature=score", "arrays with [1, 2] rows"),
        ("encode --input=wide.npz --output=a.npz --signature=decode", "expected arrays with the names ['z']"),
        ("encode --input=wide.npz --output=a.npz --signature=enc", "without 'enc', expected one of: complete, decode"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(arguments, words, refusal, images, tmp_path):
    (tmp_path / "words.png").write_text("no picture")
    np.savez(tmp_path / "bytes.npz", image=np.uint8(images))
    np.savez(tmp_path / "wide.npz", image=np.zeros((2, 8, 9, 1), np.float32))
    np.savez(tmp_path / "empty.npz", image=images[:0])
    np.savez(tmp_path / "uneven.npz", image=images[:2], seed=[1])
    np.savez(tmp_path / "large.npz", image=np.array([2**64 - 1], np.uint64))
    np.savez(tmp_path / "one.npz", n=3, seed=1)
    assert words in refusal("rest", *arguments.split())


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_wrong_shape_or_type_is_sent(kind, refusal, served, images, tmp_path, monkeypatch):
    """It would fail all requests that a server merges it with."""
    asked = []
    for bundle in (bundle for versions in served.models.bundles.values() for bundle in versions.values()):
        monkeypatch.setattr(bundle, "run", lambda *request: asked.append(request))
    wrong = {
        "wide": {"image": images[:2].repeat(2, axis=2)}, "flat": {"image": images[:2, ..., 0]},
        "none": {"image": images[:0]}, "bytes": {"image": np.uint8(images)}, "other": {"picture": images[:2]},
    }  # fmt: skip
    for name, arrays in wrong.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        assert "expected" in refusal(kind, "encode", f"--input={name}.npz", "--output=a.npz")
        assert "expected" in refusal(kind, "regress", f"--input={name}.npz")
    noise = np.zeros(
        (2, served.loaded.signatures["score_noise"].structured_input_signature[1]["noise"].shape[1] + 1, 2)
    )
    np.savez(tmp_path / "noise.npz", image=images[:2], noise=noise)
    words = refusal(kind, "encode", "--input=noise.npz", "--output=a.npz", "--signature=score_noise")
    assert "'noise' has the shape [2, 6, 2], expected [-1, 5, 2]" in words
    assert not asked
