import dataclasses
import json
import os
import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.export.conftest import arguments
from tests.export.test_parts import LIKELIHOODS, PRIORS, SIZE, Traced
from tests.helpers import small_vae
from tests.tools.inside import run_inside
from tfvae import networks, posteriors, priors
from tfvae.errors import InputError
from tfvae.export import convert as convert_lib
from tfvae.export import portable
from tfvae.export.convert import DEFAULT, FORMATS, convert, difference_of
from tfvae.kinds import Posterior

ROOT = pathlib.Path(__file__).parents[2]
RUNTIMES = {"litert": "ai_edge_litert", "onnx": "onnxruntime"}


@pytest.fixture(scope="module", params=FORMATS)
def converted(request, binary, tmp_path_factory):
    """A format, and the folder of the conversion of a binary model."""
    to = request.param
    pytest.importorskip(RUNTIMES[to], reason=f"{RUNTIMES[to]} is not installed")
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
        if name == "score_noise":
            part["noise"] = np.random.default_rng(rows).normal(size=(rows, 2 * rows, 2)).astype(np.float32)
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
    assert score["inputs"]["noise"] == {"dtype": "float32", "shape": [None, None, 2]}
    for file in folder.iterdir():
        content = file.read_bytes()
        for word in (str(ROOT), str(folder.parent), os.path.dirname(binary.path), "/tmp"):
            assert word.encode() not in content, f"{word} in {file.name}"


@pytest.mark.parametrize("to", [pytest.param("litert", marks=pytest.mark.slow), "onnx"])
def test_k_can_be_fixed(binary, to, tmp_path):
    pytest.importorskip(RUNTIMES[to], reason=f"{RUNTIMES[to]} is not installed")
    facts = convert(binary.path, to, str(tmp_path), signatures=["score_noise"], num_samples=7)
    assert facts["signatures"]["score_noise"]["inputs"]["noise"]["shape"] == [None, 7, 2]
    given = {key: value.numpy() for key, value in arguments(binary, "score_noise", 3).items()}
    given["noise"] = np.random.default_rng(0).normal(size=(3, 7, 2)).astype(np.float32)
    same(run(to, tmp_path, "score_noise", given), binary("score_noise", **given))
    if to == "onnx":
        with pytest.raises(Exception, match="Got: 6 Expected: 7"):
            run(to, tmp_path, "score_noise", given | {"noise": given["noise"][:, :6]})


# Ops that a format lacks -----------------------------------------------------------

POINTS = np.concatenate([np.logspace(-30, 3, 67), [0.5, 1.0, 2.0, 7.999, 8.0]]).astype(np.float32)
SIGNED = np.concatenate([-POINTS[POINTS < 80], [0.0], POINTS[POINTS < 80]]).astype(np.float32)
MATRIX = np.random.default_rng(0).normal(size=(2, 3, 3)).astype(np.float32)
REPLACED = {
    "BroadcastArgs": lambda op: op(s0=tf.constant([2, 1, 3]), s1=tf.constant([4, 1])),
    "Cosh": lambda op: op(x=SIGNED),
    "EnsureShape": lambda op: op(input=POINTS, shape=[None]),
    "Expm1": lambda op: op(x=SIGNED),
    "Lgamma": lambda op: op(x=POINTS),
    "Log1p": lambda op: op(x=np.concatenate([POINTS, [-0.99, -0.5, -1e-4, -1e-20]]).astype(np.float32)),
    "MatrixDiagPartV3": lambda op: op(input=MATRIX, k=0, padding_value=0.0),
    "MatrixDiagV3": lambda op: op(diagonal=MATRIX[0], k=0, num_rows=-1, num_cols=-1, padding_value=0.0),
    "MatrixSetDiagV3": lambda op: op(input=MATRIX, diagonal=MATRIX[:, 0], k=0),
    "MulNoNan": lambda op: op(x=tf.constant([2.0, np.nan, np.inf]), y=tf.constant([3.0, 0.0, 0.0])),
    "Sigmoid": lambda op: op(x=SIGNED),
    "SparseSoftmaxCrossEntropyWithLogits": lambda op: op(features=10.0 * MATRIX[0], labels=[2, 0, 1]),
    "Xlogy": lambda op: op(x=tf.constant([0.0, 2.0]), y=tf.constant([0.0, 3.0])),
}


