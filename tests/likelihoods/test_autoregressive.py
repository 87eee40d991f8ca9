"""The PixelVAE's decoder: a density over images, whose pixels see those before them and no others."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.helpers import small_vae
from tfvae import config
from tfvae.errors import InputError
from tfvae.likelihoods import AutoregressiveBernoulli, Bernoulli, draw
from tfvae.likelihoods.autoregressive import Autoregressive, MaskedConv2D, as_image
from tfvae.regularizers import plain

SHAPES = [(3, 3, 1), (2, 2, 2), (2, 4), (6,)]
SMALL = AutoregressiveBernoulli(filters=4, num_layers=1)


def at(item_shape, *, rows=1, component=SMALL, seed=0):
    """p(x|z) of a network whose pixels depend much on each other, at contexts that differ."""
    tf_keras.utils.set_random_seed(seed)
    made, rng = component.layer(item_shape), np.random.default_rng(seed)
    for variable in made.pixel_network.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) * 2.0 / math.sqrt(max(math.prod(variable.shape[:-1]), 4)))
    return plain(made(tf.constant(rng.normal(size=(rows, math.prod(item_shape))), tf.float32)))


def all_images(item_shape):
    numbers = itertools.product([0.0, 1.0], repeat=math.prod(item_shape))
    return np.array(list(numbers), np.float32).reshape(-1, *item_shape)


def uniforms(rows, item_shape, seed=1):
    return tf.constant(np.random.default_rng(seed).uniform(1e-6, 1, (rows, *item_shape)), tf.float32)


def logits(p, x):
    """Of each number of x, given the pixels before it; flat, `[rows, size]`."""
    images = [tf.reshape(v, [-1, *as_image(p.event_shape)]) for v in (x, p.context)]
    return tf.reshape(p._logits_of(*images), [-1, p.event_shape.num_elements()])


@pytest.mark.parametrize("item_shape", SHAPES)
def test_the_probabilities_of_all_images_sum_to_one_at_each_z(item_shape):
    p, images = at(item_shape, rows=2), all_images(item_shape)
    log_prob = p.log_prob(images[:, None]).numpy().astype(np.float64)
    assert log_prob.shape == (len(images), 2) and np.all(log_prob.std(axis=0) > 0.5)
    assert np.abs(log_prob[:, 0] - log_prob[:, 1]).max() > 0.5
    np.testing.assert_allclose(np.exp(log_prob).sum(axis=0), 1.0, rtol=1e-4)


def test_log_prob_is_the_sum_over_the_pixels_and_takes_a_row_for_each_context():
    p, x = at((2, 3), rows=4), all_images((2, 3))[[5, 60, 33, 18]]
    chance = 1 / (1 + np.exp(-logits(p, x).numpy().astype(np.float64)))
    # sum_i log p(x_i | x_1 ... x_(i-1))
    expected = np.log(np.where(x.reshape(4, 6) > 0, chance, 1 - chance)).sum(axis=1)
    np.testing.assert_allclose(p.log_prob(x), expected, rtol=1e-5)
    np.testing.assert_allclose(p.log_prob(np.stack([x, x[::-1]]))[0], expected, rtol=1e-5)


@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("item_shape", [(4, 5, 1), (4, 3, 2), (9,)])
def test_a_logit_hangs_on_the_pixels_before_it_alone(item_shape, kernel_size):
    p = at(item_shape, component=AutoregressiveBernoulli(filters=16, kernel_size=kernel_size, num_layers=1))
    pixels, channels = math.prod(as_image(item_shape)[:2]), as_image(item_shape)[-1]
    seen = np.zeros((pixels, pixels))
    for seed in range(3):  # where one has a slope of zero, another has not
        x = uniforms(1, item_shape, seed)
        with tf.GradientTape() as tape:
            tape.watch(x)
            found = logits(p, x)[0]
        slopes = np.reshape(tape.jacobian(found, x), (pixels, channels, pixels, channels))
        seen += np.abs(slopes).sum(axis=(1, 3))
    assert not np.triu(seen).any()
    width = as_image(item_shape)[1]
    last = np.arange(1, pixels)
    # The pixel to the left, unless a row begins, and the one above
    assert np.all(seen[last, last - 1][last % width != 0] > 0) and np.all(np.diag(seen, -width) > 0)


@pytest.mark.parametrize("item_shape", [(3, 4, 1), (4, 3, 2), (7,)])
def test_draws_and_means_obey_the_chain_rule(item_shape):
    p, u = at(item_shape, rows=50), uniforms(50, item_shape)
    x, flat = draw(p, u), tf.reshape(u, [50, -1])
    assert set(np.unique(x)) == {0.0, 1.0}
    # x_i = 1 where 1 - u_i < p(x_i = 1 | x_1 ... x_(i-1))
    np.testing.assert_array_equal(tf.reshape(x, [50, -1]), 1 - flat < tf.sigmoid(logits(p, x)))
    # The "mean": each pixel's probability given the means of those before it
    mean = p.mean()
    np.testing.assert_allclose(tf.reshape(mean, [50, -1]), tf.sigmoid(logits(p, mean)), rtol=1e-4)


@pytest.mark.parametrize(("kernel_size", "num_layers"), [(3, 0), (3, 1), (5, 1), (3, 3)])
def test_only_the_part_within_reach_is_computed_and_tells_all(kernel_size, num_layers):
    """A part that is one too small leaves out what a pixel sees; images larger and smaller than the reach."""
    component = AutoregressiveBernoulli(filters=6, kernel_size=kernel_size, num_layers=num_layers)
    for item_shape in ((7, 11, 1), (3, 4, 1)):
        p, u = at(item_shape, rows=20, component=component), uniforms(20, item_shape)
        whole = Autoregressive(p._logits_of, p.context)
        assert p._reach == (kernel_size // 2) * (1 + num_layers)
        (x, mean), (expected, other) = (tf.function(lambda q=q, u=u: (q.draw(u), q.mean()))() for q in (p, whole))
        np.testing.assert_array_equal(x, expected)
        np.testing.assert_allclose(mean, other, atol=1e-5)


def test_a_draw_belongs_to_its_rows_own_numbers():
    p, u = at((3, 4, 1), rows=6), uniforms(6, (3, 4, 1))
    x, order = draw(p, u).numpy(), [4, 0, 5]
    alone = Autoregressive(p._logits_of, tf.gather(p.context, order), reach=p._reach)
    np.testing.assert_array_equal(alone.draw(tf.gather(u, order)), x[order])


def test_samples_have_their_probabilities_at_each_z():
    p, count, images = at((2, 2, 1), rows=2), 4_000, all_images((2, 2, 1))
    x = p.sample(count, seed=(1, 2)).numpy()
    assert x.shape == (count, 2, 2, 2, 1)
    np.testing.assert_array_equal(p.sample(count, seed=(1, 2)), x)
    for row in range(2):
        found = np.bincount((x[:, row].reshape(count, 4) @ [8, 4, 2, 1]).astype(int), minlength=16) / count
        expected = np.exp(p.log_prob(images[:, None])[:, row])
        assert np.all(np.abs(found - expected) < 4.5 * np.sqrt(expected / count) + 1e-3), row


def test_the_mask_of_a_kernel():
    layer = MaskedConv2D(1, 3, sees_itself=False, kernel_initializer="ones")
    found = layer(tf.reshape(2.0 ** np.arange(9, dtype=np.float32), [1, 3, 3, 1]))
    assert found[0, 1, 1, 0] == 1 + 2 + 4 + 8 and found[0, 0, 0, 0] == 0 and found[0, 2, 0, 0] == 8 + 16
    layer = MaskedConv2D(1, (1, 3), sees_itself=True, kernel_initializer="ones")
    found = layer(tf.reshape(2.0 ** np.arange(9, dtype=np.float32), [1, 3, 3, 1]))
    assert found[0, 1, 1, 0] == 8 + 16 and found[0, 1, 0, 0] == 8


def test_an_even_kernel_is_refused():
    with pytest.raises(InputError, match=r"^model\.likelihood\.kernel_size: received 4, expected an odd number"):
        config.validate(AutoregressiveBernoulli(kernel_size=4), "model.likelihood.")


def test_decoding_unrolls_nothing_until_a_mean_is_asked_for():
    """As a tensor it is what the decoder alone says: a pass for each pixel in each step would be far too slow."""
    vae = small_vae((4, 4, 1), likelihood=SMALL)
    for variable in vae.decoder.trainable_variables:
        variable.assign_add(tf.ones_like(variable) / 10)

    def ops(function):
        graph = tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec([2, 3])).graph.as_graph_def()
        return {node.op for node in graph.node}

    x = all_images((4, 4, 1))[:2]
    assert "While" not in ops(lambda z: vae.decode(z).log_prob(x)) and "While" in ops(lambda z: vae.decode(z).mean())
    z = tf.zeros([2, 3])
    np.testing.assert_allclose(tf.convert_to_tensor(vae.decoder(z)), tf.sigmoid(vae.decode(z).context), rtol=1e-6)
    assert np.abs(vae.decode(z).mean() - tf.convert_to_tensor(vae.decoder(z))).max() > 0.01


def test_training_learns_what_independent_pixels_cannot():
    """Stripes of random colour, each two pixels wide: log p = -8 log 2 at best, -16 log 2 for independent pixels."""
    x = np.repeat(np.random.default_rng(0).integers(0, 2, (200, 4, 2, 1)), 2, axis=2).astype(np.float32)
    reached = {}
    for likelihood in (Bernoulli(), SMALL):
        vae = small_vae((4, 4, 1), latent_size=1, likelihood=likelihood)
        vae.compile(tf_keras.optimizers.Adam(0.02), jit_compile=False)
        vae.fit(x, batch_size=50, epochs=20, verbose=0)
        reached[likelihood.tag] = vae.evaluate(x, verbose=0, return_dict=True)["elbo"]
    assert reached["autoregressive_bernoulli"] > -8 * np.log(2) - 0.8 and reached["bernoulli"] < -9
