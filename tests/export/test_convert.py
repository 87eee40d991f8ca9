import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.export.conftest import NUM_SAMPLES, arguments
from tests.export.test_parts import LIKELIHOODS, Traced
from tests.helpers import needs, small_vae
from tests.tools.inside import run_inside
from tfvae.errors import InputError
from tfvae.export import convert as convert_lib
from tfvae.export.convert import DEFAULT, FORMATS, convert

ROOT = pathlib.Path(__file__).parents[2]
RUNTIMES = {"litert": "ai_edge_litert", "onnx": "onnxruntime"}


@pytest.fixture(scope="module", params=FORMATS)
def converted(request, binary, tmp_path_factory):
    """A format, and the folder of the conversion of a binary model."""
    to = request.param
    needs(*FORMATS[to].packages, RUNTIMES[to])
    folder = tmp_path_factory.mktemp(to) / "new" / "folder"
    convert(binary.path, to, str(folder))
    return to, folder


def run(to, folder, name, given):
    """What a runtime apart from TensorFlow gives for a file."""
    file = str(folder / name) + FORMATS[to].suffix
    if to == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        return dict(zip([output.name for output in session.get_outputs()], session.run(None, given), strict=True))
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=file)
    for detail in interpreter.get_input_details():
        key = detail["name"].partition(":")[0].removeprefix(f"{name}_")
        interpreter.resize_tensor_input(detail["index"], given[key].shape)
    interpreter.allocate_tensors()
    return interpreter.get_signature_runner(name)(**given)


def same(found, expected, tolerance=1e-5):
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype
        np.testing.assert_allclose(found[key], value, rtol=tolerance, atol=tolerance, err_msg=key)


@pytest.mark.parametrize("name", DEFAULT)
def test_other_runtimes_give_the_same_numbers(binary, converted, name):
    to, folder = converted
    given = {key: value.numpy() for key, value in arguments(binary, name, 5).items()}  # grey, which is drawn
    if "image" in given:
        given["image"][1:4, 0, 0, 0] = np.nan, np.inf, 1.5
    for rows in (1, 3, 5):
        part = {key: value[:rows] for key, value in given.items()}
        expected = binary(name, **{key: tf.constant(value) for key, value in part.items()})
        assert "valid" not in expected or expected["valid"].tolist() == [True, False, False, False, True][:rows]
        same(run(to, folder, name, part), expected)


def test_the_folder(binary, converted):
    to, folder = converted
    facts = json.loads((folder / "conversion.json").read_text())
    assert sorted(os.listdir(folder)) == sorted(["conversion.json", *(one + FORMATS[to].suffix for one in DEFAULT)])
    assert os.listdir(folder.parent) == ["folder"]
    assert facts["format"] == to and facts["source"]["folder"] == "normal-bernoulli-mlp/1"
    assert facts["tools"]["tensorflow"] == tf.__version__ and set(FORMATS[to].packages) < set(facts["tools"])
    score = facts["signatures"]["score_noise"]
    assert score["file"] == "score_noise" + FORMATS[to].suffix and 0 < score["largest_difference"] < 1e-5
    assert score["inputs"]["noise"] == {"dtype": "float32", "shape": [None, NUM_SAMPLES, 2]}
    assert facts["refused"] == {}
    for file in folder.iterdir():
        content = file.read_bytes()
        for word in (str(ROOT), str(folder.parent), os.path.dirname(binary.path), "/tmp"):
            assert word.encode() not in content, f"{word} in {file.name}"


# Exports of other kinds ----------------------------------------------------------


def save(folder, functions, **item):
    """A SavedModel with a card, as little of an export as a conversion needs."""
    module = tf.Module()
    module.model_variables = list({v.ref(): v for one in functions.values() for v in one.variables}.values())
    tf.saved_model.save(module, str(folder), signatures=functions)
    tensors = lambda specs: {spec.name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()} for spec in specs}  # noqa: E731
    signatures = {
        name: {"inputs": tensors(one.structured_input_signature[0]), "outputs": {}} for name, one in functions.items()
    }
    card = {"name": "hand-made", "folder": "hand-made/1", "version": 1, "item": item, "signatures": signatures}
    (folder / "model_card.json").write_text(json.dumps(card))
    return str(folder)


def function(run, **shapes):
    specs = [tf.TensorSpec(shape, tf.int64 if key == "seed" else tf.float32, key) for key, shape in shapes.items()]
    return tf.function(run, input_signature=specs, autograph=False).get_concrete_function()


