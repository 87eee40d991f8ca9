"""The VampPrior: a mixture of the posterior's own distributions at learned pseudo-inputs."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae.component import bounded
from tfvae.errors import InputError
from tfvae.kinds import Prior
from tfvae.reparameterization import draw_prior
from tfvae.support import Support


@dataclasses.dataclass(kw_only=True, slots=True)
class VampPrior(Prior):
    """p(z) = 1/K sum_k q(z|u_k) with learned pseudo-inputs u_k (Tomczak & Welling 2018, equation 9).

    Attributes:
      num_pseudo_inputs: K; they begin as the first training examples, and stay in the range of the data.
    """

    support: ClassVar[str] = "any"

    num_pseudo_inputs: int = bounded(100, low=1)

    def build(self, latent_size: int) -> tfd.Distribution:
        """Refused: this prior is made of the encoder, see `build_beside`."""
        raise TypeError(f"{self.tag} is made of an encoder, expected build_beside")

    def build_beside(
        self,
        encode: Callable[[tf.Tensor], tfd.Distribution],
        data_support: Support,
        item_shape: tuple[int, ...],
        latent_size: int,
        *,
        examples: Callable[[int], np.ndarray] | None = None,
    ) -> tfd.Distribution:
        """The distribution of z, `[latent_size]`.

        Raises:
          InputError: where the encoder's features have no gradient, or q(z|x) has a density at its own rows only.
        """
        shape = (self.num_pseudo_inputs, *item_shape)
        initial = np.zeros(shape, np.float32)
        if examples is not None:
            found = examples(self.num_pseudo_inputs)
            initial = found[np.arange(self.num_pseudo_inputs) % len(found)]
        low, high = np.float32(data_support.low), np.float32(data_support.high)
        # On the border of the data's range, where a clipped value would have no gradient, they can still move back.
        inputs = tf.Variable(initial, name="pseudo_inputs", constraint=lambda u: tf.clip_by_value(u, low, high))
        start = tf.constant(initial)
        with tf.GradientTape() as tape:
            tape.watch(start)
            try:
                # Two z at each of the components, as in the mixture.
                value = tf.reduce_sum(encode(start).log_prob(tf.fill([2, 1, latent_size], 1.0 / latent_size)))
            except (tf.errors.InvalidArgumentError, ValueError) as error:
                raise InputError(
                    f"model.prior: received {self.tag} for a posterior whose density at a z is known beside its own x "
                    "only, expected another prior"
                ) from error
        if tape.gradient(value, start) is None:
            raise InputError(
                f"model.prior: received {self.tag} for a likelihood whose features of x are codes without a gradient, "
                "expected another prior: pseudo-inputs could not learn"
            )
        return Vamp(encode, inputs, latent_size)


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
        return self.mixture().log_prob(z)


@draw_prior.register(Vamp)
def _(prior: Vamp, keys: tf.Tensor) -> tf.Tensor:
    return draw_prior(prior.mixture(), keys)
