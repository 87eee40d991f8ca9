"""The VampPrior: a mixture of the posterior's own distributions at learned pseudo-inputs."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae.component import bounded
from tfvae.kinds import Prior
from tfvae.reparameterization import draw_prior


@dataclasses.dataclass(kw_only=True, slots=True)
class VampPrior(Prior):
    """p(z) = 1/K sum_k q(z|u_k) with learned pseudo-inputs u_k (Tomczak & Welling 2018, equation 9).

    Attributes:
      num_pseudo_inputs: K; they begin as the first training examples.
    """

    support: ClassVar[str] = "any"

    num_pseudo_inputs: int = bounded(100, low=1)

    def build(self, latent_size: int) -> tfd.Distribution:
        """Refused: this prior is made of the encoder, see `build_beside`."""
        raise TypeError(f"{self.tag} is made of an encoder, expected build_beside")

    def build_beside(
        self,
        encode: Callable[[tf.Tensor], tfd.Distribution],
        item_shape: tuple[int, ...],
        latent_size: int,
        *,
        examples: Callable[[int], np.ndarray] | None = None,
    ) -> tfd.Distribution:
        """The distribution of z, `[latent_size]`."""
        shape = (self.num_pseudo_inputs, *item_shape)
        initial = np.zeros(shape, np.float32)
        if examples is not None:
            found = examples(self.num_pseudo_inputs)
            initial = found[np.arange(self.num_pseudo_inputs) % len(found)]
        return Vamp(encode, tf.Variable(initial, name="pseudo_inputs"), latent_size)


class Vamp(tfd.Distribution):
    """1/K sum_k q(z|u_k).

    Args:
      encode: x `[rows, *item_shape]` -> q(z|x).
      pseudo_inputs: u, `[K, *item_shape]`.
      latent_size: of z.
    """

    def __init__(
        self, encode: Callable[[tf.Tensor], tfd.Distribution], pseudo_inputs: tf.Variable, latent_size: int
    ) -> None:
        parameters: dict[str, Any] = dict(locals())
        self.pseudo_inputs, self._encode, self._latent_size = pseudo_inputs, encode, latent_size
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name="vamp_prior",
        )

    def mixture(self) -> tfd.MixtureSameFamily:
        """The mixture at the present pseudo-inputs and encoder."""
        count = self.pseudo_inputs.shape[0]
        components = self._encode(tf.convert_to_tensor(self.pseudo_inputs))
        return tfd.MixtureSameFamily(tfd.Categorical(logits=tf.zeros([count])), components)

    def _batch_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _batch_shape_tensor(self) -> tf.Tensor:
        return tf.zeros([0], tf.int32)

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([self._latent_size])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([self._latent_size])

    def _log_prob(self, z: tf.Tensor) -> tf.Tensor:
        components = self._encode(tf.convert_to_tensor(self.pseudo_inputs))
        # log 1/K sum_k q(z|u_k)
        log_probs = components.log_prob(z[..., None, :])
        return tf.reduce_logsumexp(log_probs, axis=-1) - math.log(self.pseudo_inputs.shape[0])


@draw_prior.register(Vamp)
def _(prior: Vamp, keys: tf.Tensor) -> tf.Tensor:
    return draw_prior(prior.mixture(), keys)
