"""The estimator of appendix D of the paper: samples of p(z|x), and a density fitted to them."""

import dataclasses
from typing import Any

import numpy as np
import scipy.special
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tfvae.component import bounded
from tfvae.evaluation import annealing
from tfvae.evaluation.estimators import base
from tfvae.evaluation.estimators.base import Columns, Estimator
from tfvae.evaluation.latent_space import LatentSpace
from tfvae.vae import VAE

_ROWS = 50
_FIRST_STEP_SIZE = 0.2
_ACCEPTANCE = 0.75
# The paper takes it for fewer than five latents.
_LARGEST_LATENT_SIZE = 4
# Added to the diagonal of a fitted covariance, relative to its mean: chains that stood still give none.
_RIDGE = 1e-6
# Chains that disagree more than this have not come to the same distribution (Gelman & Rubin 1992).
_LARGEST_REDUCTION = 1.1
_STANDING_STILL = 1e6


@dataclasses.dataclass(kw_only=True, slots=True)
class HMCDensity(Estimator):
    """p(x) ~ (1/S sum_s q(z_s) / p(x, z_s))^-1, z_s ~ p(z|x) (Kingma & Welling 2013, appendix D).

    q is a normal distribution of full covariance, fitted to other samples of p(z|x), and cut off outside of the
    ellipsoid that holds `mass` of it, so that no weight is large (Geweke 1999, section 4.3). Both halves of the
    samples are of Hamiltonian Monte Carlo; log p(x) is overestimated in expectation.

    Attributes:
      num_chains: for each example, from draws of q(z|x).
      num_samples: of each chain to fit q to, and as many again to average over.
      num_burnin_steps: of each chain, in which the step size adapts.
      num_leapfrog_steps: of one transition.
      mass: share of the fitted normal distribution that is kept.
    """

    num_chains: int = bounded(8, low=2)
    num_samples: int = bounded(150, low=2)
    num_burnin_steps: int = bounded(100, low=1)
    num_leapfrog_steps: int = bounded(4, low=1)
    mass: float = bounded(0.95, low=0.0, high=1.0, open_low=True)

    @property
    def method(self) -> str:
        """How the numbers are made."""
        return (
            "Kingma & Welling 2013, appendix D: a normal density fitted to samples of the true posterior, averaged "
            f"over as many others: {self.num_chains} chains of Hamiltonian Monte Carlo for each example, "
            f"{self.num_burnin_steps} steps of burn-in and twice {self.num_samples} samples; an upper bound in "
            "expectation, for fewer than five latents."
        )

    def rows_at_once(self, vae: VAE) -> int:
        """Examples in a batch."""
        return max(1, min(_ROWS, base.DECODES_AT_ONCE // self.num_chains))

    def estimate(self, vae: VAE, x: tf.Tensor, keys: tf.Tensor, z: tf.Tensor | None) -> dict[str, tf.Tensor]:
        """Columns `log_likelihood`, `acceptance` and `potential_scale_reduction`, the largest of the latents."""
        space = LatentSpace.of(vae.prior)
        start = space.y(base.posterior_draws(vae, vae.encode(x), keys, base.START, self.num_chains))
        kernel = tfp.mcmc.DualAveragingStepSizeAdaptation(
            tfp.mcmc.HamiltonianMonteCarlo(
                lambda y: annealing.log_joint(vae, x, space, y),
                # Of each example.
                tf.fill([1, x.shape[0], 1], _FIRST_STEP_SIZE),
                self.num_leapfrog_steps,
            ),
            num_adaptation_steps=max(1, int(0.8 * self.num_burnin_steps)),
            target_accept_prob=_ACCEPTANCE,
        )
        y, (log_joint, accepted) = tfp.mcmc.sample_chain(
            2 * self.num_samples,
            start,
            kernel=kernel,
            num_burnin_steps=self.num_burnin_steps,
            trace_fn=lambda _, results: (
                results.inner_results.accepted_results.target_log_prob,
                results.inner_results.is_accepted,
            ),
            seed=base.chain_seed(keys, base.CHAINS),
        )
        y, log_joint = tf.cast(y, tf.float64), tf.cast(log_joint, tf.float64)
        # log q(y_s) - log p(x, y_s), [num_samples, chains, rows]
        log_ratio = self._log_density(y[: self.num_samples], y[self.num_samples :]) - log_joint[self.num_samples :]
        of_chains = base.log_mean(log_ratio)
        log_inverse = base.log_mean(of_chains)
        # Samples of a chain depend on each other, chains do not: the variance of the log of the mean over chains.
        deviations = tf.exp(of_chains - log_inverse) - 1.0
        variance = tf.reduce_sum(deviations**2, axis=0) / (self.num_chains * (self.num_chains - 1))
        reduction = tf.reduce_max(tfp.mcmc.potential_scale_reduction(y, independent_chain_ndims=1), axis=-1)
        return {
            "log_likelihood": -log_inverse,
            "monte_carlo_variance": variance,
            "acceptance": tf.reduce_mean(tf.cast(accepted, tf.float64), axis=[0, 1]),
            # Chains that stand still have no variance to compare with.
            "potential_scale_reduction": tf.where(tf.math.is_finite(reduction), reduction, _STANDING_STILL),
        }

    def _log_density(self, fitted_to: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
        """log q of the normal fitted to samples, within the ellipsoid: of `[n, chains, rows, size]`, without `size`."""
        mean = tf.reduce_mean(fitted_to, axis=[0, 1])
        centred, size = fitted_to - mean, int(at.shape[-1])
        count = tf.cast(tf.reduce_prod(tf.shape(fitted_to)[:2]) - 1, tf.float64)
        covariance = tf.einsum("ncri,ncrj->rij", centred, centred) / count
        ridge = _RIDGE * tf.linalg.trace(covariance)[:, None, None] / size + 1e-30
        factor = tf.linalg.cholesky(covariance + ridge * tf.eye(size, dtype=tf.float64))
        normal = tfd.MultivariateNormalTriL(mean, factor)
        log_prob = normal.log_prob(at)
        # The squared Mahalanobis distance follows a chi-squared distribution.
        distance = -2.0 * (log_prob - normal.log_prob(mean))
        within = distance <= _squared_radius(size, self.mass)
        return tf.where(within, log_prob - np.log(self.mass), tf.constant(-np.inf, tf.float64))

    def summary(self, columns: Columns) -> dict[str, Any]:
        """Means over the examples."""
        return {
            "acceptance": float(columns["acceptance"].mean()),
            "potential_scale_reduction": float(np.median(columns["potential_scale_reduction"])),
        }

    def warnings(self, vae: VAE, columns: Columns) -> list[str]:
        """Says where chains disagree, and that there are many latents."""
        found = []
        apart = int((columns["potential_scale_reduction"] > _LARGEST_REDUCTION).sum())
        if apart:
            found.append(
                f"the chains of {apart} of {len(columns['acceptance'])} examples have not come to one distribution "
                f"(potential scale reduction above {_LARGEST_REDUCTION}): take more burn-in steps"
            )
        if vae.latent_size > _LARGEST_LATENT_SIZE:
            found.append(
                f"the estimator is for fewer than five latents (Kingma & Welling 2013, appendix D); the model has "
                f"{vae.latent_size}"
            )
        return found


def _squared_radius(size: int, mass: float) -> float:
    """Of the ellipsoid that holds `mass` of a normal distribution: a quantile of chi squared, infinite for all."""
    return 2.0 * float(scipy.special.gammaincinv(size / 2, mass))
