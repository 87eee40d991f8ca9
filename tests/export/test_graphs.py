"""A graph with short names computes what it did."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfvae.export.graphs import shrink


@tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, "x")], autograph=False)
def function(x):
    with tf.name_scope("a_name_as_long_as_those_of_distributions_are"):
        check = tf.debugging.assert_less(x, 1e6, "too large")
        with tf.control_dependencies([check]):
            y = tf.identity(x)

        def body(step, total):
            # Equal constants, of equal and of other types.
            return step + 1, total + tf.cast(step, tf.float32) * y * tf.constant(2.0) + tf.constant(2.0)

        _, total = tf.while_loop(lambda step, _: step < 5, body, (tf.constant(0), tf.zeros_like(y)))
        return {"y": tf.cond(tf.shape(y)[0] > 1, lambda: total + 2.0, lambda: total - 2.0), "n": tf.shape(y)[0] + 2}


def functions(folder):
    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    return model.meta_graphs[0].graph_def.library.function


def test_the_numbers_are_the_same(tmp_path):
    tf.saved_model.save(tf.Module(), tmp_path, signatures=function.get_concrete_function())
    before, size = functions(tmp_path), (tmp_path / "saved_model.pb").stat().st_size
    hashed = (tmp_path / "fingerprint.pb").read_bytes()
    shrink(str(tmp_path))
    after = functions(tmp_path)
    assert (tmp_path / "saved_model.pb").stat().st_size < 0.6 * size
    assert (tmp_path / "fingerprint.pb").read_bytes() != hashed
    assert len(before) == len(after) > 4 and max(len(node.name) for one in after for node in one.node_def) < 5
    nodes, fewer = (sum(len(one.node_def) for one in some) for some in (before, after))
    assert fewer < nodes
    run = tf.saved_model.load(tmp_path).signatures["serving_default"]
    for rows in (1, 4):
        x = tf.constant(np.random.default_rng(0).normal(size=(rows, 3)), tf.float32)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            found, expected = run(x=x), function(x)
        for key, value in expected.items():
            np.testing.assert_array_equal(found[key], value)
        np.testing.assert_array_equal(tape.gradient(found["y"], x), tape.gradient(expected["y"], x))
    # An assertion is an op that nothing takes from, and stays.
    with pytest.raises(tf.errors.InvalidArgumentError, match="too large"):
        run(x=tf.fill([2, 3], 1e7))
