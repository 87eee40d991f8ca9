"""Training by stacks of batches, in programs of many steps, makes the numbers of a plain loop."""

import dataclasses
import io

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import digits_config
from tfvae import networks, posteriors
from tfvae.networks import thin
from tfvae.stacks import Stack
from tfvae.training import load_data, train
from tfvae.training.fitting import fresh_model, steps_at_once, training_data

PARTS = {
    "diagonal": {},
    "full covariance": {"posterior": posteriors.FullNormal()},
    "convolutions": {"network": networks.Convolutional(filters=(9, 4), dense=8)},
}


def config_of(parts="diagonal", *, binarization="dynamic", **training):
    config = digits_config(num_epochs=2, batch_size=300, **training)
    model = dataclasses.replace(config.model, **PARTS[parts])
    return dataclasses.replace(config, model=model, data=dataclasses.replace(config.data, binarization=binarization))


class Terminal(io.StringIO):
    """On which progress is a bar."""

    def isatty(self):
        return True


def prepared(config):
    """The config with what the data say, the data, and the compiled model."""
    dataset = load_data(config)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, item_shape=dataset.item_shape))
    return config, dataset, fresh_model(config, dataset)


def scalars(folder):
    """The losses that TensorBoard shows, by step."""
    events = tf.compat.v1.train.summary_iterator
    found = {}
    for path in sorted(tf.io.gfile.glob(str(folder / "logs" / "train" / "events*"))):
        for event in events(path):
            for value in event.summary.value:
                if value.tag == "loss":
                    found[event.step] = float(tf.make_ndarray(value.tensor))
    return found


@pytest.mark.parametrize(
    ("parts", "training"),
    [
        ("diagonal", {}),
        ("full covariance", {"steps_per_execution": 2}),  # the second program of an epoch is padded
        ("convolutions", {"steps_per_execution": 3}),  # no XLA
    ],
)
def test_a_run_has_the_loss_curve_of_a_plain_loop(tmp_path, monkeypatch, parts, training):
    """With progress bar, checkpoints, TensorBoard and validation on one side, and nothing but steps on the other."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    config = config_of(parts, **training)
    assert train(config, str(tmp_path / "run"))
    assert "epoch 2/2: 100%" in terminal.getvalue()
    ours = scalars(tmp_path / "run")

    config, dataset, vae = prepared(config)
    batches = dataset.train.training_batches(batch_size=300, seed=config.training.seed).as_numpy_iterator()
    steps = dataset.train.steps_per_epoch(300)
    assert dataset.train.num_examples % 300  # the last batch is ragged
    theirs = {}
    for epoch in (1, 2):
        vae.reset_metrics()
        for _ in range(steps):
            logs = vae.train_step(tf.constant(next(batches)))
        theirs[epoch * steps] = float(logs["loss"])
    assert ours.keys() == theirs.keys()
    np.testing.assert_allclose(list(ours.values()), list(theirs.values()), rtol=2e-6)
    reader = tf.train.load_checkpoint(str(tmp_path / "run" / "checkpoints"))
    found = [reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if name.startswith("vae/decoder/")]
    shapes = sorted(tuple(value.shape) for value in found if value.dtype == np.float32)
    assert shapes == sorted(tuple(variable.shape) for variable in vae.decoder.variables)
    for variable in vae.decoder.variables:
        same = [value for value in found if value.shape == variable.shape]
        assert min(np.abs(value - variable.numpy()).max() for value in same) < 1e-5, variable.name


def test_training_alone_takes_the_last_convolution_as_a_product(monkeypatch):
    calls, plain = [], thin._convolution
    monkeypatch.setattr(thin, "_convolution", lambda *given: calls.append(0) or plain(*given))
    _, dataset, vae = prepared(config_of("convolutions"))
    x = tf.constant(dataset.train.examples(5))
    vae.test_step(x)
    vae.predict_step(x)
    assert not calls
    vae.train_step(x)
    assert calls


def test_bytes_reach_the_program_where_the_values_are_bytes():
    _, dataset, vae = prepared(config_of())
    stack = next(iter(training_data(vae, dataset, batch_size=300, seed=0)))
    assert isinstance(stack, Stack) and stack.values.dtype == tf.uint8


def test_replicas_share_out_batches(two_replicas):
    config = config_of()
    with two_replicas.scope():
        _, dataset, vae = prepared(config)
    # All steps of an epoch this small in one call: Python is asked once.
    assert vae.steps_at_once == dataset.train.steps_per_epoch(300) > 1
    data = training_data(vae, dataset, batch_size=300, seed=0)
    assert data.element_spec == tf.TensorSpec([None, *dataset.item_shape], tf.float32)
    stacks = dataset.train.training_stacks(batch_size=300, steps=2, seed=0)
    with pytest.raises(ValueError, match="received stacks of batches for several replicas"):
        vae.fit(stacks, steps_per_epoch=2, verbose=0)


def test_stacks_of_another_size_are_refused():
    _, dataset, vae = prepared(config_of(steps_per_execution=2))
    stacks = dataset.train.training_stacks(batch_size=300, steps=3, seed=0)
    with pytest.raises(ValueError, match="received a stack of 3 batches, expected 2 for the next steps"):
        vae.fit(stacks, steps_per_epoch=4, verbose=0)
    with pytest.raises(ValueError, match="received a stack of batches for one step"):
        vae.train_step(next(iter(stacks)))


def test_large_examples_are_stacked_less():
    config = config_of()
    dataset = load_data(config)
    assert steps_at_once(config, dataset) == 100
    # 300 x 8,192 x 4 bytes are 9.8 MB, and six of them fit into 64 MiB
    assert steps_at_once(config, dataclasses.replace(dataset, item_shape=(64, 128, 1))) == 6
    assert steps_at_once(config, dataclasses.replace(dataset, item_shape=(4096, 4096, 3))) == 1
