"""`benchmarks/log_likelihood.py`: what it makes of measurements, and the processes that make them."""

import importlib
import math
import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import flagsaver

FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"

SERVER = """
import os, sys, time
from workers import serve

def add(a, b):
    print("a library's words")
    os.system("echo those of its child")
    return {"sum": a + b}

def wait(seconds):
    time.sleep(seconds)
    return {}

def hold(megabytes):
    bytearray(megabytes * 10**6)
    return {}

def end(words):
    print(words, file=sys.stderr)
    os._exit(3)

serve({"add": add, "wait": wait, "hold": hold, "end": end})
"""


@pytest.fixture
def modules(monkeypatch):
    """The modules of the benchmark by their names, as its script imports them."""
    monkeypatch.syspath_prepend(str(FOLDER))
    names = ("workers", "log_likelihood_report", "log_likelihood")
    with flagsaver.flagsaver():  # the script defines flags
        yield {name: importlib.import_module(name) for name in names}
        for name in names:
            del sys.modules[name]


@pytest.fixture
def worker(modules, tmp_path):
    (tmp_path / "server.py").write_text(SERVER)
    with modules["workers"].Worker([sys.executable, str(tmp_path / "server.py")]) as started:
        yield started


# Processes ----------------------------------------------------------------------


def test_answers_come_in_order_whatever_libraries_print(worker):
    assert [worker.ask("add", a=i, b=10)["sum"] for i in range(3)] == [10, 11, 12]


def test_time_is_that_of_the_call(worker):
    found = worker.ask("wait", seconds=0.2)
    assert 0.2 <= found["seconds"] < 2.0 and found["cpu_seconds"] < 0.1


def test_peak_memory_is_that_of_the_process_and_never_falls(worker):
    held = bytearray(300 * 10**6)  # the memory of this process is not that of the child
    before = worker.ask("add", a=1, b=1)["peak_memory_mb"]
    peak = worker.ask("hold", megabytes=80)["peak_memory_mb"]
    assert len(held) > 1e6 * before and 70 < peak - before < 100
    assert worker.ask("add", a=1, b=1)["peak_memory_mb"] == peak


def test_a_process_that_ends_is_told_with_its_words(worker):
    with pytest.raises(RuntimeError, match=r"(?s)^end: the process ended without an answer:\n.*no such image"):
        worker.ask("end", words="no such image")
    worker._process.wait()
    with pytest.raises(RuntimeError, match=r"^add: the process ended"):
        worker.ask("add", a=1, b=1)


# Figures ------------------------------------------------------------------------


def side(seconds, **more):
    return {"decodes": 1000, "seconds": seconds, "cpu_seconds": 2 * seconds} | more


def rounds(*pairs):
    """Rounds of (seconds, log p(x)) of tfvae and of pythae."""
    return [
        {
            "tfvae": side(a, log_likelihood=x, num_examples=10, num_samples=100),
            "pythae": side(b, value=y, threads=1),
            "products": side(0.5),
            "load": 0.0,
        }
        for (a, x), (b, y) in pairs
    ]  # fmt: skip


def test_ratios_are_taken_round_by_round(modules):
    """A slow round is slow for both sides: 4, 5 and 6 times, though the paces alone differ by more."""
    found = modules["log_likelihood_report"].compare(
        rounds(((1.0, -90), (4.0, -90)), ((8.0, -91), (40.0, -91)), ((2.0, -92), (12.0, -92)))
    )
    assert found["ratio"] == {"median": 5.0, "lowest": 4.0, "highest": 6.0}
    assert found["ratio_of_cpu_time"]["median"] == 5.0
    assert found["decodes_per_second"]["tfvae"] == {"median": 500.0, "lowest": 125.0, "highest": 1000.0}
    assert found["decodes_per_second"]["products"]["median"] == 2000.0


def test_the_difference_in_standard_errors(modules):
    mine, theirs = [-90.0, -91.0, -92.5], [-90.2, -91.4, -93.0]
    found = modules["log_likelihood_report"].compare(
        rounds(*(((1.0, x), (1.0, y)) for x, y in zip(mine, theirs, strict=True)))
    )
    for name, values in (("tfvae", mine), ("pythae", theirs)):
        assert found["log_likelihood"][name]["mean"] == pytest.approx(np.mean(values))
        assert found["log_likelihood"][name]["standard_error"] == pytest.approx(np.std(values, ddof=1) / math.sqrt(3))
    variances = (np.var(mine, ddof=1) + np.var(theirs, ddof=1)) / 3
    assert found["standard_errors_apart"] == pytest.approx((np.mean(mine) - np.mean(theirs)) / math.sqrt(variances))


def test_one_round_tells_no_error(modules):
    found = modules["log_likelihood_report"].compare(rounds(((1.0, -90.0), (5.0, -90.0))))
    assert found["log_likelihood"]["tfvae"] == {"mean": -90.0, "standard_error": None}
    assert found["standard_errors_apart"] is None


@pytest.mark.parametrize(("times", "words"), [(4.4, "; not reached."), (4.5, "; reached.")])
def test_the_readme_says_whether_the_goal_is_reached(modules, times, words):
    report = modules["log_likelihood_report"]
    measured = rounds(((2.0, -90.5), (2.0 * times, -90.5)))
    part = {
        "date": "2001-02-03",
        "machine": {"cores": 3, "processor": "a processor"},
        "versions": {"pythae": "1.2", "torch": "3.4", "tensorflow": "5.6"},
        "settings_tried": [{"batch_size": 500, "threads": 1, "decodes_per_second": 100.0}],
        "drawn": [{"num_samples": 150, "batch_size": 100, "drawn": 123}],
        "first_call": side(5.0),
        "rounds": measured,
        **report.compare(measured),
    }
    text = report.readme({"peer": part})
    assert words in text and f"| {times:.2f} (" in text and "| 150 | 100 | 123 |" in text and "-90.500" in text
    assert "made 200 decodes/s" in text
    assert "## MNIST" not in text and "## Memory" not in text and "Measured 2001-02-03 on 3 cores" in text


def test_the_first_examples_of_a_split(modules):
    """As many as asked for, in batches that end with a ragged one; all of them are the split's own batches."""

    class Split:
        name, num_examples = "test", 10

        def evaluation_batches(self, *, batch_size, labels=False):
            return tf.data.Dataset.range(10).batch(batch_size)

    first = modules["log_likelihood"].First(Split(), 7)
    assert (first.name, first.num_examples) == ("test", 7)
    assert [batch.numpy().tolist() for batch in first.evaluation_batches(batch_size=4)] == [[0, 1, 2, 3], [4, 5, 6]]
    whole = modules["log_likelihood"].First(Split(), 10).evaluation_batches(batch_size=6)
    assert [len(batch) for batch in whole] == [6, 4]
