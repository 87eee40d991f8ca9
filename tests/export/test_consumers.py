"""Programs outside of this project get an export's numbers, and no request harms it or the rows beside it."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tests.export.conftest import MODELS, arguments, example
from tests.helpers import needs, unproven

CONSUMER = __file__.replace("test_consumers.py", "consumer.c")

# Keras 3, whatever Keras this project takes, and then TensorFlow's own command.
PROGRAM = """
import runpy, sys
import keras, numpy as np
export, z = sys.argv[1:]
layer = keras.layers.TFSMLayer(export, call_endpoint="decode")
model = keras.Sequential([keras.Input([2]), layer])
np.savez("keras.npz", **model.predict(np.load(z), verbose=0))
assert keras.__version__ >= "3" and "tf_keras" not in sys.modules
flags = ["--tag_set=serve", "--signature_def=decode", f"--inputs=z={z}", "--outdir=cli"]
sys.argv = ["saved_model_cli", "run", f"--dir={export}", *flags]
runpy.run_module("tensorflow.python.tools.saved_model_cli", run_name="__main__")
"""


def same(found, expected, *, tolerance=1e-5):
    assert set(found) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=tolerance, atol=tolerance, err_msg=key)


def call(command, folder):
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_keras_3_and_saved_model_cli(binary, tmp_path):
    z = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    np.save(tmp_path / "z.npy", z)
    call([sys.executable, "-c", PROGRAM, binary.path, "z.npy"], tmp_path)
    expected = binary("decode", z=tf.constant(z))
    same(np.load(tmp_path / "keras.npz"), expected)
    same({file.stem: np.load(file) for file in (tmp_path / "cli").iterdir()}, expected)


def test_a_program_in_c(binary, tmp_path):
    header = os.path.join(tf.sysconfig.get_include(), "tensorflow", "c", "c_api.h")
    if not (shutil.which("gcc") and os.path.isfile(header)):
        unproven("no C compiler, or no header of TensorFlow's")
    library = tf.sysconfig.get_lib()
    names = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")
    libraries = [f"-L{library}", *(f"-l:{name}" for name in names), f"-Wl,-rpath,{library}"]
    # Where it is there this linker reads a gigabyte of library in a fifth of the time.
    libraries += ["-fuse-ld=gold"] if shutil.which("ld.gold") else []
    warnings = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
    include = ["-isystem", tf.sysconfig.get_include()]
    call(["gcc", *warnings, *include, CONSUMER, "-o", "consumer", *libraries], tmp_path)
    x = binary.items(4, binary=False)  # grey is drawn from the seeds
    x[2].flat[0] = np.nan
    x.tofile(tmp_path / "x.bin")
    lines = call(["./consumer", binary.path, *map(str, x.shape), "x.bin"], tmp_path).splitlines()
    printed = {}
    for name, key, place, value in map(str.split, lines):
        assert int(place) == len(printed.setdefault((name, key), []))
        printed[name, key].append(float(value))
    expected = {}
    for name, inputs in (("score", {"item": x}), ("generate", {})):
        found = binary(name, **inputs, seed=range(0, 28, 7))
        expected |= {(name, key): value.ravel().astype(float) for key, value in found.items()}
    assert expected["score", "valid"].tolist() == [1, 1, 0, 1]
    same(printed, expected)


# OpenVINO ------------------------------------------------------------------------

# It has no rule for the integer operations and the inverse distribution function that noise from a seed is made of, and
# none for the diagonals of a full covariance.
SEEDED, DIAGONALS = "Bitcast, Ndtri", "MatrixDiagPartV3, MatrixSetDiagV3"


@pytest.fixture
def openvino(monkeypatch):
    needs("openvino")
    # It would tell its makers of each conversion, from a fork of this process.
    monkeypatch.setitem(sys.modules, "openvino_telemetry", None)
    import openvino

    return openvino


def folder_of(exported, name, place):
    """The folder of an export; of another signature than the default, which OpenVINO takes, one where that is it."""
    if name == "serving_default":
        return exported.path
    os.mkdir(place)
    os.symlink(os.path.join(exported.path, "variables"), place / "variables")
    with open(os.path.join(exported.path, "saved_model.pb"), "rb") as file:
        content = saved_model_pb2.SavedModel.FromString(file.read())
    known = content.meta_graphs[0].signature_def
    known["serving_default"].CopyFrom(known[name])
    for other in known.keys() - {"serving_default"}:
        del known[other]
    (place / "saved_model.pb").write_bytes(content.SerializeToString())
    return str(place)


@pytest.mark.parametrize(
    "model", ["normal-bernoulli-mlp", pytest.param("normal-gaussian-convolutional", marks=pytest.mark.slow)]
)
def test_openvino_reads_the_folder(exports, openvino, tmp_path, model):
    exported, core = exports(model), openvino.Core()
    for name in ("serving_default", "encode", "decode", "score_noise"):
        given = {key: value.numpy() for key, value in arguments(exported, name, 3).items()}
        if exported.item_name in given:
            given[exported.item_name][1].flat[0] = np.nan
        read = openvino.convert_model(folder_of(exported, name, tmp_path / name))
        # By itself it computes in bfloat16 where the processor can, which shows in the third digit.
        compiled = core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        for rows in (1, 3):
            part = {key: value[:rows] for key, value in given.items()}
            found = {output.any_name: value for output, value in compiled(part).items()}
            expected = exported(name, **{key: tf.constant(value) for key, value in part.items()})
            assert "valid" not in expected or expected["valid"].tolist() == [True, False, True][:rows]
            same(found, expected, tolerance=1e-4)


@pytest.mark.parametrize(
    ("model", "name", "ops"),
    [
        ("normal-bernoulli-mlp", "generate", SEEDED),
        pytest.param("full-identity-vector", "encode", DIAGONALS, marks=pytest.mark.slow),
    ],
)
def test_what_openvino_cannot_take(exports, openvino, tmp_path, model, name, ops):
    folder = folder_of(exports(model), name, tmp_path / name)
    with pytest.raises(Exception, match=f"No conversion rule found for operations: {ops}"):
        openvino.convert_model(folder)


# Rows ----------------------------------------------------------------------------


@pytest.mark.parametrize("filling", ["zeros", "repeats"])
def test_padded_rows(binary, filling):
    """A server fills a batch up to the next size that it allows."""
    for name in sorted(binary.signatures.keys() - {"sample"}):
        given = arguments(binary, name, 3)
        padded = {}
        for key, value in given.items():
            rest = tf.repeat(value[:1], 5, axis=0)
            padded[key] = tf.concat([value, tf.zeros_like(rest) if filling == "zeros" else rest], axis=0)
        found = {key: value[:3] for key, value in binary(name, **padded).items()}
        same(found, binary(name, **given), tolerance=1e-4)


# Requests of any kind ------------------------------------------------------------

NUMBERS = [np.nan, np.inf, -np.inf, 1e38, -1e38, 3e38, 1e-45, -0.5, 1.5, 0.25]
SEEDS = [-1, -(2**63), 2**63 - 1, 2**32, 0]
COUNTS = [-(2**63), -1, 0, 1, 3, 10_001, 2**31, 2**63 - 1]
REFUSED = (tf.errors.OpError, TypeError, ValueError)
CLEANED = {"encode", "encode_sample", "reconstruct", "generate", "regress"}  # and what has `valid`


def spoilt_bytes(rng, exported, good):
    """A file or a `tf.train.Example` that is cut off, damaged, of another kind, or no such thing."""
    noise, flipped = rng.bytes(int(rng.integers(0, 200))), bytearray(good)
    flipped[int(rng.integers(len(good)))] ^= 255
    choices = [b"", noise, good[: int(rng.integers(len(good)))], bytes(flipped), b"\x89PNG\r\n\x1a\n" + noise]
    choices += [b"\xff\xd8\xff" + noise]
    other = np.zeros((3, 4, 3), np.uint8)
    choices += [tf.io.encode_png(other).numpy(), tf.io.encode_jpeg(other).numpy()]
    choices += [good[:16] + b"\x7f\xff\xff\xff\x7f\xff\xff\xff" + good[24:]]  # of a PNG: its sides
    choices += [example("other", np.zeros(3)), example(exported.item_name, rng.choice(NUMBERS, 7))]
    choices += [example(exported.item_name, rng.choice(NUMBERS, exported.item_shape))]
    return choices[int(rng.integers(len(choices)))]


def spoilt(rng, exported, value):
    """Rows that may be anything of the right shape and type."""
    value = value.copy()
    for row in range(len(value)):
        if value.dtype == object:
            value[row] = spoilt_bytes(rng, exported, value[row])
        elif value.dtype == np.int64:
            value[row] = rng.choice(SEEDS)
        elif value.dtype == bool:
            value[row] = rng.random(value[row].shape) < rng.choice([0.0, 0.5, 1.0])
        else:
            share = rng.choice([0.1, 1.0])
            drawn = rng.choice(NUMBERS, value[row].shape).astype(np.float32)
            value[row] = np.where(rng.random(value[row].shape) < share, drawn, value[row])
    return value


def misshapen(rng, inputs):
    """Inputs of which one is missing, too many, or of another shape or type."""
    key = str(rng.choice(sorted(inputs)))
    value = inputs[key]
    ways = [
        lambda: {k: v for k, v in inputs.items() if k != key},
        lambda: inputs | {"another": value},
        lambda: inputs | {key: value[..., None]},
        lambda: inputs | {key: value.ravel() if value.ndim > 1 else value[..., None, None]},
        lambda: inputs | {key: np.concatenate([value, value]) if value.ndim else value[None]},
        lambda: inputs | {key: np.concatenate([value, value], axis=-1) if value.ndim > 1 else value[None]},
        lambda: inputs | {key: value.astype(np.complex64) if value.dtype != object else np.zeros(len(value))},
        lambda: inputs | {key: np.full(value.shape, "text") if value.dtype != object else value[:, None]},
        lambda: inputs | {key: None},
    ]
    return ways[int(rng.integers(len(ways)))]()


def unfit(exported, name, inputs):
    """Which rows have a number that is none of the likelihood's, where it is looked at."""
    item = inputs.get(exported.item_name, np.zeros([len(next(iter(inputs.values())))]))
    support = exported.vae.support
    bad = ~((item >= support.low) & (item <= support.high) & np.isfinite(item))
    return (bad & (inputs["mask"] if name == "complete" else True)).any(axis=tuple(range(1, bad.ndim)))