@pytest.mark.parametrize("op", sorted(portable.LITERT | portable.ONNX))
def test_what_takes_the_place_of_an_op(op):
    replacement = (portable.LITERT | portable.ONNX)[op]

    def other(**inputs):
        return replacement(*map(tf.convert_to_tensor, list(inputs.values())[: 1 if op == "EnsureShape" else None]))

    expected, found = (tuple(REPLACED[op](one)) for one in (getattr(tf.raw_ops, op), other))
    for one, value in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, value, rtol=2e-6, atol=2e-6)
    if op in ("Expm1", "Log1p", "Sigmoid"):  # which are there for their digits about 0
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("to", FORMATS)
def test_small_probabilities_keep_their_digits(to):
    function = tf.function(
        lambda x: {"y": tf.math.sigmoid(x)}, input_signature=[tf.TensorSpec([None], tf.float32, "x")]
    )
    content = FORMATS[to].convert(portable.portable(function.get_concrete_function(), FORMATS[to].replaced), "chance")
    found = FORMATS[to].run(content, "chance", {"x": SIGNED})["y"]
    np.testing.assert_allclose(found, 1.0 / (1.0 + np.exp(-SIGNED.astype(float))), rtol=1e-5, atol=0)


# What a format cannot hold ---------------------------------------------------------

# Of parts: the signatures of `DEFAULT` that cannot become LiteRT, and those that cannot become ONNX.
PHI, ALL, SCORE = (["score_noise"],) * 2, (["encode", "score_noise"],) * 2, ["score_noise"]
REFUSED = {
    "categorical": (SCORE, []), "discretized_logistic": (SCORE, ["decode"]),
    "dirichlet": ALL, "gamma": ALL, "student_t": ALL,
    "exponential": PHI, "gumbel": PHI, "kumaraswamy": PHI, "laplace": PHI, "logistic": PHI, "weibull": PHI,
    "recurrent": (["decode", *ALL[0]], []),
}  # fmt: skip


def _parts():
    for tag, likelihood in LIKELIHOODS.items():
        yield tag, {"likelihood": likelihood}
    for tag, cls in sorted(Posterior.registry.items()):
        prior = PRIORS.get(cls.support, priors.StandardNormal())
        yield tag, {"posterior": getattr(posteriors, cls.__name__)(), "prior": prior}
    yield "recurrent", {"network": networks.Recurrent()}
    yield "labels", {"num_labels": 3}


@pytest.mark.slow
@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize(("tag", "parts"), [pytest.param(*one, id=one[0]) for one in _parts()])
def test_every_part(tag, parts, to):
    shape, kind = (SIZE, SIZE, 1) if tag == "recurrent" else (SIZE,), FORMATS[to]
    vae = small_vae(shape, **parts)
    traced = Traced(vae)
    traced.served = type(traced.served)(vae, shape, 3)
    given = {"label": np.array([0, 1, 2]), "seed": np.arange(3)}
    call = lambda name: traced[name](**{key: tf.constant(given[key]) for key in _inputs(traced[name])})  # noqa: E731
    given["z"] = call("generate")["z"].numpy()
    given[traced.served.item_name] = np.ones((3, *shape), np.float32)
    given["noise"] = np.random.default_rng(0).normal(size=(3, 5, vae.latent_size)).astype(np.float32)
    refused = []
    for name in ("decode", "encode", "score_noise"):
        expected = {key: value.numpy() for key, value in call(name).items()}
        try:
            content = kind.convert(portable.portable(traced[name], kind.replaced), name)
        except Exception:
            refused.append(name)
            continue
        found = kind.run(content, name, {key: given[key] for key in _inputs(traced[name])})
        assert max(difference_of(found[key], value) for key, value in expected.items()) < 1e-5
    assert refused == REFUSED.get(tag, ([], []))[list(FORMATS).index(to)]


def _inputs(function):
    positional, named = function.structured_input_signature
    return [spec.name for spec in [*positional, *named.values()]]


