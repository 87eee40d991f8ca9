"""What an export answers over TensorFlow Serving's own messages, and over REST; the lines of the README."""

import json
import pathlib
import re
import shlex
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2, regression_pb2

from tests.export.golden import EXPORT
from tests.serving.conftest import TOOLS
from tfvae.export.batching import BATCH_SIZES, WARMUP
from tfvae.export.card_text import SERVING_IMAGE
from tfvae.export.registry import SENTINEL, SIGNATURES

LINES = (TOOLS / "README.md").read_text().splitlines()
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def examples(images):
    features = [tf.train.Feature(float_list=tf.train.FloatList(value=np.ravel(one))) for one in images]
    return [tf.train.Example(features=tf.train.Features(feature={"image": one})) for one in features]


def replayed(models, path, model):
    """Runs the warm-up requests of a version: the batch sizes of each signature."""
    sizes = {}
    records = tf.data.TFRecordDataset(str(path / "assets.extra" / WARMUP)).as_numpy_iterator()
    for log in map(prediction_log_pb2.PredictionLog.FromString, records):
        if log.WhichOneof("log_type") == "regress_log":
            request = log.regress_log.request
            rows = len(request.input.example_list.examples)
            values = [one.value for one in models.regress(request).result.regressions]
            assert len(values) == rows and np.all(np.abs(values) < 1e6)
        else:
            request = log.predict_log.request
            first = next(iter(request.inputs.values()))
            rows = first.tensor_shape.dim[0].size if first.tensor_shape.dim else tf.make_ndarray(request.inputs["n"])
            for key, value in models.predict(request).outputs.items():
                array = tf.make_ndarray(value)
                assert len(array) == rows and np.isfinite(array).all(), key
                assert key != "valid" or array.all()
        assert request.model_spec.name == model
        sizes.setdefault(request.model_spec.signature_name, []).append(int(rows))
    assert sum(map(len, sizes.values())) <= 1000  # which is the most that the server takes
    return sizes


@pytest.mark.parametrize("which", ["written now", "in the repository"])
def test_warm_up_requests_succeed(which, served, committed):
    models, path = (served.models, served.path) if which == "written now" else (committed, EXPORT)
    batchable = {name for name, one in SIGNATURES.items() if one.batchable}
    assert replayed(models, path, "digits") == {name: list(BATCH_SIZES) for name in batchable}
    assert replayed(models, path / "sample" / "1", "digits_sample") == {"sample": [1]}
    assert batchable == models.bundles["digits"][1].signatures.keys() - {"__saved_model_init_op"}


@pytest.mark.parametrize("name", ["serving_default", "score"])
def test_a_bad_row_leaves_its_neighbours_as_they_were(name, predict, images):
    seed = {"seed": np.array([1, 2, 3])} if name == "score" else {}
    good, bad = images[:3].copy(), images[:3].copy()
    bad[1, 3, 3] = np.nan
    before, after = predict(name, image=good, **seed), predict(name, image=bad, **seed)
    assert before["valid"].tolist() == [True, True, True] and after["valid"].tolist() == [True, False, True]
    # Eight rows, as a server that fills up a batch makes of three.
    filled = predict(
        name, image=np.repeat(bad, [1, 1, 6], axis=0), **{k: np.repeat(v, [1, 1, 6]) for k, v in seed.items()}
    )
    for key, value in after.items():
        assert (value[[0, 2]] == before[key][[0, 2]]).all(), key
        np.testing.assert_allclose(filled[key][:3], value, **CLOSE)
        if key != "valid":
            assert abs(value[1]) == np.float32(SENTINEL) and abs(before[key][1]) < 1e6


def test_bad_bytes_leave_their_neighbours_as_they_were(predict, images):
    files = [tf.io.encode_png(np.uint8(255 * one)).numpy() for one in images[:3]]
    before = predict("score_bytes", image_bytes=files)
    after = predict("score_bytes", image_bytes=[files[0], files[1][:40], files[2]])
    assert after["valid"].tolist() == [True, False, True]
    assert (after["elbo"][[0, 2]] == before["elbo"][[0, 2]]).all()