def fuzz(exported, seed, count):
    """Sends requests; returns how many were refused, and how many gave numbers."""
    rng, refused, given_out, alone = np.random.default_rng(seed), 0, 0, {}
    names = sorted(exported.signatures)
    for _ in range(count):
        name, rows = str(rng.choice(names)), int(rng.integers(0, 5))
        inputs = {key: value.numpy() for key, value in arguments(exported, name, rows).items()}
        run = exported.signatures[name]
        if name == "sample":
            inputs = {"n": np.int64(rng.choice(COUNTS)), "seed": np.int64(rng.choice(SEEDS))}
        else:
            inputs = {key: np.concatenate([v[:1], spoilt(rng, exported, v[1:])]) for key, v in inputs.items()}
        free = name == "score_noise" and run.structured_input_signature[1]["noise"].shape[1] is None
        no_noise = free and rng.random() < 0.3  # K = 0
        if no_noise:
            inputs["noise"] = inputs["noise"][:, :0]
        formed = rng.random() < 0.6
        if not formed:
            inputs = misshapen(rng, {key: np.asarray(value) for key, value in inputs.items()})
        try:
            outputs = {key: value.numpy() for key, value in run(**inputs).items()}
        except REFUSED:
            assert not formed or (name == "sample" and not 0 <= inputs["n"] <= 10_000), (name, inputs)
            refused += 1
            continue
        given_out += 1
        if "valid" in outputs or name in CLEANED:
            assert all(np.isfinite(value).all() for value in outputs.values()), (name, inputs)
        if not formed or name == "sample":
            continue
        if "valid" in outputs:
            assert not outputs["valid"][no_noise | unfit(exported, name, inputs)].any(), (name, inputs)
        if rows and not no_noise:
            if name not in alone:
                alone[name] = {key: value.numpy() for key, value in run(**arguments(exported, name, 1)).items()}
            same({key: value[:1] for key, value in outputs.items()}, alone[name], tolerance=1e-4)
    return refused, given_out


def before(operation):
    """The types of the operations that one waits for, and the names of those without inputs."""
    found, waiting = set(), [operation]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += [tensor.op for tensor in one.inputs] + list(one.control_inputs)
    return {one.type for one in found}, {one.name for one in found if not one.inputs}


def test_no_memory_is_asked_for_before_n_is_checked(binary):
    """Ops of a graph run in any order else: then some requests would ask for what no machine has."""
    graph = convert_variables_to_constants_v2(binary.signatures["sample"]).graph
    ranges = [before(operation) for operation in graph.get_operations() if operation.type in ("Range", "Fill")]
    counted = [types for types, names in ranges if "n" in names]
    assert counted and all("Assert" in types for types in counted)


def test_any_request(binary):
    refused, given_out = fuzz(binary, 0, 300)
    assert refused > 50 and given_out > 150


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_any_request_of_many(exports, model):
    refused, given_out = fuzz(exports(model), 1, 10_000 // len(MODELS))
    assert refused > 300 and given_out > 1_000
