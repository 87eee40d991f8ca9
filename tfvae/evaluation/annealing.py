"""Annealed importance sampling over z, forwards and backwards, with Hamiltonian Monte Carlo transitions.

From a density f_0 that can be drawn from to f_1(z) = p(x, z), over f_beta = f_0^(1 - beta) f_1^beta.
"""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tfvae.evaluation.latent_space import LatentSpace
from tfvae.vae import VAE

# Of the leapfrog steps before any is known to fit; the warm-up moves them.
_FIRST_STEP_SIZE = 0.2
# Acceptance that is best for Hamiltonian Monte Carlo in many dimensions (Beskos et al. 2013), and how fast the
# logarithm of a step size follows it.
_ACCEPTANCE, _FOLLOWING = 0.65, 0.1
# Each transition takes its step sizes times a number from this range.
_JITTER = (0.5, 1.0)
# Sharpness of the sigmoid schedule.
_DELTA = 4.0


def inverse_temperatures(num_temperatures: int) -> np.ndarray:
    """beta_0 = 0 < ... < beta_T = 1, dense at both ends: a sigmoid (Wu et al. 2017, section 4.1).

    Args:
      num_temperatures: T, how many densities after the first.

    Returns:
      float64 `[T + 1]`.
    """
    sigmoid = 1.0 / (1.0 + np.exp(-_DELTA * np.linspace(-1.0, 1.0, num_temperatures + 1)))
    return (sigmoid - sigmoid[0]) / (sigmoid[-1] - sigmoid[0])


def log_joint(vae: VAE, x: tf.Tensor, space: LatentSpace, y: tf.Tensor) -> tf.Tensor:
    """log p(x, y) of z in the coordinates y of `space`.

    Args:
      vae: the model.
      x: `[rows, *item_shape]`.
      space: of z.
      y: `[chains, rows, size of y]`.

    Returns:
      float32 `[chains, rows]`, nats.
    """
    z = space.z(y)
    return vae.log_likelihood(x, z) + vae.prior.log_prob(z) + space.log_volume(y)


@dataclasses.dataclass(frozen=True)
class Path:
    """f_beta for a batch of examples, and the transitions that leave it as it is.

    Attributes:
      vae: the model.
      x: `[rows, *item_shape]`.
      space: of z.
      start: f_0 as a density of z, of batch shape `[rows]` or `[]`: q(z|x), or the prior.
      num_leapfrog_steps: of one transition.
    """

    vae: VAE
    x: tf.Tensor
    space: LatentSpace
    start: tfd.Distribution
    num_leapfrog_steps: int

    def log_start(self, y: tf.Tensor) -> tf.Tensor:
        """log f_0 of y, `[chains, rows]`."""
        return self.start.log_prob(self.space.z(y)) + self.space.log_volume(y)

    def log_gain(self, y: tf.Tensor) -> tf.Tensor:
        """log f_1 - log f_0 at y, `[chains, rows]`; where the path starts from the prior it is log p(x|z)."""
        z = self.space.z(y)
        log_likelihood = self.vae.log_likelihood(self.x, z)
        if self.start is self.vae.prior:
            return log_likelihood
        return log_likelihood + self.vae.prior.log_prob(z) - self.start.log_prob(z)

    def move(self, y: tf.Tensor, beta: tf.Tensor, step_size: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One transition at `beta`.

        Args:
          y: `[chains, rows, size of y]`.
          beta: a scalar.
          step_size: of each example, `[rows]`.
          seed: int32 `[2]`.

        Returns:
          y, and the probability with which each example's chains were accepted, `[rows]`.
        """
        # Trajectories of one length come back to where they began in a direction of that period (Neal 2011, 4.2).
        jitter = tf.random.stateless_uniform([], _fold_in(seed, 1), *_JITTER)
        kernel = tfp.mcmc.HamiltonianMonteCarlo(
            lambda y: self.log_start(y) + beta * self.log_gain(y), jitter * step_size[:, None], self.num_leapfrog_steps
        )
        y, results = kernel.one_step(y, kernel.bootstrap_results(y), seed=_fold_in(seed, 0))
        ratio = results.log_accept_ratio
        # A trajectory that left the numbers was refused.
        accepted = tf.where(tf.math.is_nan(ratio), 0.0, tf.exp(tf.minimum(ratio, 0.0)))
        return y, tf.reduce_mean(accepted, axis=0)


def warm_up(path: Path, y: tf.Tensor, betas: np.ndarray, seed: tf.Tensor) -> tf.Tensor:
    """Step sizes for each example at each temperature, found on a run whose weights nobody uses.

    A step size that hung on the chain it moves would spoil the unbiasedness of the weights.

    Args:
      path: the densities.
      y: draws from f_0, `[chains, rows, size of y]`.
      betas: see `inverse_temperatures`.
      seed: int32 `[2]`.

    Returns:
      float32 `[T + 1, rows]`.
    """
    levels = tf.constant(betas, tf.float32)

    def body(level: Any, y: Any, log_step: Any, found: Any) -> Any:
        y, accepted = path.move(y, levels[level], tf.exp(log_step), _fold_in(seed, level))
        log_step += _FOLLOWING * (accepted - _ACCEPTANCE)
        return level + 1, y, log_step, found.write(level, log_step)

    log_step = tf.fill([y.shape[1]], tf.math.log(_FIRST_STEP_SIZE))
    found = tf.TensorArray(tf.float32, len(betas), element_shape=[y.shape[1]])
    _, _, _, found = tf.while_loop(
        lambda level, *_: level < len(betas), body, (tf.constant(0), y, log_step, found), parallel_iterations=1
    )
    return tf.exp(found.stack())


def anneal(
    path: Path, y: tf.Tensor, betas: np.ndarray, step_sizes: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Log weights of chains that pass through the densities (Neal 2001, equation 3).

    With `betas` from 0 to 1 and draws from f_0, each weight is an unbiased estimate of p(x). With all three
    reversed - from 1 to 0, and draws from p(z|x) - it is one of 1 / p(x) (Grosse et al. 2015, section 3).

    Args:
      path: the densities.
      y: draws, `[chains, rows, size of y]`.
      betas: `[T + 1]`.
      step_sizes: for the temperatures in the order of `betas`, `[T + 1, rows]`.
      seed: int32 `[2]`.

    Returns:
      log w, float64 `[chains, rows]`, and the mean acceptance, float32 `[rows]`.
    """
    num_steps = len(betas) - 1
    levels, widths = tf.constant(betas, tf.float32), tf.constant(np.diff(betas), tf.float64)

    def body(step: Any, y: Any, log_weight: Any, accepted: Any) -> Any:
        # log w += (beta_t - beta_{t-1}) (log f_1 - log f_0)(y_{t-1}), then y_t ~ T_t(y_t | y_{t-1})
        log_weight += widths[step] * tf.cast(path.log_gain(y), tf.float64)
        y, now = path.move(y, levels[step + 1], step_sizes[step + 1], _fold_in(seed, step))
        return step + 1, y, log_weight, accepted + now / num_steps

    start = (tf.constant(0), y, tf.zeros(y.shape[:2], tf.float64), tf.zeros([y.shape[1]]))
    _, _, log_weight, accepted = tf.while_loop(lambda step, *_: step < num_steps, body, start, parallel_iterations=1)
    return log_weight, accepted


def _fold_in(seed: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(seed, number)
