"""What `tfvae.export.convert` refuses, and what it leaves behind then."""

import dataclasses
import json
import os
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.export.conftest import NUM_SAMPLES
from tests.export.test_convert import ROOT, function
from tests.helpers import needs
from tests.tools.inside import run_inside
from tfvae.errors import InputError
from tfvae.export import convert as convert_lib
from tfvae.export.convert import DEFAULT, FORMATS, convert, difference_of


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
        ({"num_samples": 3}, f"^--num_samples: received 3, expected {NUM_SAMPLES} or none, as the noise of the "),
        ({"output": "."}, "^--output: received '.', which is there, expected a new folder$"),
        (
            {"saved_model": "."},
            "^--saved_model: received '.', which holds no saved_model.pb, expected a version of an ",
        ),
        ({"signatures": ["prior", "generate"]}, r"'generate', which cannot become LiteRT: it draws noise .*Bitcast\)$"),
        ({"signatures": ["score_bytes"]}, r"'score_bytes', which cannot become LiteRT: it reads encoded data"),
        ({"signatures": ["score"], "to": "onnx"}, "'score', which cannot become ONNX: it draws "),
    ],
)
def test_refusals(binary, quick, tmp_path, monkeypatch, settings, message):
    needs(*FORMATS[settings["to"]].packages if settings.get("to") in FORMATS else ())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match=message):
        convert(**{"saved_model": binary.path, "to": "litert"} | settings)
    assert os.listdir(tmp_path) == ["other"]


@pytest.mark.parametrize("to", FORMATS)
def test_the_op_that_is_lacking_is_named(to):
    needs(*FORMATS[to].packages)
    score = function(lambda x: {"y": tf.math.erfc(x)}, x=[None])
    with pytest.raises(convert_lib.RefusedError, match="^it cannot do Erfc$"):
        convert_lib.content_of(score, "score", FORMATS[to])


def test_a_fault_of_ours_is_no_refusal(monkeypatch):
    monkeypatch.setattr(convert_lib, "portable", lambda *args, **kwargs: {}["no such key"])
    with pytest.raises(KeyError):
        convert_lib.content_of(None, "score", FORMATS["litert"])


def test_a_package_that_is_missing(binary, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(
        InputError, match=r"^--to: received 'onnx', which needs .* tf2onnx: pip install tfvae\[convert\]$"
    ):
        convert(binary.path, "onnx", str(tmp_path / "new"))
    assert not os.listdir(tmp_path)


@pytest.fixture
def faulty(binary, monkeypatch):
    """Makes LiteRT a format that gives the SavedModel's numbers, but cannot hold some signatures."""

    def lacks(*names):
        def content(function, name):
            if name in names:
                raise ValueError("Some ops are not supported\nFlex/Custom ops: Igamma, Digamma")
            return b"content"

        same = lambda content, name, given: binary(name, **given)  # noqa: E731
        monkeypatch.setitem(FORMATS, "litert", dataclasses.replace(FORMATS["litert"], convert=content, run=same))

    return lacks


LACKING = "it cannot do Digamma, Igamma"


def test_what_is_refused_is_told_and_the_rest_written(binary, quick, faulty, tmp_path, monkeypatch):
    faulty("encode", "score_noise")
    program = [str(ROOT / "tools" / "convert.py"), f"--saved_model={binary.path}", "--to=litert", "--output=new"]
    done = run_inside(program, tmp_path, monkeypatch)
    assert done.returncode == 0
    assert done.stderr == f"refused: encode: {LACKING}\nrefused: score_noise: {LACKING}\n"
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        "decode.tflite",
        "reconstruct.tflite",
        "new",
    ]
    facts = json.loads((tmp_path / "new" / "conversion.json").read_text())
    assert facts["refused"] == {"encode": LACKING, "score_noise": LACKING}
    assert facts["signatures"].keys() == {"decode", "reconstruct"}
    assert sorted(os.listdir(tmp_path / "new")) == ["conversion.json", "decode.tflite", "reconstruct.tflite"]
    given = run_inside([*program[:-1], "--output=other", "--signatures=decode,encode"], tmp_path, monkeypatch)
    assert given.returncode == 1 and os.listdir(tmp_path) == ["new"]
    assert given.stderr == f"error: --signatures: received 'encode', which cannot become LiteRT: {LACKING}\n"


def test_nothing_converts(binary, quick, faulty, tmp_path):
    faulty(*DEFAULT)
    reasons = "; ".join(f"'{name}': {LACKING}" for name in DEFAULT)
    with pytest.raises(InputError, match=f", none of whose signatures can become LiteRT: {reasons}$"):
        convert(binary.path, "litert", str(tmp_path / "new"))
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
