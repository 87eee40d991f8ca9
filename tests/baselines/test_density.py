"""Density models without latents: all images together have a probability of one, and samples have theirs."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfvae.baselines import PixelCNN, PixelRNN
from tfvae.errors import InputError

SMALL = {"pixel_cnn": {"num_filters": 4}, "pixel_rnn": {"filters": 4, "num_layers": 2}}
MODELS = {"pixel_cnn": PixelCNN, "pixel_rnn": PixelRNN}
each = pytest.mark.parametrize("name", MODELS)


def model_of(name, item_shape, **kwargs):
    """A small model whose probabilities differ much from image to image."""
    tf_keras.utils.set_random_seed(0)
    model = MODELS[name](item_shape, **SMALL[name], **kwargs)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign_add(0.3 * rng.normal(size=variable.shape))
        if variable.constraint is not None:  # the masks of TFP's kernels, as an optimizer would see to
            variable.assign(variable.constraint(variable))
    return model


def all_images(item_shape):
    numbers = itertools.product([0.0, 1.0], repeat=math.prod(item_shape))
    return np.array(list(numbers), np.float32).reshape(-1, *item_shape)


@pytest.mark.parametrize(
    ("name", "item_shape"),
    [("pixel_cnn", (3, 3, 1)), *(("pixel_rnn", shape) for shape in [(3, 3, 1), (2, 2, 2), (2, 4), (6,)])],
)  # fmt: skip
def test_the_probabilities_of_all_images_sum_to_one(name, item_shape):
    log_prob = model_of(name, item_shape).log_prob(all_images(item_shape)).numpy().astype(np.float64)
    assert log_prob.shape == (2 ** math.prod(item_shape),) and log_prob.std() > 0.2
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1.0, rtol=1e-4)


def test_the_probabilities_of_a_fresh_model_sum_to_one():
    """TFP's own sum to 5.6 before the first step of an optimizer."""
    tf_keras.utils.set_random_seed(0)
    model = PixelCNN((3, 3, 1), num_filters=4)
    np.testing.assert_allclose(np.exp(model.log_prob(all_images((3, 3, 1)))).sum(), 1.0, rtol=1e-4)


@pytest.mark.parametrize("num_logistic_mix", [1, 3])
def test_the_log_density_of_the_pixel_cnn_is_tfps(num_logistic_mix):
    model, x = model_of("pixel_cnn", (3, 3, 1), num_logistic_mix=num_logistic_mix), all_images((3, 3, 1))
    np.testing.assert_allclose(model.log_prob(x), model.distribution.log_prob(x, training=False), rtol=1e-4)


@each
def test_samples_have_their_probabilities(name):
    model, count = model_of(name, (2, 2, 1)), 4_000
    x = model.sample(count, seed=3).numpy()
    assert x.shape == (count, 2, 2, 1) and x.dtype == np.float32
    np.testing.assert_array_equal(model.sample(7, seed=3), x[:7])
    assert (model.sample(count, seed=4).numpy() != x).any()
    found = np.bincount((x.reshape(count, 4) @ [8, 4, 2, 1]).astype(int), minlength=16) / count
    expected = np.exp(model.log_prob(all_images((2, 2, 1))))
    assert np.all(np.abs(found - expected) < 4.5 * np.sqrt(expected / count) + 1e-3)


def test_a_pixel_cnn_of_several_channels_is_refused():
    with pytest.raises(
        InputError, match=r"^item_shape: received \(2, 2, 3\) for PixelCNN, expected \(height, width, 1\)$"
    ):
        PixelCNN((2, 2, 3))


def test_a_logit_of_the_row_lstm_hangs_on_the_pixels_before_it_alone():
    shape = (4, 5, 1)
    model, x = model_of("pixel_rnn", shape), tf.constant(np.random.default_rng(1).random((1, *shape)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = tf.reshape(model.network(x), [-1])
    slopes = np.reshape(tape.jacobian(logits, x), (20, 20))  # of each logit by each pixel
    assert not np.triu(slopes).any()
    left = [slopes[i, i - 1] for i in range(20) if i % 5]
    assert np.abs(left).min() > 0 and np.abs(np.diag(slopes, -5)).min() > 0  # so is the pixel above
    assert slopes[19, 0] != 0  # by the states, which no kernel reaches


@each
def test_fit_raises_log_p_of_data_with_structure(name):
    """Stripes: 16 images of 4 x 4, log p = -log 16 nats at best, where independent pixels have -16 log 2."""
    x = np.repeat(all_images((4,))[:, None, :, None], 4, axis=1)
    tf_keras.utils.set_random_seed(0)
    model = MODELS[name]((4, 4, 1), **(SMALL[name] | ({"num_filters": 8} if name == "pixel_cnn" else {"filters": 8})))
    model.compile(tf_keras.optimizers.Adam(0.02))
    told = []
    history = model.fit(
        np.tile(x, (4, 1, 1, 1)), batch_size=16, epochs=25, validation_data=(x,), verbose=0,
        callbacks=[tf_keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: told.append(logs))],
    ).history  # fmt: skip
    assert len(told) == 25 and history["log_likelihood"][0] < -5
    reached = model.evaluate(x, verbose=0, return_dict=True)["log_likelihood"]
    assert -math.log(16) - 1.5 < reached < -math.log(16)
    np.testing.assert_allclose(reached, np.mean(model.log_prob(x)), rtol=1e-4)
    np.testing.assert_allclose(reached, history["val_log_likelihood"][-1], rtol=1e-4)