# Refusals ------------------------------------------------------------------------


@pytest.fixture
def quick(binary, monkeypatch):
    """Loads nothing: the export is loaded already."""
    monkeypatch.setattr(tf.saved_model, "load", lambda path: binary.loaded[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"to": "coreml"}, "^--to: received 'coreml', expected one of: litert, onnx$"),
        (
            {"signatures": ["encode", "code"]},
            "^--signatures: received 'code', which the export has not: expected some ",
        ),
        ({"signatures": []}, "^--signatures: received none, expected some of: complete, decode, "),
        ({"signatures": ["encode"], "num_samples": 3}, "^--num_samples: received 3, expected 'score_noise' among "),
        ({"output": "."}, "^--output: received '.', which is there, expected a new folder$"),
        (
            {"saved_model": "."},
            "^--saved_model: received '.', which holds no saved_model.pb, expected a version of an ",
        ),
        ({"signatures": ["prior", "generate"]}, r"'generate', which cannot become LiteRT: it draws noise .*Bitcast\)$"),
        ({"signatures": ["score_bytes"]}, r"'score_bytes', which cannot become LiteRT: it reads encoded data"),
        ({"signatures": ["serving_default"], "to": "onnx"}, "'serving_default', which cannot become ONNX: it draws "),
    ],
)
def test_refusals(binary, quick, tmp_path, monkeypatch, settings, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match=message):
        convert(**{"saved_model": binary.path, "to": "litert"} | settings)
    assert os.listdir(tmp_path) == ["other"]


@pytest.mark.parametrize("to", FORMATS)
def test_the_op_that_is_lacking_is_named(to):
    kind = FORMATS[to]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def score(x):
        return {"y": tf.math.erfc(x)}

    with pytest.raises(InputError, match=f"'score', which cannot become {kind.title}: it cannot do Erfc$"):
        convert_lib._converted({"score": score.get_concrete_function()}, "score", kind, {}, {})


def test_a_package_that_is_missing(binary, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(
        InputError, match=r"^--to: received 'onnx', which needs .* tf2onnx: pip install tfvae\[convert\]$"
    ):
        convert(binary.path, "onnx", str(tmp_path / "new"))
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("factor", [1 + 5e-5, 1 + 2e-4, np.nan])
def test_other_numbers_are_refused(binary, quick, tmp_path, monkeypatch, factor):
    """A format that holds nothing, and gives the SavedModel's numbers, but for a factor."""
    off = lambda content, name, given: {k: v * np.float32(factor) for k, v in binary(name, **given).items()}  # noqa: E731
    kind = dataclasses.replace(FORMATS["litert"], convert=lambda function, name: b"", run=off)
    monkeypatch.setitem(FORMATS, "litert", kind)
    if factor == 1 + 5e-5:
        facts = convert(binary.path, "litert", str(tmp_path / "new"), signatures=["decode"])
        assert 2e-5 < facts["signatures"]["decode"]["largest_difference"] < 6e-5
        return
    refused = r"'decode', which cannot become LiteRT: '\w+' differs by (.*e-04|inf), expected at most 0.0001: "
    with pytest.raises(InputError, match=refused):
        convert(binary.path, "litert", str(tmp_path / "new"), signatures=["decode"])
    assert not os.listdir(tmp_path)


def test_the_difference():
    zero, small, large = (np.float32([value, 1.0]) for value in (0.0, 0.25, 1000.0))
    assert difference_of(small, zero) == 0.25
    assert difference_of(large * np.float32(1.5), large) == 0.5
    assert difference_of(np.float32([1001.0]), np.float32([1000.0])) == 1e-3
    assert difference_of(np.array([True]), np.array([True])) == 0.0
    assert difference_of(np.array([True]), np.array([False])) == 1.0
    nan, infinite = np.float32([np.nan]), np.float32([np.inf])
    assert difference_of(nan, nan) == difference_of(infinite, infinite) == 0.0
    assert difference_of(nan, zero[:1]) == difference_of(infinite, -infinite) == np.inf
    assert difference_of(zero, zero[:1]) == difference_of(zero, zero.astype(float)) == np.inf


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
