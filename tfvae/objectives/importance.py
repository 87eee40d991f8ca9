"""The importance-weighted bound (Burda et al. 2016) and three estimators of its gradient."""

import dataclasses
import math
from typing import Any, ClassVar

import tensorflow as tf

from tfvae.component import bounded, choice
from tfvae.kinds import Objective
from tfvae.objectives.base import Draws, Terms, draw_latents
from tfvae.reparameterization import log_prob_of_draw
from tfvae.rows import Rows


@dataclasses.dataclass(kw_only=True, slots=True)
class IWAE(Objective):
    """The importance-weighted bound on log p(x) (Burda et al. 2016, equation 8); K = 1 is `SGVB_A` with L = 1.

    `distortion` and `rate` are plain averages over the same draws.

    Attributes:
      num_samples: K, draws of z for each example.
      gradient: of the encoder; the decoder and the prior have the same with each.
        `plain`: the derivative of the bound (Burda et al. 2016, section 3). Its
        signal-to-noise ratio falls as K grows.
        `dreg`: doubly reparameterized, the same expectation, less variance (Tucker et al. 2019, equation 8).
        `stl`: sticking the landing, without the score of q (Roeder et al. 2017); biased for K > 1.
    """

    regularizes: ClassVar[bool] = False

    num_samples: int = bounded(5, low=1)
    gradient: str = choice("plain", "dreg", "stl")

    def quality(self, logs: Any) -> float:
        """The bound."""
        return -float(logs["loss"])

    def terms(self, vae: Any, x: tf.Tensor, rows: Rows) -> Terms:
        """The terms of each example of x `[rows, *item_shape]`."""
        draws = draw_latents(vae, x, rows, self.num_samples)
        if self.gradient == "plain":
            log_likelihood = vae.log_likelihood(x, draws.z)
            log_ratio = draws.log_ratio(vae.prior)
            loss = -_bound(log_likelihood - log_ratio)
        else:
            loss, log_likelihood, log_ratio = self._without_score(vae, x, draws)
        distortion, rate = -tf.reduce_mean(log_likelihood, axis=0), tf.reduce_mean(log_ratio, axis=0)
        return Terms(loss=loss, distortion=distortion, rate=rate)

    def _without_score(self, vae: Any, x: tf.Tensor, draws: Draws) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The loss `[rows]`, with no derivative of log q by its parameters; log p(x|z); log q(z|x) - log p(z)."""
        z = tf.stop_gradient(draws.z)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(z)
            log_likelihood, log_prior = vae.log_likelihood(x, z), vae.prior.log_prob(z)
            held = log_likelihood + log_prior - draws.posterior.log_prob(z)
        # d log w_k / d z_k at fixed parameters
        slope = tape.gradient(held, z)
        log_ratio = log_prob_of_draw(draws.posterior, draws.noise, draws.z) - log_prior
        log_weights = log_likelihood - log_ratio
        # w~_k = w_k / sum_i w_i
        weights = tf.stop_gradient(tf.nn.softmax(log_weights, axis=0))
        path = weights**2 if self.gradient == "dreg" else weights
        # sum_k w~_k d log p(x, z_k), by the decoder's and the prior's parameters
        surrogate = tf.reduce_sum(weights * (log_likelihood + log_prior), axis=0)
        # sum_k w~_k^2 (stl: w~_k) (d log w_k / d z_k) d z_k, by the encoder's
        surrogate += tf.reduce_sum(tf.stop_gradient(path[..., None] * slope) * draws.z, axis=[0, -1])
        loss = -(tf.stop_gradient(_bound(log_weights)) + surrogate - tf.stop_gradient(surrogate))
        return loss, log_likelihood, log_ratio


def _bound(log_weights: tf.Tensor) -> tf.Tensor:
    # log 1/K sum_k w_k
    return tf.reduce_logsumexp(log_weights, axis=0) - math.log(log_weights.shape[0])
