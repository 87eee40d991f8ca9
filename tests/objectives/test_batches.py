"""Every objective, however it is run: a ragged batch, padding, XLA, stacked steps and replicas change nothing."""

import contextlib
import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.helpers import binary_data, small_vae
from tests.objectives.common import rows_of, spread, value_and_gradient
from tfvae import networks, schedules
from tfvae.baselines import Autoencoder, WakeSleep
from tfvae.objectives import IWAE, MAP, SGVB_A, SGVB_B, BetaTCVAE, Capacity, FreeBits, FullVB, InfoVAE
from tfvae.rows import Rows, gather_replicas, global_mean, own_rows

OBJECTIVES = {
    "sgvb_a": SGVB_A(num_samples=2),
    "sgvb_b": SGVB_B(kl_weight=2.0),
    "iwae": IWAE(num_samples=3),
    "iwae_dreg": IWAE(num_samples=3, gradient="dreg"),
    "iwae_stl": IWAE(num_samples=3, gradient="stl"),
    # The capacity is passed between the steps.
    "capacity": Capacity(gamma=0.5, capacity=6.0, capacity_schedule=schedules.Linear(num_steps=4)),
    "free_bits": FreeBits(free_nats=1.0),
    "beta_tcvae": BetaTCVAE(num_samples=2, beta=3.0),
    "info_vae": InfoVAE(scale=20.0, num_samples=2),
    "map": MAP(objective=BetaTCVAE(gamma=2.0)),
    "full_vb": FullVB(objective=IWAE(num_samples=2, gradient="dreg")),
    "autoencoder": Autoencoder(corruption="gaussian", level=0.3),
    "wake_sleep": WakeSleep(num_samples=2),
}
every = pytest.mark.parametrize("name", OBJECTIVES)
NUM_ROWS = 5


def vae_for(name):
    vae = spread(small_vae(network=networks.BayesianMLP(hidden=(8,)) if name == "full_vb" else None))
    vae.num_examples = NUM_ROWS
    return vae


def padded(rows, size):
    """The same rows, and others that weigh nothing."""
    longer = rows_of(size)
    real = NUM_ROWS * [1.0] + (size - NUM_ROWS) * [0.0]
    longer.weights, longer.total, longer.draw_weights = tf.constant(real), rows.total, rows.draw_weights
    return longer


@functools.cache
def unpadded(name):
    """The loss and the gradient of five rows, eagerly."""
    rows = rows_of(NUM_ROWS)
    rows.draw_weights = True
    return value_and_gradient(vae_for(name), binary_data(NUM_ROWS), OBJECTIVES[name], rows)


def assert_equal_results(found, expected, **tolerance):
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    for ours, theirs in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(ours, theirs, **{"atol": 2e-5} | tolerance)


@every
def test_padding_touches_no_real_row(name):
    x = np.concatenate([binary_data(NUM_ROWS), np.ones([3, 6, 5, 1], np.float32)])
    rows = rows_of(NUM_ROWS)
    rows.draw_weights = True
    assert_equal_results(value_and_gradient(vae_for(name), x, OBJECTIVES[name], padded(rows, 8)), unpadded(name))


@pytest.mark.parametrize("name", ["iwae_stl", "capacity", "free_bits", "info_vae", "map", "full_vb", "wake_sleep"])
def test_compiled_in_a_loop_equals_eager(name):
    vae, x = vae_for(name), binary_data(NUM_ROWS)

    def body(turn, *_):
        rows = rows_of(NUM_ROWS)
        rows.draw_weights = True
        loss, gradient = value_and_gradient(vae, x, OBJECTIVES[name], rows)
        return turn + 1, loss, *gradient

    @functools.partial(tf.function, jit_compile=True, autograph=False)
    def run():
        start = tf.constant(0), tf.zeros([]), *map(tf.zeros_like, vae.trainable_variables)
        return tf.while_loop(lambda turn, *_: turn < 1, body, start)

    _, loss, *gradient = run()
    assert_equal_results((loss, gradient), unpadded(name))


BATCH_LEVEL = ("capacity", "free_bits", "beta_tcvae", "info_vae")


