"""Likelihoods p(x|z): `tfp.layers` over the decoder's parameters.

The decoder's network gives `params_per_dim` numbers for each dimension of x, each kind
of parameter in one piece: all means, then all raw scales.
"""

import dataclasses
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from tensorflow_probability import layers as tfpl

from tfvae.component import bounded, choice
from tfvae.errors import InputError
from tfvae.kinds import Likelihood
from tfvae.posteriors import IndependentNormal


class _PixelLikelihood(Likelihood):
    """What likelihoods of data in [0, 1] share.

    Attributes:
      params_per_dim: parameters of one dimension of x.
      binary: whether x must be 0 or 1.
    """

    __slots__ = ()

    params_per_dim: ClassVar[int] = 1
    binary: ClassVar[bool] = False

    def check(self, values: np.ndarray, *, field: str = "data") -> None:
        """Checks data against the support.

        Args:
          values: examples `[n, *item_shape]`.
          field: what messages call them.

        Raises:
          InputError: where p(x|z) has no density or mass at `values`.
        """
        if self.binary and not np.isin(values, (0, 1)).all():
            grey = values[(values != 0) & (values != 1)].flat[0]
            raise InputError(
                f"{field}: received grey pixels (such as {grey:.3g}) for a {self.tag} likelihood, expected 0 or 1: "
                "choose data.binarization = 'dynamic' (fresh draws each epoch), 'static' or 'threshold'"
            )


@dataclasses.dataclass(kw_only=True, slots=True)
class Bernoulli(_PixelLikelihood):
    """p(x|z) = prod_d Bernoulli(x_d): -log p is the cross-entropy (Kingma & Welling 2013, equation 11)."""

    binary: ClassVar[bool] = True

    def layer(self, item_shape: tuple[int, ...]) -> tfpl.DistributionLambda:
        """The `tfp.layers` layer; as a tensor it is its mean."""
        return tfpl.IndependentBernoulli(
            item_shape, convert_to_tensor_fn=tfd.Distribution.mean, dtype="float32", name="likelihood"
        )

    def output_bias(self, mean: np.ndarray) -> np.ndarray:
        """The logits of `mean`, `[*item_shape]`, flat."""
        mean = np.clip(mean, 1e-3, 1 - 1e-3)
        return np.log(mean / (1 - mean)).ravel()


@dataclasses.dataclass(kw_only=True, slots=True)
class Gaussian(_PixelLikelihood):
    """p(x|z) = N(x; mu(z), diag(sigma(z)^2)) with a learned variance for each pixel (equation 12).

    Attributes:
      mean: `linear`, or `sigmoid` to keep mu in (0, 1) as the paper does for Frey faces.
      scale_floor: smallest standard deviation, in units of x in [0, 1].
      initial_scale: standard deviation that training starts from.
    """

    params_per_dim: ClassVar[int] = 2

    mean: str = choice("linear", "sigmoid")
    scale_floor: float = bounded(1e-3, low=0.0, open_low=True)
    initial_scale: float = bounded(0.3, low=0.0, open_low=True)

    def layer(self, item_shape: tuple[int, ...]) -> tfpl.DistributionLambda:
        """The `tfp.layers` layer; as a tensor it is its mean."""
        layer = SigmoidNormal if self.mean == "sigmoid" else IndependentNormal
        return layer(
            item_shape, convert_to_tensor_fn=tfd.Distribution.mean, scale_floor=self.scale_floor, name="likelihood"
        )

    def output_bias(self, mean: np.ndarray) -> np.ndarray:
        """Raw parameters that give `mean`, `[*item_shape]`, and `initial_scale`, flat."""
        loc = Bernoulli().output_bias(mean) if self.mean == "sigmoid" else mean.ravel()
        softplus = max(self.initial_scale - self.scale_floor, 1e-6)
        return np.concatenate([loc, np.full(loc.shape, np.log(np.expm1(softplus)))])


class SigmoidNormal(IndependentNormal):
    """An independent normal whose means pass through a sigmoid."""

    @staticmethod
    def distribution(params: tf.Tensor, event_shape: Any, scale_floor: float) -> tfd.Distribution:
        """N(sigmoid(loc), diag(softplus(raw) + floor)^2) over `event_shape`."""
        loc, raw = tf.split(params, 2, axis=-1)
        return IndependentNormal.distribution(tf.concat([tf.math.sigmoid(loc), raw], axis=-1), event_shape, scale_floor)


@dataclasses.dataclass(kw_only=True, slots=True)
class GaussianIdentity(_PixelLikelihood):
    """p(x|z) = N(x; mu(z), I): -log p is half the squared error and a constant."""

    def layer(self, item_shape: tuple[int, ...]) -> tfpl.DistributionLambda:
        """The `tfp.layers` layer; as a tensor it is its mean."""

        def distribution(params: tf.Tensor) -> tfd.Distribution:
            loc = tf.reshape(params, tf.concat([tf.shape(params)[:-1], item_shape], axis=0))
            return tfd.Independent(tfd.Normal(loc, tf.ones_like(loc)), reinterpreted_batch_ndims=len(item_shape))

        return tfpl.DistributionLambda(
            distribution, convert_to_tensor_fn=tfd.Distribution.mean, dtype="float32", name="likelihood"
        )

    def output_bias(self, mean: np.ndarray) -> np.ndarray:
        """`mean`, `[*item_shape]`, flat."""
        return mean.ravel()


def is_binary(likelihood: tfd.Distribution) -> bool:
    """Whether p(x|z) is a distribution of 0 and 1."""
    return isinstance(getattr(likelihood, "distribution", likelihood), tfd.Bernoulli)


def named_parameters(likelihood: tfd.Distribution) -> dict[str, tf.Tensor]:
    """The parameters of p(x|z) by their names in TFP, such as `logits`, or `loc` and `scale`.

    Returns:
      tensors `[rows, *item_shape]`.
    """
    base = getattr(likelihood, "distribution", likelihood)
    given = {name: base.parameters.get(name) for name in type(base).parameter_properties()}
    # A parameter that all dimensions share is given to each: an export's outputs begin with the rows.
    shape = base.batch_shape_tensor()
    return {
        name: tf.ensure_shape(tf.broadcast_to(value, shape), base.batch_shape)
        for name, value in given.items()
        if value is not None
    }
