"""What objectives share: their terms, and how they are estimated from draws of z."""

import dataclasses
from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae import random, regularizers
from tfvae.errors import InputError
from tfvae.kinds import Objective
from tfvae.reparameterization import reparameterize
from tfvae.rows import Rows


@dataclasses.dataclass
class Terms:
    """What an objective says of each example, all float32 `[rows]`, in nats.

    Attributes:
      loss: what is minimised, without what activity regularizers add.
      distortion: -E_q[log p(x|z)], estimated.
      rate: KL(q(z|x) || p(z)), or an estimate; the ELBO is -(distortion + rate), whatever is minimised.
    """

    loss: tf.Tensor
    distortion: tf.Tensor
    rate: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Draws:
    """L draws of z for each example.

    Attributes:
      posterior: q(z|x), batch shape `[rows]`.
      noise: standard normal, `[num_samples, rows, latent_size]`.
      z: g(noise; x), of that shape.
    """

    posterior: tfd.Distribution
    noise: tf.Tensor
    z: tf.Tensor

    def log_ratio(self, prior: tfd.Distribution) -> tf.Tensor:
        """log q(z|x) - log p(z), `[num_samples, rows]`."""
        return regularizers.log_ratio(self.posterior, prior, self.noise, self.z)

    def rate(self, prior: tfd.Distribution) -> tf.Tensor:
        """KL(q(z|x) || p(z)), `[rows]`: in closed form where there is one, else from these draws."""
        return regularizers.rate(self.posterior, prior, self.noise, self.z)


def draw_latents(vae: Any, x: tf.Tensor, rows: Rows, num_samples: int) -> Draws:
    """`num_samples` draws from q(z|x) for each example of x `[rows, *item_shape]`; calls the encoder once."""
    posterior = vae.encode(x)
    noise = random.normals(rows.keys, vae.latent_size, num_samples=num_samples)
    # z_l = g(epsilon_l; x)
    return Draws(posterior=posterior, noise=noise, z=reparameterize(posterior, noise))


def reconstruct(vae: Any, x: tf.Tensor, rows: Rows, num_samples: int) -> tuple[Draws, tf.Tensor]:
    """`draw_latents`, and the distortion that they give: `[rows]`, nats."""
    draws = draw_latents(vae, x, rows, num_samples)
    # -1/L sum_l log p(x | z_l)
    return draws, -tf.reduce_mean(vae.log_likelihood(x, draws.z), axis=0)


def factors(
    objective: Objective, posterior: tfd.Distribution, prior: tfd.Distribution
) -> tuple[tfd.Distribution, tfd.Distribution]:
    """The distributions of single dimensions of z: batch shapes `[rows, latent_size]` and `[latent_size]`.

    Raises:
      InputError: where q(z|x) or p(z) does not factorise over the dimensions.
    """
    single = regularizers.dimensions(posterior), regularizers.dimensions(prior)
    if single[0] is None or single[1] is None:
        names = [type(distribution).__name__.lstrip("_") for distribution in (posterior, prior)]
        raise InputError(
            f"objective: received {objective.tag} for the posterior {names[0]} and the prior {names[1]}, expected both "
            "to factorise over the dimensions of z"
        )
    return single


def num_examples(objective: Objective, vae: Any) -> float:
    """N, the size of the training set; raises `InputError` where the model was not told."""
    if vae.num_examples is None:
        raise InputError(
            f"objective: received {objective.tag} with num_examples=None, expected the size of the training set in "
            "VAE.compile(num_examples=...)"
        )
    return float(vae.num_examples)
