"""Recurrent networks against their equations, step by step."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfvae.networks import Recurrent

STEPS, CHANNELS, UNITS = 5, 2, 4


@pytest.fixture(autouse=True)
def seeded():
    tf_keras.utils.set_random_seed(0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru(x, kernel, recurrent, bias):
    """Outputs `[rows, steps, units]` (Cho et al. 2014, with the reset gate after the product, as in cuDNN)."""
    h, outputs = np.zeros((len(x), UNITS)), []
    for t in range(x.shape[1]):
        from_x, from_h = x[:, t] @ kernel + bias[0], h @ recurrent + bias[1]
        update, reset = (sigmoid(from_x[:, i : i + UNITS] + from_h[:, i : i + UNITS]) for i in (0, UNITS))
        candidate = np.tanh(from_x[:, 2 * UNITS :] + reset * from_h[:, 2 * UNITS :])
        h = update * h + (1 - update) * candidate
        outputs.append(h)
    return np.stack(outputs, axis=1)


def lstm(x, kernel, recurrent, bias):
    """Outputs `[rows, steps, units]` (Hochreiter & Schmidhuber 1997, with a forget gate)."""
    h = c = np.zeros((len(x), UNITS))
    outputs = []
    for t in range(x.shape[1]):
        gates = np.split(x[:, t] @ kernel + h @ recurrent + bias, 4, axis=-1)
        into, forget, candidate, out = sigmoid(gates[0]), sigmoid(gates[1]), np.tanh(gates[2]), sigmoid(gates[3])
        c = forget * c + into * candidate
        h = out * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, axis=1)


CELLS = {"gru": gru, "lstm": lstm}


def randomized(model):
    """The model with weights that are nowhere zero, and these weights."""
    rng = np.random.default_rng(1)
    weights = [rng.normal(scale=0.7, size=w.shape).astype(np.float32) for w in model.get_weights()]
    model.set_weights(weights)
    return weights


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_encoder(cell, bidirectional):
    encoder = Recurrent(units=UNITS, cell=cell, bidirectional=bidirectional).encoder((STEPS, CHANNELS), 3)
    weights = randomized(encoder)
    x = np.random.default_rng(0).normal(size=(6, STEPS, CHANNELS)).astype(np.float32)
    last = CELLS[cell](x, *weights[:3])[:, -1]
    if bidirectional:
        last = np.concatenate([last, CELLS[cell](x[:, ::-1], *weights[3:6])[:, -1]], axis=-1)
    np.testing.assert_allclose(encoder(x), last @ weights[-2] + weights[-1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("params_per_dim", [1, 2])
def test_decoder(cell, params_per_dim):
    """Also the order of the numbers: kind, then step, then channel."""
    decoder = Recurrent(units=UNITS, cell=cell).decoder(3, (STEPS, CHANNELS), params_per_dim)
    weights = randomized(decoder)
    z = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    outputs = CELLS[cell](np.repeat(z[:, None], STEPS, axis=1), *weights[:3]) @ weights[3] + weights[4]
    expected = outputs.reshape(6, STEPS, params_per_dim, CHANNELS).transpose(0, 2, 1, 3).reshape(6, -1) + weights[5]
    np.testing.assert_allclose(decoder(z), expected, rtol=1e-4, atol=1e-5)


def test_steps_of_an_image_are_its_lines():
    network = Recurrent(units=UNITS)
    image, lines = network.encoder((5, 3, 2), 3), network.encoder((5, 6), 3)
    lines.set_weights(image.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 5, 3, 2)).astype(np.float32)
    np.testing.assert_allclose(image(x), lines(x.reshape(2, 5, 6)), rtol=1e-6)
    assert network.encoder((5,), 3).get_weights()[0].shape[0] == 1, "a vector is a sequence of single numbers"


def test_what_comes_last_counts_most():
    """A cell that forgets: the order of the sequence matters, and its end more than its start."""
    encoder = Recurrent(units=UNITS).encoder((20,), 3)
    x = tf.Variable(np.random.default_rng(0).normal(size=(1, 20)).astype(np.float32))
    assert not np.allclose(encoder(x), encoder(x[:, ::-1]), atol=1e-3)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(encoder(x) ** 2)
    gradient = np.abs(tape.gradient(total, x).numpy()[0])
    assert gradient[-1] > 10 * gradient[0] > 0
