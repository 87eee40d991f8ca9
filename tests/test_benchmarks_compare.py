"""`benchmarks/compare.py`: its ratios, its report, sides that fail, and our side in miniature."""

import importlib
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tf_keras
from absl import flags
from absl.testing import flagsaver

from tfvae import data
from tfvae.config import DataConfig
from tfvae.errors import InputError

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"
NAMES = ("compare", "compare_report", "compare_sides", "compare_data", "compare_networks", "workers")
KEYS = {
    "w1_fastest_peer", "w1_pythae", "w1_keras3", "w1_tf_keras_fit", "w1_floor",
    "w2_fastest_peer", "w2_keras3", "w2_pythae", "w3_pythae", "w3_floor",
}  # fmt: skip


@pytest.fixture
def modules(monkeypatch):
    """The modules of the benchmark by their names, as its script imports them."""
    monkeypatch.syspath_prepend(str(FOLDER))
    with flagsaver.flagsaver():  # the script defines flags
        yield {name: importlib.import_module(name) for name in NAMES}
        for name in NAMES:
            del sys.modules[name]


@pytest.fixture
def report(modules):
    return modules["compare_report"]


# Ratios -------------------------------------------------------------------------


def answer(seconds, *, images=1000, **more):
    return {"images": images, "seconds": seconds} | more


def part(report, *rounds, **more):
    """What a part of training is, of rounds of answers by side."""
    return {
        "date": "2001-02-03",
        "machine": {"cores": 3, "processor": "a processor", "memory_gb": 7, "python": "3.0"},
        "rounds": list(rounds), "missing": {}, "versions": {}, "data": "pictures", "sides": report.sides_of(rounds),
    } | more  # fmt: skip


def test_a_ratio_is_the_median_of_the_ratios_of_rounds(report):
    """2, 3 and 4 times: the medians of the paces, 500 and 100, would say 5."""
    rounds = [
        {"tfvae": answer(1.0), "torch": answer(2.0)},
        {"tfvae": answer(2.0, loss=7.5), "torch": answer(10.0)},
        {"tfvae": answer(10.0, loss=6.5), "torch": answer(30.0)},
    ]
    rounds[1]["torch"]["seconds"] = 8.0
    found = report.sides_of(rounds)
    assert found["torch"]["ratio"] == {"median": 3.0, "lowest": 2.0, "highest": 4.0}
    assert found["tfvae"]["items_per_second"] == {"median": 500.0, "lowest": 100.0, "highest": 1000.0}
    assert found["tfvae"]["loss"] == 6.5 and "ratio" not in found["tfvae"] and "loss" not in found["torch"]


def test_a_side_that_takes_its_own_time_counts_by_it_and_images_need_not_be_as_many(report):
    rounds = [{"tfvae": answer(9.0, measured_seconds=0.5), "flax": answer(1.0, images=100)}]
    assert report.sides_of(rounds)["flax"]["ratio"]["median"] == pytest.approx(2000.0 / 100.0)


def test_each_ratio_is_that_to_the_fastest_of_its_sides(report):
    sides = {"tfvae": 1.0, "pythae": 8.0, "keras3": 3.0, "keras3_no_jit": 2.0, "torch": 4.0, "floor": 0.5}
    w1 = part(report, {name: answer(seconds) for name, seconds in sides.items()})
    w3 = part(report, {"tfvae": {"decodes": 10, "seconds": 1.0}, "floor": {"decodes": 30, "seconds": 1.0}})
    found = report.ratios({"w1": w1, "w3": w3})
    assert set(found["ratios"]) == set(found["ratio_spreads"]) == set(found["compared_with"]) == KEYS
    assert {name: value for name, value in found["ratios"].items() if value is not None} == {
        "w1_fastest_peer": 2.0, "w1_pythae": 8.0, "w1_keras3": 2.0, "w1_floor": 0.5, "w3_floor": pytest.approx(1 / 3),
    }  # fmt: skip
    # The floor is no peer, though it is faster than all.
    assert found["compared_with"]["w1_fastest_peer"] == found["compared_with"]["w1_keras3"] == "keras3_no_jit"
    assert found["compared_with"]["w2_pythae"] is None and found["ratio_spreads"]["w1_floor"]["lowest"] == 0.5