def test_regression_is_the_anomaly_score(served, stub, post, images):
    request = regression_pb2.RegressionRequest()
    request.model_spec.name, request.model_spec.signature_name = "digits", "regress"
    request.input.example_list.examples.extend(examples(images[:3]))
    found = [one.value for one in stub.Regress(request, timeout=60).result.regressions]
    np.testing.assert_allclose(found, served("serving_default", image=images[:3])["anomaly_score"], rtol=1e-5)
    given = [{"image": one.ravel().tolist()} for one in images[:3]]
    code, answer = post({"signature_name": "regress", "examples": given}, "regress")
    assert code == 200 and answer.keys() == {"results"}
    np.testing.assert_array_equal(np.float32(answer["results"]), np.float32(found))
    # Numbers without a point are integers of the example, and the row is no image.
    given[1]["image"] = [int(one) for one in given[1]["image"]]
    code, answer = post({"signature_name": "regress", "examples": given}, "regress")
    np.testing.assert_array_equal(np.float32(answer["results"]), np.float32([found[0], SENTINEL, found[2]]))
    given[1]["image"][0] = 0.5
    assert post({"signature_name": "regress", "examples": given}, "regress")[0] == 400
    assert "Expected regression signature" in post({"examples": given[:1]}, "regress")[1]["error"]


def test_formats_of_rest(served, post, images):
    rows = [{"image": one.tolist(), "seed": 5} for one in images[:2]]
    columns = {"image": images[:2].tolist(), "seed": [5, 5]}
    code, by_row = post({"signature_name": "score", "instances": rows})
    assert code == 200 and by_row.keys() == {"predictions"} and len(by_row["predictions"]) == 2
    code, by_column = post({"signature_name": "score", "inputs": columns})
    assert code == 200 and by_column.keys() == {"outputs"}
    for name, expected in served("score", image=images[:2], seed=[5, 5]).items():
        assert [row[name] for row in by_row["predictions"]] == by_column["outputs"][name]
        np.testing.assert_allclose(by_column["outputs"][name], expected, **CLOSE)
    # An only input and an only output go without their names.
    plain = [images[:2].tolist(), [{"image": one.tolist()} for one in images[:2]]]
    answers = [post({"signature_name": "reconstruct", "instances": one})[1]["predictions"] for one in plain]
    answers += [post({"signature_name": "reconstruct", "inputs": plain[0]})[1]["outputs"]]
    assert answers[0] == answers[1] == answers[2] and np.shape(answers[0]) == (2, 8, 8, 1)
    # NaN is no JSON, and is understood.
    images = images[:1].copy()
    images[0, 0] = np.nan
    assert post({"inputs": images.tolist()})[1]["outputs"]["valid"] == [False]


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ({"signature_name": "generate", "inputs": {"seed": [1.0]}}, 400, "not of expected type: int64"),
        ({"signature_name": "generate", "inputs": {"seed": [1]}, "instances": [1]}, 400, "or both are there"),
        ({"signature_name": "generate", "inputs": {"seeds": [1]}}, 400, "Missing named input: seed"),
        ({"signature_name": "score", "instances": [{"seed": 1}]}, 400, "must only have keys: image,seed"),
        ({"signature_name": "score", "instances": [1]}, 400, "multiple input tensors required"),
        ({"signature_name": "score_bytes", "instances": [{"b64": "%"}]}, 400, "not formatted correctly for base64"),
        ({"signature_name": "none", "instances": [1]}, 400, '"none" not found in signature def'),
        ({"signature_name": "generate", "inputs": {"seed": [[1], [2, 3]]}}, 400, "unexpected size"),
        (
            {"signature_name": "generate", "inputs": {"seed": list(range(65))}},
            400,
            "larger than maximum input batch size 64",
        ),
    ],
)
def test_refusals_of_rest(content, code, words, post):
    answer = post(content)
    assert answer[0] == code and words in answer[1]["error"]
    assert post({"inputs": [1]}, model="other")[0] == 404


