"""The clients in `tools/serving`, against a server in this process: what they give is what the SavedModel gives."""

import json
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.conftest import TOOLS

KINDS = ["rest", "rest --format=row", "grpc"]
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def arrays(path):
    with np.load(path) as found:
        return {name: found[name] for name in found.files}


def save_png(path, image):
    path.write_bytes(tf.io.encode_png(np.uint8(np.round(255.0 * image))).numpy())


def checked(result):
    code, out, err = result
    assert code == 0 and err == "", err
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_scores_of_files(kind, client, served, images, tmp_path):
    for name, image in [("a", images[0]), ("b", images[1]), ("large", np.ones((9, 8, 1)))]:
        save_png(tmp_path / f"{name}.png", image)
    head, *lines = checked(client(kind, "score", "a.png", "large.png", "b.png")).splitlines()
    assert head.split("\t") == ["file", "anomaly_score", "elbo", "valid"]
    expected = served("serving_default", image=images[:2])
    for line, name, place in zip(lines, ("a.png", "large.png", "b.png"), (0, None, 1), strict=True):
        file, score, elbo, valid = line.split("\t")
        assert file == name and valid == ("false" if place is None else "true")
        numbers = (1e30, -1e30) if place is None else (expected[key][place] for key in ("anomaly_score", "elbo"))
        np.testing.assert_allclose([float(score), float(elbo)], list(numbers), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_items_of_seeds(kind, client, served, tmp_path):
    seeds = [7, 0, 1, 2, 3]
    expected = served("generate", seed=seeds)
    assert checked(client(kind, "generate", "--seeds=7,0-3", "--output=a.npz", "--batch_size=2")) == "a.npz\n"
    found = arrays(tmp_path / "a.npz")
    assert found["seed"].tolist() == seeds and found.keys() == {"seed", "image", "z"}
    assert found["image"].dtype == np.float32 and found["seed"].dtype == np.int64
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, **CLOSE)
    # The picture: three columns, two rows, black at the end.
    checked(client(kind, "generate", "--seeds=7,0-3", "--output=a.png", "--white=0.5"))
    picture = tf.io.decode_png((tmp_path / "a.png").read_bytes()).numpy()
    items = np.concatenate([np.clip(2.0 * found["image"], 0.0, 1.0), np.zeros((1, 8, 8, 1))]).reshape(2, 3, 8, 8)
    assert picture.shape == (16, 24, 1)
    np.testing.assert_array_equal(picture[..., 0], np.round(255.0 * items).transpose(0, 2, 1, 3).reshape(16, 24))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", ["digits", "digits_sample"])