def test_the_report_says_what_was_measured_and_what_is_missing(report):
    rounds = [
        {
            "tfvae": answer(1.0, measured_seconds=0.5, loss=99.25, checkpoint_seconds=0.25, all_images=1000),
            "torch": answer(2.0, loss=98.5),
        }
    ]
    versions = {"torch": {"torch": "4.5.6", "threads": 2}, "one": {"jax": "1"}, "two": {"jax": "2"}}
    w1 = part(report, *rounds, missing={"flax": "did not end in 5 s"}, versions=versions)
    result = report.ratios({"w1": w1}) | {"w1": w1}
    text = report.readme(result)
    assert "| PyTorch, eager | 4.00 (4.00 to 4.00) | 500 (500 to 500) | 1,000 | 98.50 |" in text
    assert "| flax and optax, a scanned epoch | did not end in 5 s |" in text
    assert "0.25 s an epoch" in text and "their losses are -0.8 to -0.8 % of tfvae's" in text
    assert "makes\n1,000 images/s" in text and "| tfvae |  | 2,000 (2,000 to 2,000) | 1,000 | 99.25 |" in text
    assert "| `w1_fastest_peer` | torch (without flax) | 4.00 (4.00 to 4.00) | 1.15 | reached |" in text
    assert "| `w2_keras3` | not measured |  | 1.15 |  |" in text
    assert (
        "on 3 cores (a processor), 7 GB; Python 3.0, jax 1 (one), jax 2 (two), torch 4.5.6." in text
        and "## W2" not in text
    )


@pytest.mark.parametrize(("seconds", "word"), [(1.14, "not reached"), (1.15, "reached")])
def test_a_goal_is_reached_by_the_median_alone(report, seconds, word):
    rounds = [{"tfvae": answer(1.0), "torch": answer(value)} for value in (1.0, seconds, 9.0)]
    result = report.ratios({"w1": part(report, *rounds)})
    assert f"| 1.15 | {word} |" in report._summary(result)
    assert set(report.GOALS) == KEYS


def test_the_committed_result_has_all_ratios(report):
    folder = ROOT / "docs" / "results" / "performance"
    if not (folder / "result.json").exists():
        pytest.skip("not measured yet")
    result = json.loads((folder / "result.json").read_text())
    assert set(result["ratios"]) == KEYS and not any(result[name]["quick"] for name in report.PARTS if name in result)
    assert report.ratios(result) == {name: result[name] for name in ("ratios", "ratio_spreads", "compared_with")}
    assert (folder / "README.md").read_text() == report.readme(result)


# Sides that take turns ----------------------------------------------------------

SERVER = """
import sys, time
from workers import serve

name = sys.argv[0].rpartition("/")[2].removesuffix(".py")
count = 0

def ready(log):
    globals()["log"] = log
    return {"version": "1.2"}

def epoch():
    global count
    count += 1
    if name == "late" and count == 2:
        time.sleep(60)
    if name == "broken" and count == 3:
        raise ValueError("no more")
    with open(log, "a") as file:
        file.write(name + " ")
    return {"images": 10, "loss": count}

serve({"ready": ready, "epoch": epoch})
"""


