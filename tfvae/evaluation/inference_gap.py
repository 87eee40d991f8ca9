"""How much of log p(x) the ELBO misses, and whose fault that is (Cremer et al. 2018).

log p(x) - L[q] = (log p(x) - L[q*]) + (L[q*] - L[q]): the approximation gap of the posterior's family, whose best
member for x is q*, and the amortization gap of the encoder, one network for all x.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae import random
from tfvae.data import DataSet, Split
from tfvae.evaluation.common import NotApplicable, batches, standard_error
from tfvae.evaluation.estimators.importance import samples_at_once
from tfvae.evaluation.importance import importance_estimate
from tfvae.regularizers import plain, rate
from tfvae.reparameterization import reparameterize
from tfvae.rows import plain_rows
from tfvae.vae import VAE

_OPTIMIZATION, _SELECTION = 1, 2  # uses of a row's keys apart from the draws of the figures
_SELECTION_SAMPLES = 1_000  # at most

# Of Adam, as in the paper (Kingma & Ba 2015, algorithm 1).
_DECAY, _SQUARE_DECAY, _EPSILON = 0.9, 0.999, 1e-8


def inference_gap(
    vae: VAE,
    dataset: DataSet,
    split: Split,
    *,
    seed: int = 0,
    max_examples: int = 100,
    num_steps: int = 500,
    num_pairs: int = 4,
    learning_rate: float = 0.03,
    num_samples: int = 5000,
    batch_size: int = 100,
) -> dict[str, Any]:
    """log p(x) - ELBO as approximation gap + amortization gap (Cremer et al. 2018, section 3).

    Each example gets a posterior q* of its own, of the encoder's family: its parameters begin as the encoder's and
    climb the ELBO. log p(x) is the importance-weighted estimate with q* as proposal, in expectation a lower bound.

    Args:
      vae: the model.
      dataset: not looked at.
      split: the examples.
      seed: of all draws, which belong to an example.
      max_examples: so many are looked at.
      num_steps: of the climb.
      num_pairs: draws of z at each step, each with its mirror image.
      learning_rate: the first one; it falls to 0 along half a cosine.
      num_samples: K, draws for each figure.
      batch_size: examples at once; results do not depend on it beyond rounding.

    Returns:
      nats per example, each with `<name>_standard_error` over examples (None for one): `elbo` L[q], `local_elbo` L[q*],
      `log_likelihood`, and `inference_gap` = `approximation_gap` + `amortization_gap`. `effective_sample_size` is that
      of the weights of log p(x), from 1 to K, in the mean. Of `num_examples`, `num_improved` kept the end of the climb.

    Raises:
      NotApplicable: where the parameters of q(z|x) cannot be had of the encoder.
    """
    del dataset
    jit, chunk_size = vae.use_jit("auto"), samples_at_once(vae, num_samples, batch_size)
    counts = tf.constant(num_samples), tf.constant(min(num_samples, _SELECTION_SAMPLES))

    @tf.function(jit_compile=jit, autograph=False)
    def optimize(x: tf.Tensor, labels: tf.Tensor | None, keys: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with plain_rows(batch_size, labels=labels).current():
            start = posterior_parameters(vae, x)
            end = climb(vae, x, keys, start, num_steps=num_steps, num_pairs=num_pairs, learning_rate=learning_rate)
        return start, end

    @tf.function(jit_compile=jit, autograph=False)
    def weigh(
        x: tf.Tensor, labels: tf.Tensor | None, keys: tf.Tensor, parameters: tf.Tensor, count: tf.Tensor
    ) -> tf.Tensor:
        """ELBO, log p(x) and effective sample size by `count` draws from the posterior: float64 `[3, rows]`."""
        with plain_rows(batch_size, labels=labels).current():
            posterior = posterior_of(vae, parameters)
            found = importance_estimate(vae, x, keys, num_samples=count, chunk_size=chunk_size, posterior=posterior)
        return tf.stack([-(found.rate + found.distortion), found.log_likelihood, found.effective_sample_size])

    columns = []
    for batch in batches(split, batch_size=batch_size, labels=bool(vae.num_labels), max_examples=max_examples):
        rows = batch.first + tf.range(batch_size, dtype=tf.int64)
        keys = random.row_keys(seed, random.EVALUATION, rows=rows)
        start, end = optimize(batch.x, batch.labels, random.fold_in(keys, _OPTIMIZATION))
        others = random.fold_in(keys, _SELECTION)
        before, after = (weigh(batch.x, batch.labels, others, parameters, counts[1])[0] for parameters in (start, end))
        # False too where the climb left the numbers.
        improved = after > before
        local = tf.where(tf.reshape(improved, [-1] + [1] * (start.shape.rank - 1)), end, start)
        # Common draws: what both have by chance cancels in the difference.
        encoder, own = (weigh(batch.x, batch.labels, keys, parameters, counts[0]) for parameters in (start, local))
        found = tf.concat([encoder[:1], own, tf.cast(improved, tf.float64)[None]], axis=0)
        columns.append(found.numpy()[:, : batch.count])
    elbo, local_elbo, log_likelihood, effective_sample_size, improved = np.concatenate(columns, axis=1)
    result: dict[str, Any] = {"num_examples": len(elbo), "num_steps": num_steps, "num_samples": num_samples}
    for name, per_example in {
        "elbo": elbo,
        "local_elbo": local_elbo,
        "log_likelihood": log_likelihood,
        "inference_gap": log_likelihood - elbo,
        "approximation_gap": log_likelihood - local_elbo,
        "amortization_gap": local_elbo - elbo,
    }.items():
        result[name] = float(per_example.mean())
        result[f"{name}_standard_error"] = standard_error(per_example)
    return result | {
        "effective_sample_size": float(effective_sample_size.mean()),
        "num_improved": int(improved.sum()),
        "method": f"The first {len(elbo)} examples. The local posterior, of the encoder's family, made {num_steps} "
        f"steps of Adam from the encoder's parameters, by {2 * num_pairs} draws each; of start and end every example "
        f"keeps the better by {int(counts[1])} other draws, so that no step makes it worse. The figures are from "
        f"{num_samples} further draws; log p(x) is a lower bound, by importance with the local posterior as proposal."
        + _of_flows(vae),
    }


def _of_flows(vae: VAE) -> str:
    """What is to be said where the posterior's layer has weights, which all examples share."""
    if not vae.posterior_layer.weights:
        return ""
    return (
        " The posterior's layer has weights of its own, a flow's networks, which stay those of all examples: part of "
        "the amortization gap counts as approximation gap."
    )


