"""Moves of z by the gradient of log p(y, z): Hamiltonian Monte Carlo, and the most probable z."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfvae import random
from tfvae.inference.completion.base import ROWS_AT_ONCE, Latents, Method, Problem, by_sample, repeated
from tfvae.inference.completion.importance import resampled
from tfvae.inference.model import seeds

_FIRST_STEP_SIZE = 0.1
# Acceptance that is best in many dimensions (Beskos et al. 2013), and how fast the log of a step size follows it.
_ACCEPTANCE, _FOLLOWING = 0.65, 0.1
# Each transition takes its step sizes times a number of this range: trajectories of one length come back to where they
# began in a direction of that period (Neal 2011, section 4.2).
_JITTER = (0.5, 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _ByGradient(Method):
    """What moves in coordinates of z without limits, from several places that importance resampling finds.

    Attributes:
      num_chains: for each example.
      num_proposals: of the importance resampling that the chains start from.
    """

    num_chains: int = 4
    num_proposals: int = 200

    def _run(self, problem: Problem, move: Callable[..., dict[str, tf.Tensor]]) -> dict[str, np.ndarray]:
        """`move(log_density, start, seed)` for blocks of rows; `start` is `[rows * chains, size]`, rows first."""
        model, chains = problem.model, self.num_chains
        space = model.space
        start = resampled(problem, self.num_proposals, chains).z
        coordinates = finite_starts(space.y(tf.constant(start.transpose(1, 0, 2))).numpy())

        def run(y: tf.Tensor, labels: Any, start: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
            y, labels = repeated(chains, y, labels)

            def log_density(at: tf.Tensor) -> tf.Tensor:
                # log p(y, z) + log |det dz / d coordinates|
                return problem.log_joint(y, space.z(at), labels) + space.log_volume(at)

            return move(log_density, tf.reshape(start, [-1, start.shape[-1]]), seed)

        # A seed for each block: TFP's samplers take one for a whole batch.
        given = {"start": coordinates, "seed": seeds(problem.seed, len(problem.y), use=random.EVALUATION)}
        return problem.by_blocks(run, given, rows=max(1, ROWS_AT_ONCE // chains), progress=self.name)


def finite_starts(coordinates: np.ndarray) -> np.ndarray:
    """Starts `[n, chains, size]`, those that are not finite replaced: by a finite one of the example, or by 0."""
    fit = np.isfinite(coordinates).all(axis=-1)
    first = coordinates[np.arange(len(fit)), fit.argmax(axis=1)]
    instead = np.where(fit.any(axis=1)[:, None], first, 0.0)
    return np.where(fit[..., None], coordinates, instead[:, None]).astype(np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class HMC(_ByGradient, name="hmc"):
    """Hamiltonian Monte Carlo (Neal 2011): its stationary distribution is p(z|y) for every observation.

    The step size of each example follows the acceptance of its chains in the burn-in, and then stays. Draws of an
    example hang on its place among the `ROWS_AT_ONCE / num_chains` of a block, within their error.

    Attributes:
      num_burnin_steps: of each chain.
      num_leapfrog_steps: of each step.
    """

    num_burnin_steps: int = 80
    num_leapfrog_steps: int = 6

    def latents(self, problem: Problem) -> Latents:
        """Diagnostics: `acceptance` after the burn-in, and `potential_scale_reduction`, the largest of the latents."""
        kept = -(-self.num_samples // self.num_chains)

        def move(log_density: Callable[[tf.Tensor], tf.Tensor], start: tf.Tensor, seed: tf.Tensor) -> Any:
            return self._chains(log_density, start, seed, kept)

        found = self._run(problem, move)
        coordinates = found.pop("coordinates")  # [n, chains, kept, size]
        z = problem.model.space.z(tf.constant(by_sample(coordinates))).numpy()[: self.num_samples]
        if self.num_chains > 1 and kept > 1:
            states = tf.constant(coordinates.transpose(2, 1, 0, 3), tf.float64)
            reduction = tfp.mcmc.potential_scale_reduction(states, independent_chain_ndims=1)
            found["potential_scale_reduction"] = tf.reduce_max(reduction, axis=-1).numpy()
        return Latents(z, found)

    def _chains(
        self, log_density: Callable[[tf.Tensor], tf.Tensor], start: tf.Tensor, seed: tf.Tensor, kept: int
    ) -> dict[str, tf.Tensor]:
        """States of the chains of a block, `[rows, chains, kept, size]`, and their acceptance `[rows]`."""
        chains, size = self.num_chains, start.shape[-1]
        rows, steps = start.shape[0] // chains, self.num_burnin_steps + kept
        root = tf.bitcast(random.row_keys(seed[:1], random.EVALUATION, rows=[0])[0], tf.int32)

        def body(step: Any, state: Any, log_step: Any, accepted: Any, trace: Any) -> Any:
            own = tf.random.experimental.stateless_fold_in(root, step)
            jitter = tf.random.stateless_uniform([], tf.random.experimental.stateless_fold_in(own, 1), *_JITTER)
            sizes = tf.repeat(jitter * tf.exp(log_step), chains)[:, None]
            kernel = tfp.mcmc.HamiltonianMonteCarlo(log_density, sizes, self.num_leapfrog_steps)
            state, results = kernel.one_step(state, kernel.bootstrap_results(state), seed=own)
            ratio = results.log_accept_ratio
            # A trajectory that left the numbers was refused.
            taken = tf.where(tf.math.is_nan(ratio), 0.0, tf.exp(tf.minimum(ratio, 0.0)))
            taken = tf.reduce_mean(tf.reshape(taken, [rows, chains]), axis=1)
            burnin = step < self.num_burnin_steps
            log_step += tf.where(burnin, _FOLLOWING * (taken - _ACCEPTANCE), 0.0)
            accepted += tf.where(burnin, 0.0, taken / kept)
            return step + 1, tf.ensure_shape(state, start.shape), log_step, accepted, trace.write(step, state)

        begin = (
            tf.constant(0), start, tf.fill([rows], tf.math.log(_FIRST_STEP_SIZE)), tf.zeros([rows]),
            tf.TensorArray(tf.float32, steps, element_shape=start.shape),
        )  # fmt: skip
        *_, accepted, trace = tf.while_loop(lambda step, *_: step < steps, body, begin, parallel_iterations=1)
        states = tf.reshape(trace.stack()[self.num_burnin_steps :], [kept, rows, chains, size])
        return {"coordinates": tf.transpose(states, [1, 2, 0, 3]), "acceptance": accepted}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimise(_ByGradient, name="optimise"):
    """The most probable z, argmax log p(y|z) + log p(z), by Adam (Kingma & Ba 2015): the best of several starts.

    One point, and no spread of z: its draws of x differ by p(x|y, z) alone. `num_samples` is not used.

    Attributes:
      num_steps: of Adam.
      learning_rate: at the start; it falls to 0 along a cosine.
    """

    num_steps: int = 300
    learning_rate: float = 0.05

    def latents(self, problem: Problem) -> Latents:
        """Diagnostics: `log_joint` at z, nats."""
        chains = self.num_chains

        def move(log_density: Callable[[tf.Tensor], tf.Tensor], start: tf.Tensor, seed: tf.Tensor) -> Any:
            # The density of z, not of its coordinates, is what has its mode at the z most probable.
            def log_joint(at: tf.Tensor) -> tf.Tensor:
                return log_density(at) - problem.model.space.log_volume(at)

            state = self._climb(log_joint, start)
            rows = start.shape[0] // chains
            reached = tf.reshape(log_joint(state), [rows, chains])
            best = tf.argmax(tf.where(tf.math.is_finite(reached), reached, -np.inf), axis=1)
            state = tf.gather(tf.reshape(state, [rows, chains, -1]), best, batch_dims=1)
            return {"coordinates": state, "log_joint": tf.gather(reached, best, batch_dims=1)}

        found = self._run(problem, move)
        return Latents(problem.model.space.z(tf.constant(found.pop("coordinates")[None])).numpy(), found)

    def _climb(self, log_joint: Callable[[tf.Tensor], tf.Tensor], start: tf.Tensor) -> tf.Tensor:
        """Adam, of each number by itself, with its usual decay rates."""
        first, second = 0.9, 0.999

        def body(step: Any, at: Any, mean: Any, square: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(at)
                value = log_joint(at)
            gradient = tape.gradient(value, at)
            gradient = tf.where(tf.math.is_finite(gradient), gradient, 0.0)
            count = tf.cast(step + 1, tf.float32)
            mean, square = first * mean + (1 - first) * gradient, second * square + (1 - second) * gradient**2
            rate = self.learning_rate * 0.5 * (1.0 + tf.cos(np.pi * count / self.num_steps))
            at += rate * (mean / (1 - first**count)) / (tf.sqrt(square / (1 - second**count)) + 1e-8)
            return step + 1, at, mean, square

        begin = (tf.constant(0), start, tf.zeros_like(start), tf.zeros_like(start))
        return tf.while_loop(lambda step, *_: step < self.num_steps, body, begin, parallel_iterations=1)[1]