def test_sides_take_turns_and_one_that_fails_is_left_out_of_all_rounds(modules, tmp_path, monkeypatch):
    sides = modules["compare_sides"]

    def refuse(folder, requirements):
        raise subprocess.CalledProcessError(1, "pip")

    monkeypatch.setattr(sides, "environment", refuse)
    asked = {}
    for name in ("one", "late", "broken", "absent", "two"):
        (tmp_path / f"{name}.py").write_text(SERVER)
        home = "torch" if name == "absent" else ""
        asked[name] = sides.Side(title=name, script=str(tmp_path / f"{name}.py"), home=home)
    log = tmp_path / "log"
    found = sides.alternate(
        asked, sides.Homes(str(tmp_path), "torch"), rounds=3, ready={key: {"log": str(log)} for key in asked}, limit=3.0
    )
    told = log.read_text().split()
    assert told[:4] == ["one", "late", "broken", "two"] and told.count("broken") == 2 and told.count("late") == 1
    turns = [name for name in told[4:] if name in ("one", "two")]
    assert [sorted(turns[place : place + 2]) for place in (0, 2, 4)] == [["one", "two"]] * 3 and len({*turns[::2]}) == 2
    assert [{name: row[name]["loss"] for name in row} for row in found["rounds"]] == [
        {"one": count, "two": count} for count in (2, 3, 4)
    ]
    assert found["missing"] == {
        "absent": "could not be installed",
        "late": "epoch: did not end in 3 s",
        "broken": "epoch: the process ended without an answer: ValueError: no more",
    }
    assert found["versions"]["one"] == {"version": "1.2"}


def test_our_own_side_may_not_fail(modules, tmp_path, monkeypatch):
    sides = modules["compare_sides"]
    (tmp_path / "broken.py").write_text("raise SystemExit(3)")
    monkeypatch.setattr(sides, "OURS", sides.Side(title="tfvae", script=str(tmp_path / "broken.py")))
    with pytest.raises(RuntimeError, match="the process ended without an answer"):
        sides.alternate({"tfvae": sides.OURS}, sides.Homes("", ""), rounds=1, ready={"tfvae": {}})


@pytest.mark.parametrize(
    ("argument", "words"), [("--work=w1,w9", "--work: received w9"), ("--peers=tork", "--peers: received tork")]
)
def test_unknown_names(modules, argument, words):
    flags.FLAGS(["compare", argument])
    with pytest.raises(InputError, match=words):
        modules["compare"].main()


# Data and networks --------------------------------------------------------------


def test_records_hold_the_images_that_they_are_said_to(modules, tmp_path):
    glob = modules["compare_data"].write_records(str(tmp_path), 300)
    splits = {f"{name}_split": f"{name}.tfrecord" for name in ("train", "validation", "test")}
    found = data.load(DataConfig(source=f"tfrecord:{glob}", **splits))
    assert [found.split(name).num_examples for name in ("train", "validation", "test")] == [300, 100, 1000]
    expected = np.random.default_rng(0).integers(0, 2, (300, 784), np.uint8).reshape(300, 28, 28, 1)
    np.testing.assert_array_equal(found.train.examples(300), expected)


def test_random_images_and_those_held_out(modules, tmp_path):
    path = str(tmp_path / "x.npy")
    modules["compare_data"].write_random(path, 50, levels=2)
    images, others = np.load(path), np.load(modules["compare_data"].held_out(path))
    assert (images.shape, others.shape, images.dtype) == ((50, 784), (1100, 784), np.uint8)
    assert set(np.unique(images)) == {0, 1} and images.mean() == pytest.approx(0.5, abs=0.02)


def test_the_convolutional_network_is_that_of_the_keras_documentation(modules):
    """Its page tells of 69,076 parameters in the encoder, and of 65,089 in the decoder."""
    networks = modules["compare_networks"]
    encoder = networks.encoder((28, 28, 1), 4, policy="float32")
    decoder = networks.decoder(2, (28, 28, 1), 1, policy="float32")
    assert (encoder.count_params(), decoder.count_params()) == (69_076, 65_089)
    assert (encoder.output_shape, decoder.output_shape) == ((None, 4), (None, 784))