@pytest.fixture(scope="module")
def free(tmp_path_factory):
    """An export for any K: what a server that merges no requests gets."""
    functions = {
        "generate": function(lambda seed: {"z": tf.cast(seed, tf.float32)[:, None] * [[0.1, 0.2]]}, seed=[None]),
        "decode_sample": function(lambda z: {"vector": 2.0 * z}, z=[None, 2]),
        "score_noise": function(
            lambda vector, noise: {"elbo": tf.reduce_mean(tf.square(vector[:, None] - noise), axis=[1, 2])},
            vector=[None, 2], noise=[None, None, 2],
        ),
    }  # fmt: skip
    return save(
        tmp_path_factory.mktemp("free") / "1", functions, name="vector", shape=[2], range=[None, None], step=0.0
    )


@pytest.mark.parametrize("num_samples", [None, 7])
@pytest.mark.parametrize("to", FORMATS)
def test_k_can_be_fixed(free, to, num_samples, tmp_path):
    needs(*FORMATS[to].packages, RUNTIMES[to])
    facts = convert(free, to, str(tmp_path), signatures=["score_noise"], num_samples=num_samples)
    assert facts["signatures"]["score_noise"]["inputs"]["noise"]["shape"] == [None, num_samples, 2]
    rng, vector = np.random.default_rng(0), np.float32([[1, 2], [3, 4], [0, 0]])
    for samples in (7, 6):
        noise = rng.normal(size=(3, samples, 2)).astype(np.float32)
        given = {"vector": vector, "noise": noise}
        if to == "onnx" and num_samples and samples != num_samples:
            with pytest.raises(Exception, match="Got: 6 Expected: 7"):
                run(to, tmp_path, "score_noise", given)
        elif num_samples in (None, samples):
            expected = np.square(vector[:, None] - noise).mean(axis=(1, 2))
            same(run(to, tmp_path, "score_noise", given), {"elbo": expected})


def test_a_bag_of_words_has_no_draws(tmp_path):
    traced = Traced(small_vae((4,), likelihood=LIKELIHOODS["multinomial"]))
    functions = {name: traced[name] for name in ("decode", "encode", "generate")}
    path = save(tmp_path / "1", functions, name="vector", shape=[4], range=[0.0, None], step=1.0)
    facts = convert(path, "litert", str(tmp_path / "new"))
    assert facts["signatures"].keys() == {"encode", "decode"} and not facts["refused"]
    card, loaded = convert_lib.open_export(path)
    one, three = (request["vector"] for request in convert_lib._requests(loaded.signatures, "encode", card, {}))
    assert one.shape == (1, 4) and three.shape == (3, 4)
    assert np.isnan(three[1, 0]) and np.isfinite(np.delete(three, 4)).all()
    assert (one == np.round(one)).all() and (one >= 0).all() and one.any()


def test_helpers_that_are_missing(free, tmp_path, monkeypatch):
    loaded = convert_lib.open_export(free)[1]
    loaded.signatures = {"score_noise": loaded.signatures["score_noise"]}
    monkeypatch.setattr(tf.saved_model, "load", lambda path: loaded)
    with pytest.raises(InputError, match="^--saved_model: received an export without the signature 'generate', which "):
        convert(free, "litert", str(tmp_path / "new"))
    assert not os.listdir(tmp_path)


# The script ------------------------------------------------------------------------


def test_the_script(binary, tmp_path, monkeypatch):
    program = [str(ROOT / "tools" / "convert.py"), f"--saved_model={binary.path}", "--to=litert"]
    done = run_inside([*program, "--signatures=decode"], tmp_path, monkeypatch)
    assert done.returncode == 0, done.stderr
    first, folder = done.stdout.splitlines()
    assert first.startswith("decode.tflite: differs by ") and folder == "normal-bernoulli-mlp-1-litert"
    assert sorted(os.listdir(tmp_path / folder)) == ["conversion.json", "decode.tflite"]
    again = run_inside([*program, "--signatures=decode"], tmp_path, monkeypatch)
    refused = run_inside([*program, "--signatures=score", "--output=other"], tmp_path, monkeypatch)
    for result, flag in ((again, "output"), (refused, "signatures")):
        assert result.returncode == 1 and not result.stdout
        assert result.stderr.startswith(f"error: --{flag}: received ") and result.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == [folder]