def test_the_model_without_rows(served, post):
    code, answer = post({"signature_name": "sample", "inputs": {"n": 3, "seed": 7}}, model="digits_sample")
    alone = tf.saved_model.load(str(served.path / "sample" / "1")).signatures["sample"]
    expected = alone(n=tf.constant(3, tf.int64), seed=tf.constant(7, tf.int64))
    assert code == 200
    for name, value in expected.items():
        np.testing.assert_allclose(answer["outputs"][name], value, **CLOSE)
    assert post({"instances": [{"n": 3, "seed": 7}]}, model="digits_sample")[0] == 400


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is missing")
def test_the_calls_of_the_model_card(served, capsys):
    text = (served.path / "model_card.md").read_text()
    runs = re.findall(r"docker run -d -p (\S+):8500 -p (\S+):8501 -v (.*) -e MODEL_NAME=(\S+) (\S+)", text)
    calls = re.findall(r"(curl -d .*) http://(\S+)/v1/models/(\S+):predict", text)
    assert [run[3] for run in runs] == [call[2] for call in calls] == ["digits", "digits_sample"]
    for (grpc_address, rest_address, volume, model, image), (command, called, _) in zip(runs, calls, strict=True):
        assert image == SERVING_IMAGE and called == rest_address != grpc_address
        assert grpc_address.startswith("127.0.0.1:") and rest_address.startswith("127.0.0.1:")
        place, inside, mode = shlex.split(volume)[0].split(":")
        assert inside == f"/models/{model}" and mode == "ro"
        # What is mounted holds a version.
        assert (served.path.parents[1] / place.removeprefix("$PWD/") / "1" / "saved_model.pb").is_file()
        url = f"http://127.0.0.1:{served.rest}/v1/models/{model}:predict"
        words = [*shlex.split(command), "--noproxy", "*", "-s", "--fail", url]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert np.shape(json.loads(done.stdout)["outputs"]["image"])[1:] == (8, 8, 1), done.stderr
    [code] = re.findall(r"```python\n(import grpc.*?)```", text, flags=re.DOTALL)
    assert code.count('"127.0.0.1:8500"') == 1
    exec(code.replace(":8500", f":{served.grpc}"), {})
    assert capsys.readouterr().out == "(2, 8, 8, 1)\n"


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is missing")
@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("curl ")])
def test_the_readmes_requests(line, served, images, tmp_path):
    (tmp_path / "photo.png").write_bytes(tf.io.encode_png(np.uint8(255 * images[0])).numpy())
    command = line.replace(":8501/", f":{served.rest}/").replace("curl -s", "curl -s --fail --noproxy '*'")
    assert command.count(str(served.rest)) == 1
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    if "score_bytes" in line:
        expected = served("serving_default", image=images[:1])
        np.testing.assert_allclose(answer["predictions"][0]["anomaly_score"], expected["anomaly_score"][0], rtol=1e-5)
    elif "regress" in line:
        expected = served("serving_default", image=np.zeros((1, 8, 8, 1)))
        np.testing.assert_allclose(answer["results"], expected["anomaly_score"], rtol=1e-5)
    else:
        assert answer.keys() & {"predictions", "outputs", "model_version_status", "metadata"}


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("python tools/serving/")])
def test_the_readmes_clients(line, client, images, tmp_path):
    (tmp_path / "photo.png").write_bytes(tf.io.encode_png(np.uint8(255 * images[0])).numpy())
    np.savez(tmp_path / "images.npz", image=images)
    before = set(tmp_path.iterdir())
    _, script, *arguments = shlex.split(line)
    code, out, err = client(pathlib.Path(script).name.removesuffix("_client.py"), *arguments)
    assert code == 0 and out and not err
    written = re.findall(r"--output=(\S+)", line)
    assert [path.name for path in set(tmp_path.iterdir()) - before] == written