def test_its_last_layer_is_the_transposed_convolution_with_the_kernel_mirrored(modules):
    ours = modules["compare_networks"].decoder(2, (28, 28, 1), 1, policy="float32")
    layers = tf_keras.layers
    theirs = tf_keras.Sequential([
        layers.InputLayer((2,)),
        layers.Dense(7 * 7 * 64, activation="relu"),
        layers.Reshape((7, 7, 64)),
        layers.Conv2DTranspose(64, 3, activation="relu", strides=2, padding="same"),
        layers.Conv2DTranspose(32, 3, activation="relu", strides=2, padding="same"),
        layers.Conv2DTranspose(1, 3, padding="same"),
    ])  # fmt: skip
    rng = np.random.default_rng(0)
    *others, kernel, bias = [rng.normal(scale=0.2, size=value.shape).astype(np.float32) for value in ours.get_weights()]
    ours.set_weights([*others, kernel, bias])
    theirs.set_weights([*others, kernel[::-1, ::-1].transpose(0, 1, 3, 2), bias])
    z = rng.normal(size=(5, 2)).astype(np.float32)
    for training in (False, True):
        found, expected = ours(z, training=training), theirs(z)
        np.testing.assert_allclose(found, np.reshape(expected, (5, 784)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("words", "expected"), [("fpu avx512_bf16 sse", True), ("fpu avx512f sse", False)])
def test_bfloat16_is_known_by_the_flags_of_the_processor(modules, words, expected, tmp_path, monkeypatch):
    sides = modules["compare_sides"]
    (tmp_path / "cpuinfo").write_text(f"flags : {words}\n")
    monkeypatch.setattr(sides, "CPUINFO", str(tmp_path / "cpuinfo"))
    assert sides.has_bfloat16() is expected
    monkeypatch.setattr(sides, "CPUINFO", str(tmp_path / "nothing"))
    assert sides.has_bfloat16() is False


def test_the_tf_keras_side_counts_the_kl_once(modules, monkeypatch, tmp_path):
    """Losses alone would not tell: at the start of training the KL is next to nothing."""
    monkeypatch.syspath_prepend(str(FOLDER / "peers"))
    side = importlib.import_module("tf_keras_fit").TFKeras()
    path = str(tmp_path / "x.npy")
    modules["compare_data"].write_random(path, 100, levels=2)
    side.ready("w1", path, 100)
    x = next(iter(side.batches))[0]
    side.model(x)
    posterior = side.encoder(x)
    expected = (
        0.5
        * np.sum(np.square(posterior.mean()) + posterior.variance() - np.log(posterior.variance()) - 1.0, axis=1).mean()
    )
    assert float(sum(side.model.losses)) == pytest.approx(expected, rel=1e-5)


# In miniature -------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("work", "precision"), [("w1", "float32"), ("w2", "float32"), ("w2", "mixed_bfloat16")])
def test_our_side_trains_and_tells_what_tensorboard_was_told(modules, work, precision, tmp_path):
    path = str(tmp_path / "x.npy")
    modules["compare_data"].write_random(path, 256, levels=2)
    with modules["workers"].Worker([sys.executable, str(FOLDER / "compare_ours.py")]) as ours:
        ours.ask("ready", work=work, data=path, num_images=256, folder=str(tmp_path / "run"), precision=precision)
        first, later = ours.ask("epoch"), ours.ask("epoch", count=2, before=1)
    assert (first["images"], later["images"], later["all_images"]) == (256, 512, 768)
    assert 500.0 < later["loss"] < first["loss"] < 600.0
    assert all(0.0 < row["measured_seconds"] < row["seconds"] for row in (first, later))
    assert len(list((tmp_path / "run" / "logs" / "train").iterdir())) == 2


@pytest.mark.slow
def test_all_parts_in_miniature_without_peers_that_need_environments(tmp_path):
    command = [sys.executable, str(FOLDER / "compare.py"), "--quick", "--peers=", f"--out_dir={tmp_path}"]
    subprocess.run(command, check=True)
    result = json.loads((tmp_path / "result.json").read_text())
    measured = {name for name, value in result["ratios"].items() if value is not None}
    assert measured == {"w1_fastest_peer", "w1_tf_keras_fit", "w1_floor", "w3_floor"}
    assert result["w1"]["missing"]["pythae"] == result["w3"]["missing"]["pythae"] == "left out"
    # The same objective, from other weights.
    assert result["w1"]["sides"]["tf_keras_fit"]["loss"] == pytest.approx(
        result["w1"]["sides"]["tfvae"]["loss"], rel=0.1
    )
    assert not result["w5"]["help_imports_tensorflow"] and set(result["scaling"]["sides"]) == {"200", "2000"}
    assert "## W5: start" in (tmp_path / "README.md").read_text()
