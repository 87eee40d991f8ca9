"""What an estimator of log p(x) is, and what all of them say of their result."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tfvae import random
from tfvae.component import Component
from tfvae.evaluation.common import standard_error
from tfvae.reparameterization import draw_prior, reparameterize
from tfvae.vae import VAE

# Rows x samples that are decoded at once, or rows x chains where one row has fewer: that bounds memory. The draws that
# `hmc_density` fits a density to are held besides, and the chains of one row are moved together.
DECODES_AT_ONCE = 5_000

# Weights of so few effective samples are off by a third of a nat and more.
FEW_SAMPLES = 10

# Uses of a row's noise besides the posterior samples of `importance_estimate`.
START, WARM_UP, CHAINS, SECOND_START, SECOND_CHAINS, BACKWARD, DATA = range(101, 108)

Columns = dict[str, np.ndarray]


class Estimator(Component):
    """Kind of an estimator of log p(x). Its fields are its settings.

    Attributes:
      simulates: whether it looks at examples drawn from the model, in the place of those of the split.
      max_examples: how many examples of a split it takes; None: all.
    """

    __slots__ = ()

    simulates: ClassVar[bool] = False
    max_examples: int | None = None

    @property
    def method(self) -> str:
        """How the numbers are made, in a sentence, for reports."""
        raise NotImplementedError

    def rows_at_once(self, vae: VAE) -> int:
        """Examples in a batch. Results of estimators that run Markov chains hang on it within their errors."""
        raise NotImplementedError

    def simulate(self, vae: VAE, keys: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """z ~ p(z) `[rows, latent_size]` and x ~ p(x|z) `[rows, *item_shape]`, where `simulates`."""
        z = draw_prior(vae.prior, random.fold_in(keys, DATA))
        return z, vae.decode(z).sample(seed=chain_seed(keys, DATA))

    def estimate(self, vae: VAE, x: tf.Tensor, keys: tf.Tensor, z: tf.Tensor | None) -> dict[str, tf.Tensor]:
        """Columns for each example.

        Args:
          vae: the model.
          x: `[rows, *item_shape]`.
          keys: uint32 `[rows, 2]`, of each row's noise.
          z: what x was made of, `[rows, latent_size]`, where `simulates`.

        Returns:
          float64 `[rows]` each, among them `log_likelihood` in nats and `monte_carlo_variance`, the square of its
          error at that very example, NaN where it is unknown.
        """
        raise NotImplementedError

    def summary(self, columns: Columns) -> dict[str, Any]:
        """What the result says besides log p(x) and its errors: averages of further columns."""
        return {}

    def warnings(self, vae: VAE, columns: Columns) -> list[str]:
        """What a reader should know before trusting the result; empty where all is well."""
        return []

    def settings(self) -> dict[str, Any]:
        """The fields, as JSON has them."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]


def average(columns: Columns, name: str = "log_likelihood", variance: str = "monte_carlo_variance") -> dict[str, Any]:
    """The mean of a column and its two errors.

    Returns:
      `<name>`, nats; `<name>_standard_error`, of the mean over examples that stand for others like them; and
      `<name>_monte_carlo_error`, of the mean at these very examples, which more samples would lower. The
      first contains the second. None where unknown.
    """
    values, unknown = columns[name], bool(np.isnan(columns[variance]).any())
    return {
        name: float(values.mean()),
        f"{name}_standard_error": standard_error(values),
        f"{name}_monte_carlo_error": None if unknown else float(np.sqrt(columns[variance].sum()) / len(values)),
    }


def log_mean(log_values: tf.Tensor) -> tf.Tensor:
    """log 1/K sum_k exp(log_values_k) of `[K, ...]`: `[...]`."""
    return tf.reduce_logsumexp(log_values, axis=0) - tf.math.log(tf.cast(log_values.shape[0], log_values.dtype))


def effective_sample_size(log_weights: tf.Tensor) -> tf.Tensor:
    """(sum_k w_k)^2 / sum_k w_k^2 of `[K, ...]`: `[...]`, from 1 to K."""
    return tf.exp(2.0 * tf.reduce_logsumexp(log_weights, axis=0) - tf.reduce_logsumexp(2.0 * log_weights, axis=0))


def variance_of_log_mean(effective: tf.Tensor, count: int) -> tf.Tensor:
    """The variance of the log of a mean weight, by the delta method; NaN for one sample.

    Args:
      effective: the effective sample size, `[rows]`.
      count: K.
    """
    if count == 1:
        return tf.fill(tf.shape(effective), tf.constant(np.nan, effective.dtype))
    # Var(w) / (K E[w]^2) = (1 / ESS - 1 / K) K / (K - 1)
    return tf.maximum(1.0 / effective - 1.0 / count, 0.0) * count / (count - 1)


def chain_seed(keys: tf.Tensor, use: int) -> tf.Tensor:
    """int32 `[2]`: a seed for TFP's samplers, which draw for a whole batch, from that of its first row."""
    return tf.bitcast(random.fold_in(keys[:1], use)[0], tf.int32)


def prior_draws(vae: VAE, keys: tf.Tensor, use: int, count: int) -> tf.Tensor:
    """z ~ p(z), `[count, rows, latent_size]`."""
    own = random.split(random.fold_in(keys, use), count)
    return tf.reshape(draw_prior(vae.prior, tf.reshape(own, [-1, 2])), [count, keys.shape[0], vae.latent_size])


def posterior_draws(vae: VAE, posterior: Any, keys: tf.Tensor, use: int, count: int) -> tf.Tensor:
    """z ~ q(z|x), `[count, rows, latent_size]`."""
    noise = random.normals(random.fold_in(keys, use), vae.latent_size, num_samples=count)
    return reparameterize(posterior, noise)