@pytest.mark.parametrize(("name", "first"), [(n, 3) for n in OBJECTIVES] + [(n, 5) for n in BATCH_LEVEL])
def test_two_replicas_equal_one_device(name, first, two_replicas):
    """The batch is cut into 3 and 2 rows, or the second replica has padding only."""
    with two_replicas.scope():
        vae = vae_for(name)
    x = np.concatenate([binary_data(NUM_ROWS), np.zeros([5, 6, 5, 1], np.float32)])
    whole = padded(rows_of(NUM_ROWS), 10)
    places = np.arange(5), np.arange(first, first + 5)
    weights = [tf.constant((p < (first, NUM_ROWS)[i]).astype(np.float32)) for i, p in enumerate(places)]

    def step(replica):
        index = tf.distribute.get_replica_context().replica_id_in_sync_group
        del replica
        rows = Rows(weights=weights[index], total=whole.total, keys=tf.gather(whole.keys, places[index]))
        rows.draw_weights = True
        loss, gradient = value_and_gradient(vae, x[places[index]], OBJECTIVES[name], rows)
        return tf.distribute.get_replica_context().all_reduce("sum", [loss, *gradient])

    loss, *gradient = two_replicas.run(step, args=(0,))
    local = two_replicas.experimental_local_results
    assert_equal_results((local(loss)[0], [local(g)[0] for g in gradient]), unpadded(name))


def fit(name, *, scope=None, **kwargs):
    """The figures of training, and the weights, after batches of 6, 6 and 1."""
    with scope or contextlib.nullcontext():
        vae = spread(small_vae())
        vae.compile(tf_keras.optimizers.SGD(0.02), objective=OBJECTIVES[name], num_examples=13, **kwargs)
    history = vae.fit(binary_data(13), batch_size=6, shuffle=False, verbose=0).history
    return np.concatenate(list(history.values())), [v.numpy() for v in vae.trainable_variables]


def test_steps_padded_stacked_and_compiled_equal_steps_one_by_one():
    stacked = fit("iwae_dreg", jit_compile=True, steps_per_execution=2, batch_size=8)
    assert_equal_results(stacked, fit("iwae_dreg", run_eagerly=True))


def test_steps_on_two_replicas_equal_steps_on_one(two_replicas):
    replicated = fit("beta_tcvae", scope=two_replicas.scope(), jit_compile=False)
    assert_equal_results(replicated, fit("beta_tcvae", run_eagerly=True))


@every
def test_extreme_outputs_give_finite_losses_and_gradients(name):
    vae, x = vae_for(name), binary_data(6)
    vae.encoder.trainable_variables[-1].assign(1e4 * np.array([1, -1, 1, 1, 1, -1]))
    vae.decoder.trainable_variables[-1].assign(1e4 * (-1.0) ** np.arange(30))
    loss, gradient = value_and_gradient(vae, x, OBJECTIVES[name])
    assert np.isfinite(loss) and all(np.isfinite(g).all() for g in gradient)


def test_rows_are_gathered_across_replicas_with_their_gradients(two_replicas):
    """The replicas hold 2 and 3 rows, as Keras may cut a batch by itself."""
    values = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)

    def step(mine, weights):
        with tf.GradientTape() as tape:
            tape.watch(mine)
            everything = gather_replicas(mine)
            # Each replica's share of a loss over all pairs of rows
            loss = tf.reduce_sum(tf.linalg.matmul(everything, everything, transpose_b=True) ** 2) / 2.0
        rows = rows_of(len(mine))
        rows.weights = weights
        return everything, own_rows(everything, len(mine)), tape.gradient(loss, mine), global_mean(rows, mine)

    mine = [tf.constant(values[:2]), tf.constant(values[2:])]
    weights = [tf.constant([1.0, 0.0]), tf.constant([0.5, 1.0, 1.0])]
    distributed = [
        two_replicas.experimental_distribute_values_from_function(lambda c, p=p: p[c.replica_id_in_sync_group])
        for p in (mine, weights)
    ]
    everything, own, gradients, means = map(
        two_replicas.experimental_local_results, two_replicas.run(step, args=tuple(distributed))
    )
    expected = 4 * values @ values.T @ values
    mean = np.average(values, axis=0, weights=[1, 0, 0.5, 1, 1])
    for replica in range(2):
        np.testing.assert_array_equal(everything[replica], values)
        np.testing.assert_array_equal(own[replica], mine[replica])
        np.testing.assert_allclose(means[replica], mean, rtol=1e-5)
    np.testing.assert_allclose(np.concatenate(gradients), expected, rtol=1e-4)
    np.testing.assert_array_equal(gather_replicas(mine[1]), mine[1])