def posterior_parameters(vae: VAE, x: tf.Tensor) -> tf.Tensor:
    """What the encoder's network gives its `tfp.layers` layer.

    Args:
      vae: the model; its encoder may hold that layer at any depth.
      x: `[rows, *item_shape]`.

    Returns:
      float32 `[rows, ...]`; mostly of one more axis.

    Raises:
      NotApplicable: for an encoder where that alone does not make q(z|x).
    """
    with _calls(vae.posterior_layer) as calls:
        posterior = vae.encode(x)
    if len(calls) != 1 or calls[0][1] is not posterior:
        raise NotApplicable("the encoder's posterior is not what its last tfp.layers layer makes in one call")
    parameters = calls[0][0]
    if not tf.is_tensor(parameters) or not parameters.dtype.is_floating or parameters.shape[:1] != x.shape[:1]:
        raise NotApplicable("the encoder's tfp.layers layer takes something else than one tensor of numbers for each x")
    return parameters


def posterior_of(vae: VAE, parameters: tf.Tensor) -> tfd.Distribution:
    """q(z; parameters), of the family of q(z|x): see `posterior_parameters`."""
    # Without the call of Keras, which would draw and regularize too.
    return plain(vae.posterior_layer._make_distribution_fn(parameters))


@contextlib.contextmanager
def _calls(layer: Any) -> Iterator[list[tuple[Any, tfd.Distribution]]]:
    """While it lasts, (input, distribution) of each call of a `tfp.layers` layer are added to the list."""
    calls: list[tuple[Any, tfd.Distribution]] = []
    before = layer.function

    def function(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        distribution, value = before(inputs, *args, **kwargs)
        calls.append((inputs, plain(distribution)))
        return distribution, value

    layer.function = function
    try:
        yield calls
    finally:
        layer.function = before


def climb(
    vae: VAE,
    x: tf.Tensor,
    keys: tf.Tensor,
    start: tf.Tensor,
    *,
    num_steps: int,
    num_pairs: int,
    learning_rate: float,
) -> tf.Tensor:
    """Adam on the ELBO of each example by the parameters of its posterior.

    Its moments are kept for each number, so that no example feels another.

    Args:
      vae: the model.
      x: `[rows, *item_shape]`.
      keys: uint32 `[rows, 2]`, of each row's noise.
      start: parameters, `[rows, ...]`.
      num_steps, num_pairs, learning_rate: see `inference_gap`.

    Returns:
      parameters, the shape of `start`.
    """

    def gradient_at(step: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        half = random.normals(keys, vae.latent_size, num_samples=num_pairs, first_sample=step * num_pairs)
        noise = tf.concat([half, -half], axis=0)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(parameters)
            posterior = posterior_of(vae, parameters)
            z = reparameterize(posterior, noise)
            # L[q] = E_q[log p(x|z)] - KL(q || p)
            log_likelihood = tf.reduce_mean(vae.log_likelihood(x, z), axis=0)
            elbo = log_likelihood - rate(posterior, vae.prior, noise, z)
        gradient = tape.gradient(elbo, parameters)
        return tf.where(tf.math.is_finite(gradient), gradient, 0.0)

    def body(step: tf.Tensor, parameters: tf.Tensor, mean: tf.Tensor, square: tf.Tensor) -> Any:
        gradient = gradient_at(step, parameters)
        mean = _DECAY * mean + (1.0 - _DECAY) * gradient
        square = _SQUARE_DECAY * square + (1.0 - _SQUARE_DECAY) * gradient**2
        done = tf.cast(step, tf.float32)
        size = 0.5 * learning_rate * (1.0 + tf.cos(math.pi * done / num_steps))
        unbiased = mean / (1.0 - _DECAY ** (done + 1.0))
        parameters += size * unbiased / (tf.sqrt(square / (1.0 - _SQUARE_DECAY ** (done + 1.0))) + _EPSILON)
        return step + 1, parameters, mean, square

    zeros = tf.zeros_like(start)
    _, end, _, _ = tf.while_loop(
        lambda step, *_: step < num_steps, body, (tf.constant(0), start, zeros, zeros), parallel_iterations=1
    )
    return end
