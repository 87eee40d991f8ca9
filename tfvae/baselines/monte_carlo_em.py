"""Monte Carlo EM with Hamiltonian Monte Carlo (Kingma & Welling 2013, appendix E)."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

from tfvae import random
from tfvae.errors import InputError
from tfvae.evaluation.annealing import log_joint
from tfvae.evaluation.latent_space import LatentSpace
from tfvae.priors.vamp import Vamp
from tfvae.vae import VAE

_ACCEPTANCE, _FOLLOWING, _FIRST_STEP_SIZE = 0.9, 0.5, 0.1  # the acceptance is the paper's
_CHAINS = 221  # use of a row's noise


class MonteCarloEM(VAE):
    """A VAE whose theta learns from samples of the true posterior in the place of q(z|x).

    Each training example has a Markov chain that stays between its visits. A step on a batch moves the chains by one
    HMC transition, whose step size follows the acceptance, and then takes `num_updates` optimizer steps on
    -log p(x, z) at the places they came to. The encoder is no part of the algorithm; it learns from the same samples,
    by -log q(z|x), so that the model can be evaluated and used as any other. Nothing of it reaches theta.

    Train with `fit` on batches (x `[rows, *item_shape]`, place of each row among the training examples `[rows]`).

    Args:
      encoder, decoder, prior, seed: as for `VAE`; not conditional.
      num_examples: N, training examples.
      num_leapfrog_steps: of one transition.
      num_updates: optimizer steps for one transition.

    Raises:
      InputError: for a conditional model, or a prior made of the encoder.
    """

    def __init__(
        self,
        encoder: tf_keras.Model,
        decoder: tf_keras.Model,
        prior: Any = None,
        *,
        num_examples: int,
        num_leapfrog_steps: int = 10,
        num_updates: int = 5,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, decoder, prior, seed=seed, **kwargs)
        if self.num_labels:
            raise InputError("model.conditional: received True for Monte Carlo EM, expected False")
        if isinstance(self.prior, Vamp):
            raise InputError("model.prior: received one made of the encoder for Monte Carlo EM, expected another prior")
        self._num_leapfrog_steps, self._num_updates = num_leapfrog_steps, num_updates
        self._space = LatentSpace.of(self.prior)
        keys = random.fold_in(random.row_keys(seed, random.PRIOR, rows=tf.range(num_examples)), _CHAINS)
        size = int(self._space.bijector.inverse_event_shape([self.latent_size])[-1])
        self.chains = tf.Variable(random.normals(keys, size)[0], trainable=False, name="chains")
        self.step_size = tf.Variable(_FIRST_STEP_SIZE, trainable=False, name="step_size")

    @tf.autograph.experimental.do_not_convert
    def train_step(self, data: Any) -> dict[str, Any]:
        """The E step on a batch and its M steps."""
        x, places, _ = tf_keras.utils.unpack_x_y_sample_weight(data)
        if places is None:
            raise ValueError("y: received None, expected the place of each row among the training examples")
        step, count = tf.identity(self.steps), tf.shape(x, out_type=tf.int64)[0]
        x, rows = self._unpack({"x": x}, count, stream=random.TRAINING, step=step, first_row=tf.zeros([], tf.int64))
        rows.training, rows.regularize = True, False
        with rows.current():
            z, accepted = self._e_step(x, tf.reshape(tf.cast(places, tf.int64), [-1]), step)
            for _ in range(self._num_updates):
                self._m_step(x, z)
        # What the objective says of the model as it is now; nothing is learned from it.
        self._record(self._loss(x, rows)[1], rows)
        self.steps.assign_add(1)
        return self._logs() | {"acceptance": accepted}

    def _e_step(self, x: tf.Tensor, places: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Moves the chains of these examples by one transition: z `[rows, latent_size]`, and the mean acceptance."""
        step_size = tf.identity(self.step_size)
        kernel = tfp.mcmc.HamiltonianMonteCarlo(
            lambda y: log_joint(self, x, self._space, y[None])[0], step_size, self._num_leapfrog_steps
        )
        y = tf.gather(self.chains, places)
        seed = tf.cast(tf.stack([tf.constant(self.seed, tf.int64), step]), tf.int32)
        y, results = kernel.one_step(y, kernel.bootstrap_results(y), seed=seed)
        self.chains.scatter_nd_update(places[:, None], y)
        ratio = results.log_accept_ratio
        accepted = tf.reduce_mean(tf.where(tf.math.is_nan(ratio), 0.0, tf.exp(tf.minimum(ratio, 0.0))))
        self.step_size.assign(step_size * tf.exp(_FOLLOWING * (accepted - _ACCEPTANCE)))
        return tf.stop_gradient(self._space.z(y)), accepted

    def _m_step(self, x: tf.Tensor, z: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            # -log p(x, z), and for the encoder alone -log q(z|x)
            generative = self.log_likelihood(x, z[None])[0] + self.prior.log_prob(z)
            loss = -tf.reduce_mean(generative + self.encode(x).log_prob(z))
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
