"""The devices of a run: `TF_CONFIG`, GPUs, strategies."""

import json
from types import SimpleNamespace

import pytest
import tensorflow as tf

from tfvae import devices
from tfvae.errors import InputError

ADDRESSES = ["10.0.0.1:4000", "10.0.0.2:4000"]


def tf_config(cluster=None, **task):
    return json.dumps({"cluster": cluster or {"worker": ADDRESSES}, "task": {"type": "worker", "index": 0} | task})


@pytest.fixture
def joined(monkeypatch):
    """What would have been joined: waiting for other workers is for tests with several processes."""
    calls = []
    monkeypatch.setattr(devices, "_join", lambda *place: calls.append(place) or "cluster")
    return calls


@pytest.mark.parametrize("strategy", ["auto", "multi_worker"])
def test_tf_config_names_the_workers_the_chief_first(strategy, joined, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", tf_config(index=1))
    assert devices.connect(strategy) == "cluster"
    monkeypatch.setenv("TF_CONFIG", tf_config({"worker": ADDRESSES, "chief": ["a:1"]}, index=1))
    devices.connect(strategy)
    monkeypatch.setenv("TF_CONFIG", tf_config({"worker": ADDRESSES, "chief": ["a:1"]}, type="chief"))
    devices.connect(strategy)
    assert joined == [(1, tuple(ADDRESSES)), (2, ("a:1", *ADDRESSES)), (0, ("a:1", *ADDRESSES))]
    assert tf_config() == devices.EXAMPLE


@pytest.mark.parametrize(
    ("strategy", "text"),
    [
        ("one_device", tf_config()),
        ("auto", ""),
        ("auto", "{}"),
        ("auto", tf_config({"worker": ADDRESSES[:1]})),
        ("multi_worker", tf_config({"worker": ADDRESSES[:1]})),
    ],
)
def test_one_worker_stays_alone(strategy, text, joined, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    cluster = devices.connect(strategy)
    assert cluster == devices.Cluster(tf.distribute.get_strategy()) and not joined
    assert cluster.is_chief and list(cluster.gather(7)) == [7]
    with cluster.checkpoints("folder") as folder:
        assert folder == "folder"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "received nothing, expected JSON, such as {"),
        ("worker", "received 'worker', expected JSON"),
        ("{}", 'expected "cluster" and "task"'),
        (tf_config({"worker": "10.0.0.1:4000"}), 'a list of "host:port" as "worker"'),
        (tf_config({"worker": ["10.0.0.1"]}), 'a list of "host:port" as "worker"'),
        (tf_config({"worker": ADDRESSES, "ps": ["c:3"]}), 'a "cluster" of "worker" tasks and at most one "chief"'),
        (tf_config({"worker": ADDRESSES[:1], "chief": ADDRESSES}), 'at most one "chief"'),
        (tf_config({"worker": ADDRESSES[:1] * 2}), "each address once"),
        (tf_config(index=2), '"task" to name one of the cluster'),
        (tf_config(index="0"), '"task" to name one of the cluster'),
        (tf_config(type="chief"), '"task" to name one of the cluster'),
    ],
)
def test_a_tf_config_that_means_nothing_is_one_line(text, expected, joined, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match="TF_CONFIG: received") as caught:
        devices.connect("multi_worker")
    assert expected in str(caught.value) and devices.EXAMPLE in str(caught.value) and "\n" not in str(caught.value)
    assert not joined


def test_what_works_on_one_machine_alone_refuses_workers(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", tf_config())
    devices.refuse_workers("one_device", what="a sweep")
    for strategy in ("auto", "multi_worker"):
        with pytest.raises(InputError, match="TF_CONFIG: received 2 workers, expected none for a sweep"):
            devices.refuse_workers(strategy, what="a sweep")


def test_workers_cannot_be_joined_once_tensorflow_runs(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", tf_config())
    with pytest.raises(InputError, match=r"training\.strategy: received multi_worker after TensorFlow's first"):
        devices.connect("multi_worker")


@pytest.mark.parametrize(("rows", "sizes"), [(7, [3, 3, 1]), (4, [2, 2, 0]), (0, [0, 0, 0])])
def test_a_worker_cuts_its_rows_among_its_gpus(rows, sizes):
    x = tf.reshape(tf.range(rows * 2.0), [rows, 2])
    cut = list(devices._cut(3, x, tf.range(rows)))
    assert [len(part) for part, _ in cut] == sizes
    tf.debugging.assert_equal(tf.concat([part for part, _ in cut], axis=0), x)
    assert [label for _, labels in cut for label in labels.numpy()] == list(range(rows))
    assert [len(part) for part in devices._cut(3, x)] == sizes


def test_a_worker_that_loses_another_says_so_in_one_line(capsys):
    cluster = devices.Cluster(None, worker=1, num_workers=2)
    with pytest.raises(devices.WorkerLost) as caught, cluster.watched():
        raise tf.errors.UnavailableError(None, None, "{{function_node f}} aborted\nmore")
    assert caught.value.code == devices.LOST
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: worker 1 of 2 lost another one (aborted); the same command") and "\n" not in said
    with pytest.raises(devices.WorkerLost), cluster.watched():
        raise tf.errors.InternalError(None, None, "Collective ops is aborted by: heartbeat timeout")
    # What went wrong here is not laid upon another one, or a supervisor would start it for ever.
    with pytest.raises(tf.errors.InternalError, match="CUDA"), cluster.watched():
        raise tf.errors.InternalError(None, None, "CUDA error: an illegal memory access was encountered")
    with pytest.raises(tf.errors.UnavailableError), devices.Cluster(None).watched():
        raise tf.errors.UnavailableError(None, None, "alone")


@pytest.fixture
def gpus(monkeypatch):
    """Two GPUs in TensorFlow's lists; what is asked of the physical ones."""
    physical = [SimpleNamespace(name=f"/physical_device:GPU:{i}") for i in range(2)]
    logical = [SimpleNamespace(name=f"/device:GPU:{i}") for i in range(2)]
    grown = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: physical)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda *kind: logical)
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda gpu, on: grown.append((gpu.name, on)))
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda names, **options: (names, options))
    return grown


@pytest.mark.parametrize("strategy", ["auto", "mirrored"])
def test_all_gpus_are_taken_and_their_memory_grows(strategy, gpus):
    cluster = devices.connect(strategy)
    # Their own collectives: NCCL.
    assert cluster.strategy == (["/device:GPU:0", "/device:GPU:1"], {"cross_device_ops": None})
    assert gpus == [("/physical_device:GPU:0", True), ("/physical_device:GPU:1", True)]


def test_one_device_takes_one_gpu(gpus):
    assert devices.connect("one_device").strategy is tf.distribute.get_strategy()


def test_scripts_let_memory_grow_before_the_gpus_are_used(gpus, monkeypatch):
    order = []
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda gpu, on: order.append("grow"))
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda *kind: order.append("use"))
    devices.start()
    assert order == ["grow", "grow", "use"]
    monkeypatch.setenv("TF_CONFIG", tf_config())
    devices.start()  # the workers are joined before that
    assert order == ["grow", "grow", "use", "grow", "grow"]


def test_gpus_in_use_are_left_as_they_are(gpus, monkeypatch):
    def refuse(gpu, on):
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", refuse)
    assert devices.connect("one_device") == devices.Cluster(tf.distribute.get_strategy())
