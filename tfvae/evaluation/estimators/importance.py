"""Importance sampling from the encoder."""

import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.component import bounded
from tfvae.evaluation.common import standard_error
from tfvae.evaluation.estimators import base
from tfvae.evaluation.estimators.base import FEW_SAMPLES, Columns, Estimator, variance_of_log_mean
from tfvae.evaluation.importance import importance_estimate
from tfvae.vae import VAE

_ROWS = 100
# Of x, in all decodes at once: what a decoder gives should stay in a processor's caches. Measured: of 784 numbers 2,000
# decodes at once were a tenth faster than 5,000.
_NUMBERS_AT_ONCE = 3 * 2**19


def samples_at_once(vae: VAE, num_samples: int, rows: int) -> int:
    """How many of K samples are decoded at once for each of so many rows; results do not depend on it."""
    most = base.DECODES_AT_ONCE
    if not tf.config.list_logical_devices("GPU"):
        most = min(most, _NUMBERS_AT_ONCE // math.prod(vae.item_shape))
    return max(1, min(num_samples, most // rows))


@dataclasses.dataclass(kw_only=True, slots=True)
class Importance(Estimator):
    """log 1/K sum_k p(x, z_k) / q(z_k|x), z_k ~ q(z|x): a lower bound in expectation (Burda et al. 2016, equation 8).

    Streamed over samples and examples: memory does not grow with either.

    Attributes:
      num_samples: K.
    """

    num_samples: int = bounded(500, low=1)

    @property
    def method(self) -> str:
        """How the numbers are made."""
        return (
            f"Importance-weighted bound (Burda et al. 2016) from K = {self.num_samples} samples of the encoder's "
            "posterior for each example; ELBO, rate and distortion are averages over the same samples."
        )

    def rows_at_once(self, vae: VAE) -> int:
        """Examples in a batch; results do not depend on it."""
        return _ROWS

    def estimate(self, vae: VAE, x: tf.Tensor, keys: tf.Tensor, z: tf.Tensor | None) -> dict[str, tf.Tensor]:
        """Columns: see `tfvae.evaluation.importance.Estimate`."""
        chunk_size = samples_at_once(vae, self.num_samples, int(keys.shape[0]))
        found = importance_estimate(vae, x, keys, num_samples=self.num_samples, chunk_size=chunk_size)
        return {
            **vars(found),
            "monte_carlo_variance": variance_of_log_mean(found.effective_sample_size, self.num_samples),
        }

    def summary(self, columns: Columns) -> dict[str, Any]:
        """The ELBO and its terms, nats, and the median of the effective sample size."""
        rate, distortion = float(columns["rate"].mean()), float(columns["distortion"].mean())
        return {
            "elbo": -(rate + distortion),
            "elbo_standard_error": standard_error(columns["rate"] + columns["distortion"]),
            "rate": rate,
            "rate_standard_error": standard_error(columns["rate"]),
            "distortion": distortion,
            "distortion_standard_error": standard_error(columns["distortion"]),
            "num_samples": self.num_samples,
            "effective_sample_size": float(np.median(columns["effective_sample_size"])),
        }

    def warnings(self, vae: VAE, columns: Columns) -> list[str]:
        """Says where the weights have degenerated."""
        return degenerated(columns["effective_sample_size"], self.num_samples)


def degenerated(effective: np.ndarray, num_samples: int) -> list[str]:
    """A warning where the weights of examples have degenerated.

    Args:
      effective: the effective sample size of each example, `[n]`.
      num_samples: K. Of a small one so many effective samples as `FEW_SAMPLES` cannot be: a quarter of it is few.
    """
    limit = min(float(FEW_SAMPLES), num_samples / 4)
    few = int((effective < limit).sum())
    if not few:
        return []
    return [
        f"the weights have degenerated for {few} of {len(effective)} examples: below {limit:g} effective samples of "
        f"{num_samples}, so that the bound is loose there; take more samples, or another estimator"
    ]
