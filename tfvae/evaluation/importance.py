"""The importance-weighted estimate of log p(x), streamed over samples in bounded memory."""

import dataclasses
from typing import Any

import tensorflow as tf

from tfvae import random
from tfvae.regularizers import log_ratio as log_ratio_of
from tfvae.reparameterization import reparameterize
from tfvae.vae import VAE


@dataclasses.dataclass
class Estimate:
    """Estimates for each example from the same posterior samples, all `[rows]`, in nats.

    Attributes:
      log_likelihood: log 1/K sum_k p(x, z_k) / q(z_k|x), a lower bound of log p(x) in
        expectation (Burda et al. 2016, equation 8).
      distortion: -1/K sum_k log p(x|z_k).
      rate: 1/K sum_k log q(z_k|x) - log p(z_k).
    """

    log_likelihood: tf.Tensor
    distortion: tf.Tensor
    rate: tf.Tensor


def importance_estimate(
    vae: VAE, x: tf.Tensor, keys: tf.Tensor, *, num_samples: int | tf.Tensor, chunk_size: int
) -> Estimate:
    """Draws z_k from q(z|x), `chunk_size` at a time.

    Args:
      x: `[rows, *item_shape]`.
      keys: uint32 `[rows, 2]`, of each row's noise.
      num_samples: K, a scalar.
      chunk_size: samples of each row that are decoded at once; results do not depend on it.

    Returns:
      float64 tensors `[rows]`: sums of thousands of float32 numbers would lose digits.
    """
    posterior = vae.encode(x)
    num_samples = tf.cast(num_samples, tf.int64)
    zeros = tf.zeros_like(keys[:, 0], tf.float64)

    def body(first: Any, log_sum: Any, distortion: Any, rate: Any) -> Any:
        noise = random.normals(keys, vae.latent_size, num_samples=chunk_size, first_sample=first)
        z = reparameterize(posterior, noise)
        log_likelihood = tf.cast(vae.log_likelihood(x, z), tf.float64)
        log_ratio = tf.cast(log_ratio_of(posterior, vae.prior, noise, z), tf.float64)
        # The last chunk may reach past K.
        counts = (first + tf.range(chunk_size, dtype=tf.int64) < num_samples)[:, None]
        # log w_k = log p(x|z_k) + log p(z_k) - log q(z_k|x)
        log_weights = tf.where(counts, log_likelihood - log_ratio, tf.constant(-float("inf"), tf.float64))
        log_sum = tf.reduce_logsumexp(tf.concat([log_sum[None], log_weights], axis=0), axis=0)
        distortion -= tf.reduce_sum(tf.where(counts, log_likelihood, 0.0), axis=0)
        rate += tf.reduce_sum(tf.where(counts, log_ratio, 0.0), axis=0)
        return first + chunk_size, log_sum, distortion, rate

    start = (tf.zeros([], tf.int64), zeros - float("inf"), zeros, zeros)
    _, log_sum, distortion, rate = tf.while_loop(
        lambda first, *_: first < num_samples, body, start, parallel_iterations=1
    )
    count = tf.cast(num_samples, tf.float64)
    return Estimate(log_sum - tf.math.log(count), distortion / count, rate / count)
