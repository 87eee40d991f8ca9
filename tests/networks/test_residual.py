"""Residual blocks: x + f(x), where they stand, and what they start from."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfvae.networks import Convolutional, ResidualConvolutional

layers = tf_keras.layers


@pytest.fixture(autouse=True)
def seeded():
    tf_keras.utils.set_random_seed(0)


def numbers(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def convolve(x, layer):
    kernel, bias = layer.get_weights()
    return tf.nn.conv2d(x, kernel, 1, "SAME") + bias


def blocks_of(model):
    """For each block its input, its two convolutions and its output."""
    adds = [layer for layer in model.layers if isinstance(layer, layers.Add)]
    found = []
    for add in adds:
        start, second = add.input[0], add.input[1].node.layer
        first = second.input.node.layer.input.node.layer
        found.append((start, (first, second), add.output))
    return found


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_block_is_x_plus_f_of_x(part):
    network = ResidualConvolutional(filters=(3, 4), dense=5, blocks=2, activation="tanh")
    model = network.encoder((7, 5, 2), 3) if part == "encoder" else network.decoder(3, (7, 5, 2), 2)
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(scale=0.3, size=w.shape) for w in model.get_weights()])
    blocks = blocks_of(model)
    assert len(blocks) == 4
    for start, (first, second), end in blocks:
        x, y = tf_keras.Model(model.input, [start, end])(numbers(6, *model.input_shape[1:]))
        # x + W_2 a(W_1 a(x))
        expected = x + convolve(np.tanh(convolve(np.tanh(x), first)), second)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
        assert not np.allclose(y, x, atol=0.1)


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_starts_as_the_network_without_blocks(part):
    def built(network):
        return network.encoder((7, 5, 2), 3) if part == "encoder" else network.decoder(3, (7, 5, 2), 2)

    residual = built(ResidualConvolutional(filters=(3, 4), dense=5, blocks=3))
    inside = {id(w) for _, convolutions, _ in blocks_of(residual) for layer in convolutions for w in layer.weights}
    plain = built(Convolutional(filters=(3, 4), dense=5))
    plain.set_weights([w.numpy() for w in residual.weights if id(w) not in inside])
    x = numbers(6, *plain.input_shape[1:])
    np.testing.assert_allclose(residual(x), plain(x), rtol=1e-5, atol=1e-6)
    assert np.abs(plain(x)).max() > 0.01


def test_blocks_stand_at_the_small_sizes():
    network = ResidualConvolutional(filters=(3, 4), dense=5, blocks=1)
    sizes = [[tuple(start.shape[1:3]) for start, *_ in blocks_of(model)]
             for model in (network.encoder((8, 12, 1), 3), network.decoder(3, (8, 12, 1), 1))]  # fmt: skip
    assert sizes == [[(4, 6), (2, 3)], [(2, 3), (4, 6)]]


def test_no_normalisation():
    network = ResidualConvolutional(filters=(3,), dense=0)
    for model in (network.encoder((4, 4), 2), network.decoder(2, (4, 4), 1)):
        assert not model.non_trainable_weights
