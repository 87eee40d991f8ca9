"""The plain autoencoder, and the denoising one (Vincent et al. 2008): a VAE's parts without its noise and its rate."""

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tfvae import random
from tfvae.component import FieldError, bounded, choice
from tfvae.errors import InputError
from tfvae.kinds import Objective
from tfvae.objectives.base import Terms, draw_latents
from tfvae.reparameterization import center
from tfvae.rows import Rows

_CORRUPTION = 201  # use of a row's noise


@dataclasses.dataclass(kw_only=True, slots=True)
class Autoencoder(Objective):
    """-log p(x | z) at the center z of q(z|x): the cross-entropy or squared error of a deterministic code.

    Nothing ties the codes to the prior and nothing learns the width of q, so the model is trained to reconstruct
    and not to generate. `distortion` and `rate` are those of q as it stands, so that the ELBO is still a bound: a
    very loose one. With `corruption` x is spoiled before it is encoded, and still x is to be decoded (Vincent et al.
    2008, Extracting and composing robust features with denoising autoencoders, section 2.3); in training alone.

    Attributes:
      corruption: `none`; `gaussian` adds noise; `masking` sets numbers to 0.
      level: the noise's standard deviation, or the share of numbers that are masked.
    """

    regularizes: ClassVar[bool] = False

    corruption: str = choice("none", "gaussian", "masking")
    level: float = bounded(0.0, low=0.0)

    def validate(self) -> None:
        if self.corruption == "masking" and self.level > 1.0:
            raise FieldError("level", self.level, "a share, at most 1, with corruption 'masking'")
        if (self.level > 0.0) != (self.corruption != "none"):
            raise FieldError("level", self.level, "0 without a corruption, more with one")

    def check(self, vae: Any) -> None:
        """Refuses noise on codes and counts, which networks see as whole numbers."""
        if self.corruption == "gaussian" and np.any((np.asarray(vae.support.step) == 1) & (vae.support.high > 1)):
            raise InputError(
                "objective.corruption: received 'gaussian' for codes or counts, expected 'masking' or 'none'"
            )

    def quality(self, logs: Any) -> float:
        """Minus the loss."""
        return -float(logs["loss"])

    def terms(self, vae: Any, x: tf.Tensor, rows: Rows) -> Terms:
        """The terms of each example of x `[rows, *item_shape]`."""
        draws = draw_latents(vae, self.corrupted(x, rows), rows, 1)
        distortion, rate = -vae.log_likelihood(x, draws.z)[0], draws.rate(vae.prior)
        # -log p(x | z), z = f(x~)
        loss = -vae.log_likelihood(x, center(draws.posterior)[None])[0]
        return Terms(loss=loss, distortion=tf.stop_gradient(distortion), rate=tf.stop_gradient(rate))

    def corrupted(self, x: tf.Tensor, rows: Rows) -> tf.Tensor:
        """x~ `[rows, *item_shape]`, from each row's own noise; x itself outside training."""
        if self.corruption == "none" or not rows.training:
            return x
        keys, size = random.fold_in(rows.keys, _CORRUPTION), math.prod(x.shape[1:])
        if self.corruption == "gaussian":
            return x + self.level * tf.reshape(random.normals(keys, size)[0], tf.shape(x))
        kept = random.uniforms(keys, size)[0] >= self.level
        return x * tf.cast(tf.reshape(kept, tf.shape(x)), x.dtype)
