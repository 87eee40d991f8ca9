"""Gaussian likelihoods (Kingma & Welling 2013, appendix C.2)."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_probability import distributions as tfd
from tensorflow_probability import layers as tfpl

from tfvae.component import FieldError, bounded, choice
from tfvae.likelihoods.base import _Likelihood, independent, logits_of, raw_scale, shaped, split
from tfvae.posteriors import positive
from tfvae.support import REAL, UNIT, Support


@dataclasses.dataclass(kw_only=True, slots=True)
class _Gaussian(_Likelihood):
    """N(x; mu(z), ...) of numbers in [0, 1], `domain = "unit"`, or of any stored ones, "real"."""

    domain: str = choice("unit", "real")

    @property
    def scale(self) -> str:  # type: ignore[override]
        return "unit" if self.domain == "unit" else "none"

    def support(self, item_shape: tuple[int, ...]) -> Support:
        """Numbers in [0, 1], or all finite ones."""
        return UNIT if self.domain == "unit" else REAL


@dataclasses.dataclass(kw_only=True, slots=True)
class Gaussian(_Gaussian):
    """p(x|z) = N(x; mu(z), diag(sigma(z)^2)) with a learned variance for each dimension (equation 12).

    Attributes:
      domain: of x: `unit`, numbers in [0, 1], or `real`, any numbers as they are stored.
      mean: `linear`, or `sigmoid` to keep mu in (0, 1) as the paper does for Frey faces.
      scale_floor: smallest standard deviation, in units of x.
      initial_scale: standard deviation that training starts from.
    """

    mean: str = choice("linear", "sigmoid")
    scale_floor: float = bounded(1e-3, low=0.0, open_low=True)
    initial_scale: float = bounded(0.3, low=0.0, open_low=True)

    def validate(self) -> None:
        if self.domain == "real" and self.mean == "sigmoid":
            raise FieldError("mean", self.mean, "'linear' for domain 'real'")

    @property
    def params_per_dim(self) -> int:
        return 2

    def distribution(self, params: tf.Tensor, item_shape: tuple[int, ...]) -> tfd.Distribution:
        """p(x|z) of all means, then all raw scales."""
        loc, raw = split(params, 2, item_shape)
        return independent(tfd.Normal(self._loc(loc), positive(raw, self.scale_floor)), item_shape)

    def output_bias(self, mean: np.ndarray) -> np.ndarray:
        """Raw parameters that give `mean`, `[*item_shape]`, and `initial_scale`, flat."""
        loc = self._raw_loc(mean)
        return np.concatenate([loc, np.full(loc.shape, raw_scale(self.initial_scale, self.scale_floor))])

    def _loc(self, raw: tf.Tensor) -> tf.Tensor:
        return tf.math.sigmoid(raw) if self.mean == "sigmoid" else raw

    def _raw_loc(self, mean: np.ndarray) -> np.ndarray:
        return logits_of(mean) if self.mean == "sigmoid" else mean.ravel()


@dataclasses.dataclass(kw_only=True, slots=True)
class GaussianShared(Gaussian):
    """p(x|z) = N(x; mu(z), sigma^2 I), sigma one learned number (Rybkin et al. 2021, Sigma-VAE, section 3).

    Fields are those of `Gaussian`.
    """

    @property
    def params_per_dim(self) -> int:
        return 1

    def layer(self, item_shape: tuple[int, ...]) -> tfpl.DistributionLambda:
        """The `tfp.layers` layer, which owns sigma's variable; as a tensor it is its mean."""
        return SharedScaleNormal(
            lambda params: self._loc(shaped(params, item_shape)),
            event_ndims=len(item_shape),
            scale_floor=self.scale_floor,
            initial_scale=self.initial_scale,
        )

    def distribution(self, params: tf.Tensor, item_shape: tuple[int, ...]) -> tfd.Distribution:
        """p(x|z) with `initial_scale`."""
        return self.layer(item_shape).distribution(params)

    def output_bias(self, mean: np.ndarray) -> np.ndarray:
        """Raw means that give `mean`, `[*item_shape]`, flat."""
        return self._raw_loc(mean)


class SharedScaleNormal(tfpl.DistributionLambda):
    """Parameters -> N(loc(params), sigma^2 I), sigma = softplus(raw_scale) + floor.

    Attributes:
      raw_scale: float32 variable, scalar, trained with the decoder.
    """

    def __init__(self, loc: Any, *, event_ndims: int, scale_floor: float, initial_scale: float) -> None:
        super().__init__(
            self.distribution, convert_to_tensor_fn=tfd.Distribution.mean, dtype="float32", name="likelihood"
        )
        self._loc, self._event_ndims, self._scale_floor = loc, event_ndims, scale_floor
        initial = tf_keras.initializers.Constant(raw_scale(initial_scale, scale_floor))
        self.raw_scale = self.add_weight(name="raw_scale", shape=(), initializer=initial)

    def distribution(self, params: tf.Tensor) -> tfd.Distribution:
        """N(loc(params), sigma^2 I)."""
        loc = self._loc(params)
        scale = positive(tf.convert_to_tensor(self.raw_scale), self._scale_floor)
        return tfd.Independent(tfd.Normal(loc, scale * tf.ones_like(loc)), self._event_ndims)


@dataclasses.dataclass(kw_only=True, slots=True)
class GaussianIdentity(_Gaussian):
    """p(x|z) = N(x; mu(z), I): -log p is half the squared error and a constant.

    Attributes:
      domain: of x: `unit`, numbers in [0, 1], or `real`, any numbers as they are stored.
    """

    def distribution(self, params: tf.Tensor, item_shape: tuple[int, ...]) -> tfd.Distribution:
        """p(x|z) of means."""
        loc = shaped(params, item_shape)
        return independent(tfd.Normal(loc, tf.ones_like(loc)), item_shape)

    def output_bias(self, mean: np.ndarray) -> np.ndarray:
        """`mean`, `[*item_shape]`, flat."""
        return mean.ravel()
