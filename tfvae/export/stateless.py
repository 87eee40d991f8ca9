"""No random number of an export comes from a state: what takes such ops out of a graph, and what finds them."""

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tfvae.checks import distribution_layer
from tfvae.vae import VAE


@contextlib.contextmanager
def without_draws(vae: VAE) -> Iterator[None]:
    """While it lasts, the model's two distribution layers make zeros instead of their value as a tensor.

    A `tfp.layers` layer always computes that value: by default a draw, a stateful op that no graph prunes.
    Signatures use the distribution alone.
    """
    layers = [distribution_layer(vae.encoder, "encoder"), distribution_layer(vae.decoder, "decoder")]
    before = [layer.function for layer in layers]
    try:
        for layer in layers:
            # The function of a layer holds its conversion in a closure: one of another layer replaces it.
            layer.function = tfp.layers.DistributionLambda(layer._make_distribution_fn, _zeros).function
        yield
    finally:
        for layer, function in zip(layers, before, strict=True):
            layer.function = function


def _zeros(distribution: tfd.Distribution) -> tf.Tensor:
    shape = tf.concat([distribution.batch_shape_tensor(), distribution.event_shape_tensor()], axis=0)
    return tf.zeros(shape, distribution.dtype)


def stateful_random_ops(function: Any) -> set[str]:
    """The types of the random ops with a state of their own in a concrete function and all that it calls."""
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for called in graph.library.function for node in called.node_def)]
    with_seeds = {node.op for node in nodes if {"seed", "seed2"} <= set(node.attr)}
    return with_seeds | {node.op for node in nodes if node.op.startswith(("StatefulRandom", "StatefulU", "Rng"))}
