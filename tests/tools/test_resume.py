"""A run that is killed goes on from its last checkpoint and ends as if nothing had happened."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import tensorflow as tf

ROOT = pathlib.Path(__file__).parents[2]


def command(path):
    return [
        sys.executable, str(ROOT / "tools" / "train.py"), f"--workdir={path}/run", f"--export_dir={path}/export",
        "--config.training.num_epochs=30", "--config.training.steps_per_execution=3",
        "--config.training.pictures_every=0",
        "--config.model.network.hidden=(16,)", "--config.evaluation.num_samples=2",
    ]  # fmt: skip


def newest(path):
    return max((int(p.stem.split("-")[1]) for p in (path / "run" / "checkpoints").glob("ckpt-*.index")), default=0)


def interrupt(path, number, *, past):
    """Starts the run and sends it a signal when a checkpoint after step `past` lies there."""
    process = subprocess.Popen(command(path), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while newest(path) <= past and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    errors = process.communicate(timeout=120)[1]
    return process.returncode, errors


def weights(path):
    reader = tf.train.load_checkpoint(str(path / "run" / "checkpoints"))
    names = [n for n in reader.get_variable_to_shape_map() if n.startswith("vae/") and "_mean/" not in n]
    return {name: reader.get_tensor(name) for name in names if "OBJECT_GRAPH" not in name}


def test_a_killed_run_ends_with_the_same_weights_bit_for_bit(tmp_path):
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    subprocess.run(command(straight), check=True, capture_output=True)
    assert newest(straight) == 30 * 27

    assert interrupt(stopped, signal.SIGKILL, past=2 * 27)[0] == -signal.SIGKILL
    after_kill = newest(stopped)
    assert 2 * 27 < after_kill < 30 * 27

    # Preemption: saves where it stands, inside an epoch as like as not, and says so.
    code, errors = interrupt(stopped, signal.SIGTERM, past=after_kill + 3 * 27)
    assert code == 128 + signal.SIGTERM and "interrupted: saved at step" in errors and "Traceback" not in errors
    after_term = newest(stopped)
    assert f"saved at step {after_term};" in errors
    assert not os.path.exists(stopped / "run" / "evaluation.json")

    subprocess.run(command(stopped), check=True, capture_output=True)
    ours, theirs = weights(stopped), weights(straight)
    assert ours.keys() == theirs.keys() and len(ours) > 10
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)
    for name in ("evaluation.json",):
        assert (stopped / "run" / name).read_text() == (straight / "run" / name).read_text()
