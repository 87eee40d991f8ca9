"""Markov chains that alternate between z and what is behind the mask, by the encoder and the decoder."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tfvae import random
from tfvae.errors import InputError
from tfvae.inference.completion.base import ROWS_AT_ONCE, Latents, Method, Problem, by_sample, repeated
from tfvae.inference.model import seeds


@dataclasses.dataclass(frozen=True, kw_only=True)
class PseudoGibbs(Method, name="pseudo_gibbs"):
    """z ~ q(z|x_observed, x_missing) and x_missing ~ p(x|z) in turn (Rezende et al. 2014, appendix F).

    Its stationary distribution is p(x_missing, z|x_observed) where q(z|x) is p(z|x), and near it where q is near.

    Attributes:
      num_chains: for each example, from one first guess.
      num_burnin_steps: of each chain, that are thrown away.
    """

    needs_mask: ClassVar[bool] = True

    num_chains: int = 4
    num_burnin_steps: int = 100

    def latents(self, problem: Problem) -> Latents:
        """Diagnostics: of `metropolis` the `acceptance` of a proposal after the burn-in."""
        problem.require_mask(self.name)
        model, chains = problem.model, self.num_chains
        if not model.draws_items:
            raise InputError(f"--method: received {self.name}, expected hmc: {model.origin} has no draws of x")
        kept = -(-self.num_samples // chains)
        steps = self.num_burnin_steps + kept
        # Seeds of the steps of a chain follow each other.
        first = seeds(problem.seed, len(problem.y) * chains * (steps + 1), use=random.POSTERIOR)
        first = first.reshape(len(problem.y), chains, -1)[..., 0]

        def run(y: tf.Tensor, labels: Any, guess: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
            return self._chains(problem, y, labels, guess, tf.reshape(seed, [-1]), kept)

        arrays = {"guess": problem.guess, "seed": first}
        found = problem.by_blocks(run, arrays, rows=max(1, ROWS_AT_ONCE // chains), progress=self.name)
        z = by_sample(found.pop("z"))[: self.num_samples]
        return Latents(z, found)

    def _chains(
        self, problem: Problem, y: tf.Tensor, labels: Any, guess: tf.Tensor, seed: tf.Tensor, kept: int
    ) -> dict[str, tf.Tensor]:
        """The chains of a block: z `[rows, chains, kept, latent_size]`, and the diagnostics."""
        model, steps, rows = problem.model, self.num_burnin_steps + kept, guess.shape[0]
        y, labels, x = repeated(self.num_chains, y, labels, guess)

        def body(step: Any, z: Any, x: Any, accepted: Any, trace: Any) -> Any:
            now = seed + tf.cast(step, tf.int64) + 1
            z, taken = self._move(problem, x, z, labels, now, step)
            x = problem.observation.draw(model, y, z, labels, now)
            accepted += tf.where(step < self.num_burnin_steps, 0.0, taken / kept)
            return step + 1, z, x, accepted, trace.write(step, z)

        z = model.tensors("encode_sample", item=x, seed=seed, labels=labels)["z"]
        z = tf.ensure_shape(z, [rows * self.num_chains, model.latent_size])
        with tf.init_scope():
            middle = model.middle(1)
        z = tf.where(_finite(z), z, middle)
        trace = tf.TensorArray(tf.float32, steps, element_shape=z.shape)
        start = (tf.constant(0), z, x, tf.zeros(z.shape[:1]), trace)
        _, _, _, accepted, trace = tf.while_loop(lambda step, *_: step < steps, body, start, parallel_iterations=1)
        z = tf.reshape(trace.stack()[self.num_burnin_steps :], [kept, rows, self.num_chains, model.latent_size])
        accepted = tf.reduce_mean(tf.reshape(accepted, [rows, self.num_chains]), axis=1)
        return {"z": tf.transpose(z, [1, 2, 0, 3]), **self._diagnostics(accepted)}

    def _move(self, problem: Problem, x: Any, z: Any, labels: Any, seed: Any, step: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """The next z of the chains, and which of them it was accepted in, as numbers."""
        proposed = problem.model.tensors("encode_sample", item=x, seed=seed, labels=labels)["z"]
        # What is not finite is refused: the chain would not come back.
        return tf.ensure_shape(tf.where(_finite(proposed), proposed, z), z.shape), tf.ones(z.shape[:1])

    def _diagnostics(self, accepted: tf.Tensor) -> dict[str, tf.Tensor]:
        return {}


def _finite(z: tf.Tensor) -> tf.Tensor:
    """Which rows of z are finite, bool `[rows, 1]`."""
    return tf.reduce_all(tf.math.is_finite(z), axis=-1, keepdims=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metropolis(PseudoGibbs, name="metropolis"):
    """Metropolis-within-Gibbs: q(z|x) proposes, and a test accepts (Mattei & Frellsen 2018, algorithm 2).

    Its stationary distribution is p(x_missing, z|x_observed) whatever q is. As they advise, it starts with steps of
    pseudo-Gibbs: here the first half of the burn-in.
    """

    def _move(self, problem: Problem, x: Any, z: Any, labels: Any, seed: Any, step: Any) -> tuple[tf.Tensor, tf.Tensor]:
        model, all_of_x = problem.model, tf.ones_like(x, tf.bool)
        proposed, _ = PseudoGibbs._move(self, problem, x, z, labels, seed, step)

        def log_weight(z: tf.Tensor) -> tf.Tensor:
            joint = model.tensors("log_joint", item=x, mask=all_of_x, z=z, labels=labels)
            q = model.tensors("log_posterior", item=x, z=z, labels=labels)["log_prob"]
            found = joint["log_likelihood"] + joint["log_prior"] - q
            # A start that gives no number is left for any that does.
            return tf.where(tf.math.is_nan(found), -np.inf, found)

        # rho = p(x|z') p(z') q(z|x) / (p(x|z) p(z) q(z'|x))
        log_ratio = log_weight(proposed) - log_weight(z)
        keys = random.row_keys(seed, random.EVALUATION, rows=tf.zeros_like(seed))
        uniforms = random.uniforms(keys, 1)[0, :, 0]
        accepted = (tf.math.log(uniforms) < log_ratio) | (step < self.num_burnin_steps // 2)
        return tf.where(accepted[:, None], proposed, z), tf.cast(accepted, tf.float32)

    def _diagnostics(self, accepted: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"acceptance": accepted}
