"""`ThinConv2D` is `Conv2D`: numbers, gradients and weights, and where it takes which form."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfvae.networks import Convolutional, ThinConv2D

layers = tf_keras.layers
CASES = [
    # item shape, filters, kernel size
    ((7, 5, 9), 1, 3),
    ((4, 6, 50), 2, 5),
    ((6, 3, 16), 3, (5, 1)),
    ((1, 1, 9), 1, 3),
    ((5, 4, 6), 2, (1, 3)),
]


def pair(item_shape, **settings):
    """The plain layer and the thin one, with the same weights, and an input and an upstream gradient."""
    rng = np.random.default_rng(0)
    plain, thin = layers.Conv2D(**settings), ThinConv2D(**settings)
    x = tf.constant(rng.normal(size=(6, *item_shape)), tf.float32)
    outputs = [layer(x) for layer in (plain, thin)]
    weights = [rng.normal(size=weight.shape) for weight in plain.get_weights()]
    plain.set_weights(weights)
    thin.set_weights(weights)
    return plain, thin, x, tf.constant(rng.normal(size=outputs[0].shape), tf.float32)


def results(layer, x, upstream):
    """Outputs in training, and the gradients of the input and of the weights."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, training=True)
        value = tf.reduce_sum(upstream * outputs)
    return [outputs, *tape.gradient(value, [x, *layer.trainable_weights])]


def has_taps(layer, x, training):
    """Whether a call is a product and sums, and not a convolution."""
    graph = tf.function(lambda x: layer(x, training=training), autograph=False).get_concrete_function(x).graph
    kinds = {op.type for op in graph.get_operations()}
    assert not {"Conv2D", "MatMul"} <= kinds
    return "MatMul" in kinds


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize(("item_shape", "filters", "kernel_size"), CASES)
def test_values_and_gradients_are_those_of_conv2d(item_shape, filters, kernel_size, mode):
    settings = {"filters": filters, "kernel_size": kernel_size, "padding": "same", "activation": "tanh"}
    plain, thin, x, upstream = pair(item_shape, **settings)
    assert has_taps(thin, x, training=True)  # else the rest says nothing

    def run(x, upstream):
        return results(thin, x, upstream)

    if mode != "eager":
        run = tf.function(run, jit_compile=mode == "xla", autograph=False)
    for found, expected in zip(run(x, upstream), results(plain, x, upstream), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_second_derivatives_are_those_of_conv2d():
    plain, thin, x, upstream = pair((4, 5, 9), filters=1, kernel_size=3, padding="same", activation="tanh")
    found = []
    for layer in (plain, thin):
        with tf.GradientTape() as outer:
            outer.watch(x)
            square = tf.add_n([tf.reduce_sum(g**2) for g in results(layer, x, upstream)[1:]])
        found.append(outer.gradient(square, [x, *layer.trainable_weights]))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_size": 2},
        {"kernel_size": (3, 4)},
        {"kernel_size": 3, "strides": 2},
        {"kernel_size": 3, "dilation_rate": 2},
        {"kernel_size": 3, "padding": "valid"},
        {"kernel_size": 3, "filters": 2},  # more taps than input channels
        {"kernel_size": 1},
        {"kernel_size": (3, 1), "groups": 3, "filters": 3, "item_shape": (7, 6, 36)},
    ],
)
def test_what_has_no_such_form_is_a_conv2d(settings):
    settings = {"filters": 1, "padding": "same", "item_shape": (7, 6, 12)} | settings
    plain, thin, x, upstream = pair(**settings)
    assert not has_taps(thin, x, training=True)
    for found, expected in zip(results(thin, x, upstream), results(plain, x, upstream), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("training", [False, None])
def test_outside_training_it_is_a_conv2d(training):
    plain, thin, x, _ = pair((7, 6, 9), filters=1, kernel_size=3, padding="same")
    assert not has_taps(thin, x, training)
    np.testing.assert_array_equal(thin(x, training=training), plain(x))


def test_on_a_gpu_it_is_a_conv2d(monkeypatch):
    _, thin, x, _ = pair((7, 6, 9), filters=1, kernel_size=3, padding="same")
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind] if kind == "GPU" else [])
    assert not has_taps(thin, x, training=True)


def test_half_precision_is_left_to_conv2d():
    """There each tap would be rounded before the sum."""
    layer = ThinConv2D(1, 3, padding="same", dtype="mixed_bfloat16")
    assert not has_taps(layer, tf.zeros([2, 4, 4, 9]), training=True)


@pytest.mark.parametrize("shape", [(None, 7, 6, 9), (None, None, None, 9)])
def test_a_batch_of_any_size(shape):
    plain, thin, x, upstream = pair((7, 6, 9), filters=1, kernel_size=3, padding="same", use_bias=False)
    signature = [tf.TensorSpec(shape), tf.TensorSpec([*shape[:3], 1])]
    program = tf.function(lambda *given: results(thin, *given), signature, autograph=False)
    for count in (1, 6):
        given = x[:count], upstream[:count]
        for found, expected in zip(program(*given), results(plain, *given), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert program(x[:0], upstream[:0])[0].shape == (0, 7, 6, 1)


def test_axes_before_the_rows_are_left_to_conv2d():
    plain, thin, x, _ = pair((7, 6, 9), filters=1, kernel_size=3, padding="same")
    x = tf.reshape(x, (2, 3, 7, 6, 9))
    np.testing.assert_array_equal(thin(x, training=True), plain(x))


def test_channels_first_are_left_to_conv2d():
    layer = ThinConv2D(1, 3, padding="same", data_format="channels_first")
    layer.build((None, 9, 5, 4))
    assert not layer._has_taps(tf.zeros([2, 9, 5, 4]))


def test_in_a_keras_fit_it_learns_what_conv2d_learns():
    plain, thin, x, upstream = pair((7, 6, 9), filters=1, kernel_size=3, padding="same")
    for layer in (plain, thin):
        model = tf_keras.Sequential([layer])
        model.compile("sgd", "mse")
        model.fit(x, upstream, epochs=3, batch_size=4, shuffle=False, verbose=0)
    assert not np.allclose(thin.kernel, pair((7, 6, 9), filters=1, kernel_size=3, padding="same")[1].kernel, atol=1e-3)
    np.testing.assert_allclose(thin.kernel, plain.kernel, rtol=1e-4, atol=1e-4)


def test_a_checkpoint_of_conv2d_is_one_of_it(tmp_path):
    plain, thin, x, _ = pair((7, 6, 9), filters=1, kernel_size=3, padding="same")
    plain.set_weights([2 * weight for weight in plain.get_weights()])
    path = tf.train.Checkpoint(model=tf_keras.Sequential([plain])).write(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(model=tf_keras.Sequential([thin])).read(path).assert_consumed()
    np.testing.assert_array_equal(thin(x), plain(x))


def test_the_decoder_of_a_convolutional_network_ends_in_one():
    decoder = Convolutional(filters=(3, 9)).decoder(2, (8, 8, 1), 1)
    assert [type(layer) for layer in decoder.layers].count(ThinConv2D) == 1
