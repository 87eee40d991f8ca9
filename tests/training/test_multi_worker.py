"""Two workers, two processes of this machine, train as one device does."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.helpers import digits_config
from tests.training.runs import assert_close, history, weights
from tfvae.devices import LOST
from tfvae.training import train

ROOT = pathlib.Path(__file__).parents[2]
# One row is left for the last of the 20 batches, which gives the second worker none.
CONFIG = {"batch_size": 71, "jit_compile": "off", "num_epochs": 2, "steps_per_execution": 6}
CHILD = """
import json, sys
from tests.helpers import digits_config
from tfvae.training import train
train(digits_config(**json.loads(sys.argv[2])), sys.argv[1])
"""


def start(path, seconds_path=None, **training):
    """Starts both workers of a run in `path`; the second one's folder may be another."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    workers = []
    for index in range(2):
        place = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = os.environ | {"TF_CONFIG": json.dumps(place), "TF_CPP_MIN_LOG_LEVEL": "3"}
        folder = (seconds_path or path) if index else path
        command = [sys.executable, "-c", CHILD, str(folder / "run"), json.dumps(CONFIG | training)]
        workers.append(subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True))
    return workers


def end(workers, *, timeout):
    """Their exit codes, and what each said."""
    try:
        said = [worker.communicate(timeout=timeout)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    return [worker.returncode for worker in workers], said


def test_two_workers_give_the_losses_and_weights_of_one_device(tmp_path):
    together, elsewhere, alone = tmp_path / "together", tmp_path / "elsewhere", tmp_path / "alone"
    # A folder of its own shows what the second worker would write; a run from nothing needs no shared one.
    codes, said = end(start(together, elsewhere), timeout=300)
    assert codes == [0, 0], said
    train(digits_config(**CONFIG), str(alone / "run"), verbose=False)
    assert_close(weights(together), weights(alone), atol=1e-5)
    losses = history(together)
    assert ("train", "loss", 40) in losses and ("validation", "elbo", 40) in losses
    assert_close(losses, history(alone), rtol=1e-5)

    # The chief alone writes and tells.
    def files(path):
        names = [file.relative_to(path) for file in path.rglob("*") if file.is_file()]
        return sorted(str(name).split(".tfevents")[0] for name in names)

    assert files(together) == files(alone) and not files(elsewhere)
    assert "training: the KL is analytic" in said[0] and "epoch 2/2" in said[0]
    assert said[1].strip().endswith("waits for the others") and said[1].count("training:") == 1


def newest(path):
    return max((int(p.stem.split("-")[1]) for p in (path / "run" / "checkpoints").glob("ckpt-*.index")), default=0)


def interrupt(path, number, *, past, victim=1, **training):
    """Starts the run and sends one worker a signal when a checkpoint after step `past` lies there."""
    workers = start(path, **training)
    deadline = time.monotonic() + 300
    while newest(path) <= past and all(w.poll() is None for w in workers) and time.monotonic() < deadline:
        time.sleep(0.01)
    workers[victim].send_signal(number)
    return end(workers, timeout=300)


@pytest.mark.slow
def test_a_killed_worker_ends_the_run_which_then_goes_on_from_the_last_checkpoint(tmp_path):
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    assert end(start(straight, num_epochs=30), timeout=600)[0] == [0, 0]

    codes, said = interrupt(stopped, signal.SIGKILL, past=0, num_epochs=30)
    assert codes == [LOST, -signal.SIGKILL], said
    lines = said[0].strip().splitlines()
    assert lines[-1].startswith("error: worker 0 of 2 lost another one") and "Traceback" not in said[0]
    after_kill = newest(stopped)
    assert 0 < after_kill < 30 * 20

    # A worker that is told to leave takes the others with it, from one step, all saved.
    codes, said = interrupt(stopped, signal.SIGTERM, past=after_kill, num_epochs=30)
    assert codes == [128 + signal.SIGTERM] * 2, said
    after_term = newest(stopped)
    assert after_kill < after_term < 30 * 20
    assert all(f"interrupted: saved at step {after_term};" in text for text in said)

    assert end(start(stopped, num_epochs=30), timeout=600)[0] == [0, 0]
    assert newest(stopped) == 30 * 20
    assert_close(weights(stopped), weights(straight), atol=0.0)


@pytest.mark.slow
def test_a_killed_chief_ends_the_run_which_then_goes_on(tmp_path):
    """The chief writes the checkpoints, and holds what the workers know of each other."""
    codes, said = interrupt(tmp_path, signal.SIGKILL, past=0, victim=0, num_epochs=30)
    assert codes == [-signal.SIGKILL, LOST], said
    assert said[1].strip().splitlines()[-1].startswith("error: worker 1 of 2 lost another one")
    assert 0 < newest(tmp_path) < 30 * 20
    assert end(start(tmp_path, num_epochs=30), timeout=600)[0] == [0, 0]
    assert newest(tmp_path) == 30 * 20


@pytest.mark.slow
def test_workers_with_folders_of_their_own_are_refused(tmp_path):
    train(digits_config(**CONFIG), str(tmp_path / "run"), verbose=False)
    codes, said = end(start(tmp_path, tmp_path / "elsewhere", num_epochs=3), timeout=300)
    assert 0 not in codes
    for text in said:
        assert "(worker 0 step 40, worker 1 step 0), expected a shared folder" in text
