"""The wake-sleep algorithm (Hinton et al. 1995) over the same encoder and decoder."""

import dataclasses
import math
from typing import Any, ClassVar

import tensorflow as tf

from tfvae import random
from tfvae.component import bounded
from tfvae.errors import InputError
from tfvae.kinds import Objective
from tfvae.likelihoods import draw
from tfvae.likelihoods.counts import BagOfWords
from tfvae.objectives.base import Terms, draw_latents
from tfvae.priors.vamp import Vamp
from tfvae.reparameterization import draw_prior
from tfvae.rows import Rows, plain_rows

_DREAM, _DREAM_DATA = 211, 212  # uses of a row's noise


@dataclasses.dataclass(kw_only=True, slots=True)
class WakeSleep(Objective):
    """Two objectives at once, of which no bound is the sum (Hinton et al. 1995, The wake-sleep algorithm).

    Wake: the decoder and the prior learn from -log p(x, z), z ~ q(z|x). Sleep: the encoder learns from -log q(z|x)
    of dreams z ~ p(z), x ~ p(x|z). Neither phase sends gradients through a draw. The loss is the sum of both, whose
    parameters are disjoint; `distortion` and `rate` are those of the ELBO, by which the best checkpoint is chosen.

    Attributes:
      num_samples: draws of z for each example in the wake phase; in the sleep phase each has one dream.
    """

    regularizes: ClassVar[bool] = False

    num_samples: int = bounded(1, low=1)

    def check(self, vae: Any) -> None:
        """Refuses a prior made of the encoder, which the wake phase would train, and a p(x|z) without draws."""
        if isinstance(vae.prior, Vamp):
            raise InputError(f"objective: received {self.tag} for a prior made of the encoder, expected another prior")
        with plain_rows(1, labels=tf.zeros([1], tf.int64)).current():
            if isinstance(vae.decode(tf.zeros([1, vae.latent_size])), BagOfWords):
                raise InputError(f"objective: received {self.tag} for bags of words, which the model draws none of")

    def terms(self, vae: Any, x: tf.Tensor, rows: Rows) -> Terms:
        """The terms of each example of x `[rows, *item_shape]`."""
        draws = draw_latents(vae, x, rows, self.num_samples)
        z = tf.stop_gradient(draws.z)
        log_likelihood = vae.log_likelihood(x, z)
        # wake: -1/L sum_l log p(x | z_l) + log p(z_l)
        wake = -tf.reduce_mean(log_likelihood + vae.prior.log_prob(z), axis=0)
        dream_x, dream_z = self._dream(vae, x, rows)
        # sleep: -log q(z' | x')
        sleep = -vae.encode(dream_x).log_prob(dream_z)
        distortion, rate = -tf.reduce_mean(log_likelihood, axis=0), draws.rate(vae.prior)
        return Terms(loss=wake + sleep, distortion=distortion, rate=tf.stop_gradient(rate))

    def _dream(self, vae: Any, x: tf.Tensor, rows: Rows) -> tuple[tf.Tensor, tf.Tensor]:
        """x' ~ p(x|z') `[rows, *item_shape]` and z' ~ p(z) `[rows, latent_size]`, one for each row, as constants."""
        z = draw_prior(vae.prior, random.fold_in(rows.keys, _DREAM))
        uniforms = random.uniforms(random.fold_in(rows.keys, _DREAM_DATA), math.prod(vae.item_shape))[0]
        drawn = draw(vae.decode(z), tf.reshape(uniforms, [-1, *vae.item_shape]))
        return tf.stop_gradient(drawn), tf.stop_gradient(z)
