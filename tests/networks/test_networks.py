"""What every network promises, and dense and convolutional ones in particular."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfvae.errors import InputError
from tfvae.networks import (
    MLP,
    BayesianMLP,
    Bias,
    Convolutional,
    Recurrent,
    ResidualConvolutional,
    ThinConv2D,
    slow_under_xla,
)

layers = tf_keras.layers
NETWORKS = [MLP(hidden=(6, 4)), MLP(hidden=()), Convolutional(filters=(3, 4), dense=5),
            Convolutional(filters=(3,), dense=0, kernel_size=4), Convolutional(filters=(), dense=2),
            ResidualConvolutional(filters=(3, 4), dense=5), ResidualConvolutional(filters=(3,), dense=0, blocks=1),
            Recurrent(units=5), Recurrent(units=3, cell="lstm", bidirectional=True),
            BayesianMLP(hidden=(6, 4)), BayesianMLP(hidden=())]  # fmt: skip
SHAPES = [(1,), (7,), (7, 5, 3), (1, 9, 2)]


@pytest.mark.parametrize(
    "network", NETWORKS, ids=lambda n: f"{n.tag}-{len(getattr(n, 'hidden', getattr(n, 'filters', ())))}"
)
@pytest.mark.parametrize("item_shape", SHAPES)
def test_shapes(network, item_shape):
    size = int(np.prod(item_shape))
    encoder = network.encoder(item_shape, 9)
    assert encoder(tf.zeros([2, *item_shape])).shape == [2, 9]
    for params_per_dim in (1, 2):
        decoder = network.decoder(4, item_shape, params_per_dim)
        assert decoder(tf.zeros([2, 4])).shape == [2, params_per_dim * size]
        assert decoder.output_shape == (None, params_per_dim * size)


@pytest.mark.parametrize("network", NETWORKS)
def test_images_may_not_have_more_axes(network):
    if not isinstance(network, Convolutional):
        assert network.encoder((2, 2, 2, 2), 3)(tf.zeros([1, 2, 2, 2, 2])).shape == [1, 3]
        return
    says = r"^data\.item_shape: received \(2, 2, 2, 2\), expected at most \(height, width, channels\)"
    with pytest.raises(InputError, match=says):
        network.encoder((2, 2, 2, 2), 3)
    with pytest.raises(InputError, match=says):
        network.decoder(2, (2, 2, 2, 2), 1)


def kinds(model):
    return [type(layer).__name__ for layer in model.layers if layer.weights]


def widths(model):
    return [layer.units for layer in model.layers if isinstance(layer, layers.Dense)]


def test_the_decoder_mirrors_the_encoder():
    network = MLP(hidden=(6, 4), activation="relu")
    encoder, decoder = network.encoder((3, 2), 5), network.decoder(2, (3, 2), 2)
    assert widths(encoder) == [6, 4, 5] and widths(decoder) == [4, 6, 12]
    assert [layer.activation.__name__ for layer in decoder.layers[1:]] == ["relu", "relu", "linear"]
    network = Convolutional(filters=(3, 4), dense=5)
    encoder, decoder = network.encoder((8, 8, 2), 6), network.decoder(2, (8, 8, 2), 2)
    assert kinds(encoder) == ["Conv2D", "Conv2D", "Dense", "Dense"] and widths(encoder) == [5, 6]
    assert kinds(decoder) == ["Dense", "Dense", "Conv2DTranspose", "Conv2DTranspose", "ThinConv2D", "Bias"]
    assert widths(decoder) == [5, 2 * 2 * 4]
    assert [layer.filters for layer in decoder.layers if hasattr(layer, "filters")] == [4, 3, 4]


@pytest.mark.parametrize("item_shape", [(7,), (3, 5, 2)])
def test_a_linear_model_is_a_matrix_product(item_shape):
    tf_keras.utils.set_random_seed(0)
    rng, size = np.random.default_rng(0), int(np.prod(item_shape))
    encoder, decoder = MLP(hidden=()).encoder(item_shape, 4), MLP(hidden=()).decoder(4, item_shape, 2)
    for model, shape, width in ((encoder, item_shape, 4), (decoder, (4,), 2 * size)):
        x = rng.normal(size=(6, *shape)).astype(np.float32)
        kernel, bias = model.layers[-1].get_weights()
        bias = rng.normal(size=bias.shape).astype(np.float32)
        model.layers[-1].set_weights([kernel, bias])
        assert kernel.shape == (np.prod(shape), width) and len(model.weights) == 2
        np.testing.assert_allclose(model(x), x.reshape(6, -1) @ kernel + bias, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.tag)
def test_rows_do_not_see_each_other(network):
    """A row's result is the same beside other rows."""
    x = np.random.default_rng(0).normal(size=(5, 4, 6)).astype(np.float32)
    encoder, decoder = network.encoder((4, 6), 3), network.decoder(3, (4, 6), 2)
    for training in (False, True):
        whole = encoder(x, training=training)
        np.testing.assert_allclose(encoder(x[2:3], training=training), whole[2:3], rtol=1e-4, atol=1e-6)
        params = decoder(whole, training=training)
        np.testing.assert_allclose(decoder(whole[2:3], training=training), params[2:3], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("network", [NETWORKS[i] for i in (0, 7)], ids=lambda n: n.tag)
def test_under_xla_and_at_extreme_inputs(network):
    encoder, decoder = network.encoder((4, 6), 3), network.decoder(3, (4, 6), 2)

    def outputs_and_gradients(x):
        with tf.GradientTape() as tape:
            params = decoder(encoder(x))
            loss = tf.reduce_mean(params**2)
        return params, tape.gradient(loss, encoder.trainable_variables + decoder.trainable_variables[:2])

    x = np.random.default_rng(0).normal(size=(5, 4, 6)).astype(np.float32)
    plain, compiled = (tf.function(outputs_and_gradients, jit_compile=jit) for jit in (False, True))
    for ours, theirs in zip(tf.nest.flatten(plain(x)), tf.nest.flatten(compiled(x)), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-5)
    for function in (plain, compiled):
        assert all(np.all(np.isfinite(tensor)) for tensor in tf.nest.flatten(function(1e4 * x)))


# Order of the decoder's numbers -------------------------------------------------


@pytest.mark.parametrize("item_shape", [(3, 5, 2), (4, 4, 1), (2, 7), (5,)])
@pytest.mark.parametrize("params_per_dim", [1, 2, 3])
def test_convolutions_give_one_kind_after_the_other_in_the_order_of_the_item(item_shape, params_per_dim):
    tf_keras.utils.set_random_seed(0)
    decoder = Convolutional(filters=(3, 4), dense=5).decoder(4, item_shape, params_per_dim)
    image_layer = next(layer for layer in decoder.layers if type(layer) is ThinConv2D)
    z = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    numbers = decoder(z).numpy()
    image = tf_keras.Model(decoder.inputs, image_layer.output)(z).numpy()
    height, width, channels = (*item_shape, 1, 1)[:3]
    assert image.shape[1] >= height and image.shape[2] >= width and image.shape[3] == params_per_dim * channels
    assert np.unique(numbers[0]).size == numbers[0].size, "each number must be recognisable"
    size = int(np.prod(item_shape))
    for kind in range(params_per_dim):
        expected = image[:, :height, :width, kind * channels : (kind + 1) * channels]
        np.testing.assert_array_equal(numbers[:, kind * size : (kind + 1) * size], expected.reshape(6, size))


def test_kinds_of_a_colour_image_are_contiguous():
    decoder = Convolutional(filters=(3,), dense=0).decoder(2, (3, 5, 2), 2)
    image_layer = next(layer for layer in decoder.layers if type(layer) is ThinConv2D)
    kernel = image_layer.get_weights()[0]
    image_layer.set_weights([0 * kernel, np.array([10, 11, 20, 21], np.float32)])
    numbers = decoder(tf.ones([1, 2])).numpy()[0]
    np.testing.assert_array_equal(numbers[:30].reshape(3, 5, 2), np.broadcast_to([10, 11], (3, 5, 2)))
    np.testing.assert_array_equal(numbers[30:].reshape(3, 5, 2), np.broadcast_to([20, 21], (3, 5, 2)))


def test_vectors_and_images_are_read_in_their_order():
    """An image without channels is the same to an encoder as one with a single channel."""
    network, x = Convolutional(filters=(3,), dense=0), np.random.default_rng(0).random((2, 4, 6)).astype(np.float32)
    flat, image = network.encoder((4, 6), 3), network.encoder((4, 6, 1), 3)
    image.set_weights(flat.get_weights())
    np.testing.assert_array_equal(flat(x), image(x[..., None]))
    assert not np.allclose(flat(x), flat(x.swapaxes(1, 2).reshape(2, 4, 6)))


# Weights ------------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS)
def test_output_bias_is_what_training_starts_from(network):
    params_per_dim = 2
    bias = np.arange(params_per_dim * 30.0)
    decoder = network.decoder(4, (3, 5, 2), params_per_dim, output_bias=bias)
    # All other biases are zero, but for the forget gate's of an LSTM, whose state then stays zero all the same.
    outputs = decoder(tf.zeros([2, 4])).numpy()
    np.testing.assert_array_equal(outputs, [bias, bias])
    last = decoder.layers[-1]
    assert last.bias.trainable and last.bias.shape == [params_per_dim * 30]
    without = network.decoder(4, (3, 5, 2), params_per_dim)
    np.testing.assert_array_equal(without(tf.zeros([2, 4])), np.zeros((2, params_per_dim * 30)))


def test_a_bias_layer_adds():
    layer = Bias(np.array([1.0, 2.0]))
    np.testing.assert_array_equal(layer(tf.constant([[10.0, 20.0], [0.0, 0.0]])), [[11, 22], [1, 2]])


@pytest.mark.parametrize("stddev", [0.01, 0.3])
def test_normal_initializer_is_the_papers(stddev):
    tf_keras.utils.set_random_seed(0)
    model = MLP(hidden=(200, 200), initializer="normal", stddev=stddev).encoder((200,), 200)
    kernels = [layer.kernel.numpy() for layer in model.layers if layer.weights]
    for kernel in kernels:
        np.testing.assert_allclose(kernel.std(), stddev, rtol=0.02)
        np.testing.assert_allclose(kernel.mean(), 0.0, atol=0.02 * stddev)
    for i, kernel in enumerate(kernels):  # each layer draws its own numbers
        assert not any(np.array_equal(kernel, other) for other in kernels[i + 1 :])
    assert all(np.all(layer.bias.numpy() == 0) for layer in model.layers if layer.weights)


def test_initializers_by_keras_names():
    tf_keras.utils.set_random_seed(0)
    model = MLP(hidden=(300,), initializer="he_normal").encoder((200,), 2)
    np.testing.assert_allclose(model.layers[2].kernel.numpy().std(), np.sqrt(2 / 200), rtol=0.05)
    glorot = MLP(hidden=(300,)).encoder((200,), 2).layers[2].kernel.numpy()
    np.testing.assert_allclose(np.abs(glorot).max(), np.sqrt(6 / 500), rtol=0.01)


@pytest.mark.parametrize("network", [MLP(activation="foo"), Convolutional(activation="foo")], ids=lambda n: n.tag)
def test_an_unknown_activation_is_named(network):
    says = r"^model\.network\.activation: unknown activation 'foo', expected one of Keras's"
    with pytest.raises(InputError, match=says):
        network.encoder((4, 4), 2)
    with pytest.raises(InputError, match=says):
        network.decoder(2, (4, 4), 1)


def test_an_unknown_initializer_is_named():
    says = r"^model\.network\.initializer: unknown 'foo', expected 'normal' or one of Keras's"
    with pytest.raises(InputError, match=says):
        MLP(initializer="foo").encoder((4,), 2)


@pytest.mark.parametrize("network", [MLP(hidden=(4,)), Convolutional(filters=(3,), dense=4)], ids=lambda n: n.tag)
def test_activations_act(network):
    other = type(network)(**{"activation": "softplus"} | ({"hidden": (4,)} if network.tag == "mlp" else
                                                          {"filters": (3,), "dense": 4}))  # fmt: skip
    x = np.random.default_rng(0).random((2, 4, 4)).astype(np.float32)
    ours, theirs = network.encoder((4, 4), 2), other.encoder((4, 4), 2)
    theirs.set_weights(ours.get_weights())
    assert not np.allclose(ours(x), theirs(x))


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("network", [NETWORKS[i] for i in (0, 2, 5, 7, 8, 9)], ids=lambda n: n.tag)
def test_precision_is_that_of_every_layer(network, policy):
    compute = policy.removeprefix("mixed_")
    for model in (network.encoder((6, 6), 3, policy=policy), network.decoder(2, (6, 6), 2, policy=policy)):
        inner = [layer for layer in model.layers if not isinstance(layer, layers.InputLayer)]
        assert {layer.dtype_policy.name for layer in inner} == {policy}
        assert {weight.dtype for weight in model.weights} == {tf.float32}
        assert model(tf.zeros([2, *model.input_shape[1:]])).dtype == compute


# What XLA asks ------------------------------------------------------------------


def test_slow_under_xla():
    mlp, convolutional = MLP(hidden=(3,)), Convolutional(filters=(2,), dense=0)
    assert not slow_under_xla(mlp.encoder((4, 4), 2)) and not slow_under_xla(mlp.decoder(2, (4, 4), 1))
    assert slow_under_xla(convolutional.encoder((4, 4), 2)) and slow_under_xla(convolutional.decoder(2, (4, 4), 1))
    inputs = layers.Input([4, 4])
    nested = tf_keras.Model(inputs, convolutional.encoder((4, 4), 2)(inputs))
    assert slow_under_xla(tf_keras.Sequential([layers.InputLayer((4, 4)), nested]))
    assert slow_under_xla(tf_keras.Sequential([layers.InputLayer((4, 4)), layers.Conv1D(2, 2)]))
    assert slow_under_xla(ResidualConvolutional(filters=(2,), dense=0).encoder((4, 4), 2))
    for fused in (layers.GRU(2), layers.LSTM(2), layers.Bidirectional(layers.GRU(2))):
        assert slow_under_xla(tf_keras.Sequential([layers.InputLayer((4, 4)), fused]))
    for cell in ("gru", "lstm"):
        recurrent = Recurrent(units=2, cell=cell, bidirectional=True)
        assert not slow_under_xla(recurrent.encoder((4, 4), 2)) and not slow_under_xla(recurrent.decoder(2, (4,), 1))
