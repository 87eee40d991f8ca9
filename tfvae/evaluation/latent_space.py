"""Coordinates of z without limits, in which Hamiltonian Monte Carlo can move."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfvae.priors.vamp import Vamp
from tfvae.reparameterization import TransformedDistribution


class Sticks(tfb.IteratedSigmoidCentered):
    """Stick-breaking whose inverse keeps its digits near a corner, where shares before the last sum to almost 1."""

    def _inverse(self, y: tf.Tensor) -> tf.Tensor:
        size = int(y.shape[-1])
        shares = tf.maximum(y, tf.constant(np.finfo(np.float32).tiny, y.dtype))
        # Of stick k, log share / (all later shares), in place of share / (1 - all before), which rounds to 0 / 0.
        later = tf.cumsum(shares, axis=-1, reverse=True)[..., 1:]
        equal = tf.math.log(tf.range(size - 1, 0, -1, dtype=y.dtype))  # 0 is the middle of the simplex
        return tf.math.log(shares[..., :-1]) - tf.math.log(later) + equal


@functools.singledispatch
def unconstrained(prior: tfd.Distribution) -> tfb.Bijector:
    """T with z = T(y): from any real numbers y `[..., size]` to the support of a prior; the identity if it is R^n."""
    bijector = prior.experimental_default_event_space_bijector()
    # The flows of posteriors name none, and are over R^n.
    return tfb.Identity() if bijector is None else bijector


@unconstrained.register(tfd.MixtureSameFamily)
def _(prior: tfd.MixtureSameFamily) -> tfb.Bijector:
    return unconstrained(prior.components_distribution)


@unconstrained.register(Vamp)
def _(prior: Vamp) -> tfb.Bijector:
    return unconstrained(prior.mixture())


@unconstrained.register(tfd.Dirichlet)
def _(prior: tfd.Dirichlet) -> tfb.Bijector:
    # TFP's default, SoftmaxCentered, cannot be made with NumPy 2.4; y has one dimension less than z in both.
    return Sticks()


@unconstrained.register(TransformedDistribution)
def _(prior: tfd.TransformedDistribution) -> tfb.Bijector:
    # TFP's default goes to the base's coordinates, which for an autoregressive flow takes a pass for each dimension.
    # A flow over R^n has a density at every z, and so needs no other coordinates than z.
    # Beside the components of a mixture, where it is made of such.
    anywhere = tf.reshape([-3.0, 0.3, 2.0], [3] + [1] * (len(prior.batch_shape) + 1)) * tf.ones(prior.event_shape)
    if bool(tf.reduce_all(tf.math.is_finite(prior.log_prob(anywhere)))):
        return tfb.Identity()
    return prior.experimental_default_event_space_bijector()


# Of each support of z that `tfvae.kinds` names.
_BIJECTORS: dict[str, Callable[[], tfb.Bijector]] = {
    "real": tfb.Identity,
    "positive": tfb.Softplus,
    "unit": tfb.Sigmoid,
    "simplex": Sticks,
}


def latent_support(prior: tfd.Distribution) -> str:
    """Where z lies, by its name in `tfvae.kinds.SUPPORTS`: found from the images of far points."""
    bijector, size = LatentSpace.of(prior).bijector, int(prior.event_shape[-1])
    if bijector.inverse_event_shape_tensor([size])[-1] != size:
        return "simplex"
    low, high = (float(tf.reduce_max(bijector.forward(tf.fill([1, size], end)))) for end in (-50.0, 50.0))
    if low < -1.0:
        return "real"
    return "unit" if high <= 1.0 else "positive"


@dataclasses.dataclass(frozen=True)
class LatentSpace:
    """z = T(y), and densities of y.

    Attributes:
      bijector: T, of vectors.
    """

    bijector: tfb.Bijector

    @classmethod
    def of(cls, prior: tfd.Distribution) -> "LatentSpace":
        """That of a prior; outside of any graph."""
        with tf.init_scope():
            return cls(unconstrained(prior))

    @classmethod
    def named(cls, support: str) -> "LatentSpace":
        """That of all z with a support: a name in `tfvae.kinds.SUPPORTS`."""
        return cls(_BIJECTORS[support]())

    def z(self, y: tf.Tensor) -> tf.Tensor:
        """`[..., size of y]` to `[..., latent_size]`."""
        return self.bijector.forward(y)

    def y(self, z: tf.Tensor) -> tf.Tensor:
        """`[..., latent_size]` to `[..., size of y]`."""
        # Another tensor than the bijector's own: that one's image it would remember, and give without a gradient.
        return tf.identity(self.bijector.inverse(z))

    def log_volume(self, y: tf.Tensor) -> tf.Tensor:
        """log |det dz / dy| `[...]`: what turns a log-density of z into that of y."""
        return self.bijector.forward_log_det_jacobian(y, event_ndims=1)