def test_items_of_one_seed(kind, model, client, served, tmp_path):
    checked(client(kind, "sample", "--count=5", "--seed=-7", "--output=a.npz", f"--model={model}"))
    assert served.models.answered[-1] == ("digits_sample", 1, "sample")
    alone = tf.saved_model.load(str(served.path / "sample" / "1"))  # a signature does not keep its variables
    expected = alone.signatures["sample"](n=tf.constant(5, tf.int64), seed=tf.constant(-7, tf.int64))
    found = arrays(tmp_path / "a.npz")
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, **CLOSE)
    checked(client(kind, "sample", "--count=5", "--seed=-7", "--output=a.png"))
    assert tf.io.decode_png((tmp_path / "a.png").read_bytes()).shape == (16, 24, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_by_the_regress_api(kind, client, served, images, tmp_path):
    np.savez(tmp_path / "images.npz", image=images)
    before = len(served.models.answered)
    head, *lines = checked(client(kind, "regress", "--input=images.npz")).splitlines()
    assert served.models.answered[before:] == [("digits", 2, "regress")] * 2 and head == "row\tanomaly_score"
    rows, scores = zip(*(line.split("\t") for line in lines), strict=True)
    assert rows == tuple(map(str, range(70)))
    expected = served("serving_default", image=images)["anomaly_score"]
    np.testing.assert_allclose(np.float32(scores), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_codes_of_arrays_that_take_two_requests(kind, client, served, images, tmp_path):
    np.savez(tmp_path / "images.npz", image=images.astype(np.float64))
    before = len(served.models.answered)
    checked(client(kind, "encode", "--input=images.npz", "--output=codes.npz", "--version_label=stable"))
    assert served.models.answered[before:] == [("digits", 1, "encode")] * 2
    found, expected = arrays(tmp_path / "codes.npz"), served("encode", image=images)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
def test_other_signatures(kind, client, served, images, tmp_path):
    np.savez(tmp_path / "both.npz", image=images[:3], seed=np.array([4, 5, 6], np.uint8))
    checked(client(kind, "encode", "--input=both.npz", "--output=scores.npz", "--signature=score"))
    found, expected = arrays(tmp_path / "scores.npz"), served("score", image=images[:3], seed=[4, 5, 6])
    assert found["valid"].dtype == bool and found["valid"].all()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, **CLOSE)
    # An only output, which REST gives without its name.
    np.savez(tmp_path / "one.npz", image=images[:3])
    checked(client(kind, "encode", "--input=one.npz", "--output=again.npz", "--signature=reconstruct"))
    found = arrays(tmp_path / "again.npz")
    np.testing.assert_allclose(
        found["reconstruction"], served("reconstruct", image=images[:3])["reconstruction"], **CLOSE
    )


def test_all_ways_give_the_same_bits(client, images, tmp_path):
    np.savez(tmp_path / "images.npz", image=images[:5])
    made = []
    for kind in KINDS:
        checked(client(kind, "encode", "--input=images.npz", "--output=codes.npz"))
        made.append(arrays(tmp_path / "codes.npz"))
    for other in made[1:]:
        assert all((other[name] == value).all() for name, value in made[0].items())


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_versions_and_labels(kind, client, refusal, served):
    for flags, version in {"": 2, "--version=1": 1, "--version_label=stable": 1, "--version_label=canary": 2}.items():
        checked(client(kind, "generate", "--seeds=1", "--output=a.npz", *flags.split()))
        assert served.models.answered[-1] == ("digits", version, "generate")
    ask = ("generate", "--seeds=1", "--output=b.npz")
    assert "Unrecognized servable version label: new" in refusal(kind, *ask, "--version_label=new")
    assert "Servable not found for request: Specific(digits, 9)" in refusal(kind, *ask, "--version=9")
    assert "Servable not found for request: Latest(other)" in refusal(kind, *ask, "--model=other")
    assert "Could not find any versions of model other" in refusal(kind, "status", "--model=other")
    assert "not allowed with argument" in refusal(kind, *ask, "--version=1", "--version_label=stable")


def test_status_and_metadata_are_the_same_both_ways(client, served):
    for command in ("status", "metadata"):
        assert checked(client("rest", command)) == checked(client("grpc", command))
    found = json.loads(checked(client("rest", "status")))["model_version_status"]
    assert [(one["version"], one["state"]) for one in found] == [("2", "AVAILABLE"), ("1", "AVAILABLE")]
    found = json.loads(checked(client("rest", "metadata", "--version_label=stable")))
    assert found.keys() == served.loaded.signatures.keys()
    assert found["score"]["inputs"] == {"image": "DT_FLOAT [-1, 8, 8, 1]", "seed": "DT_INT64 [-1]"}
    assert found["score_bytes"]["inputs"] == {"image_bytes": "DT_STRING [-1]"}
    assert found["regress"]["method"] == "tensorflow/serving/regress"


def test_the_rest_client_needs_the_standard_library_alone(served, tmp_path):
    def run(script, *arguments):
        command = [sys.executable, "-S", "-E", "-s", str(TOOLS / script), *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    to = (f"--port={served.rest}", "--timeout=120")
    done = run("rest_client.py", "generate", "--seeds=0-3", "--output=a.npz", *to)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a.npz\n", "")
    done = run("rest_client.py", "encode", "--input=a.npz", "--output=b.npz", *to)
    assert done.returncode == 1
    assert done.stderr == "error: --input: holds ['image', 'seed', 'z'], expected arrays with the names ['image']\n"
    np.testing.assert_allclose(arrays(tmp_path / "a.npz")["z"], served("generate", seed=range(4))["z"], **CLOSE)
    # The other client says what it lacks, and its help lacks nothing.
    assert "generate" in run("grpc_client.py", "--help").stdout
    done = run("grpc_client.py", "status")
    assert done.returncode == 1 and "expected the package tensorflow-serving-api" in done.stderr


@pytest.mark.slow  # a process of its own loads TensorFlow
def test_the_grpc_client_alone_says_one_line(served, images, tmp_path):
    def run(*arguments):
        command = [sys.executable, str(TOOLS / "grpc_client.py"), *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    to = (f"--port={served.grpc}", "--timeout=120")
    np.savez(tmp_path / "a.npz", image=images[:2])
    assert run("encode", "--input=a.npz", "--output=b.npz", *to) == (0, "b.npz\n", "")
    np.testing.assert_allclose(arrays(tmp_path / "b.npz")["mean"], served("encode", image=images[:2])["mean"], **CLOSE)
    code, out, err = run("status", "--version=9", *to)
    assert (code, out) == (1, "")
    assert err == f"error: 127.0.0.1:{served.grpc}: NOT_FOUND: Servable not found for request: Specific(digits, 9)\n"


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_status_fails_while_nothing_is_available(kind, client, refusal, served, monkeypatch):
    monkeypatch.setitem(served.models.bundles, "new", {3: None})
    code, out, err = client(kind, "status", "--model=new")
    [version] = json.loads(out)["model_version_status"]
    assert code == 1 and (version["version"], version["state"]) == ("3", "LOADING")
    assert err == "error: no version of 'new' is AVAILABLE\n"
    ask = ("generate", "--seeds=1", "--output=a.npz", "--model=new")
    assert "Servable not found for request: Latest(new)" in refusal(kind, *ask)


def test_a_request_has_the_time_it_is_given(client, served, monkeypatch):
    checked(client("grpc", "generate", "--seeds=1", "--output=a.npz", "--timeout=5000"))
    assert 1000.0 < served.models.seconds_left[-1] <= 5010.0  # of long times three digits are sent, rounded up
    given, urlopen = [], urllib.request.urlopen
    monkeypatch.setattr(
        urllib.request, "urlopen", lambda url, *, timeout: given.append(timeout) or urlopen(url, timeout=timeout)
    )
    checked(client("rest", "generate", "--seeds=1", "--output=a.npz", "--timeout=5000"))
    assert given == [5000.0] * 2  # what the model's inputs are, and the request
