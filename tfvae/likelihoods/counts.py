"""Likelihoods of counts 0, 1, 2, ..."""

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tfvae.component import bounded
from tfvae.likelihoods.base import _Likelihood, feature_layer, independent, raw_scale, shaped, split
from tfvae.posteriors import positive
from tfvae.support import COUNTS, Support

_BEND = 10.0


class _Counts(_Likelihood):
    """Of counts as they are stored."""

    __slots__ = ()

    scale: ClassVar[str] = "none"

    def features(self, item_shape: tuple[int, ...]) -> Any:
        """log(1 + x), `[rows, *item_shape]`."""
        return feature_layer(tf.math.log1p)

    def support(self, item_shape: tuple[int, ...]) -> Support:
        """Whole numbers from 0."""
        return COUNTS


def log_mean(raw: tf.Tensor) -> tf.Tensor:
    """log of a positive mean: exp(raw) up to e^10, and on along its tangent, so that none overflows."""
    # log(e^10 (1 + raw - 10))
    return tf.minimum(raw, _BEND) + tf.math.log1p(tf.nn.relu(raw - _BEND))


def _raw_log_mean(mean: np.ndarray) -> np.ndarray:
    """What `log_mean` maps to the log of `mean`, flat; that of 0 is kept finite."""
    mean = np.maximum(np.ravel(mean).astype(np.float64), 1e-6)
    bend = math.exp(_BEND)
    return np.where(mean < bend, np.log(mean), _BEND - 1.0 + mean / bend)


@dataclasses.dataclass(kw_only=True, slots=True)
class Poisson(_Counts):
    """p(x|z) = prod_d Poisson(x_d; rate_d(z)); the decoder gives the log rate: see `log_mean`.

    In float32 the log-mass of a count of 20,000 is good to 0.01 nats, of 100,000 to 0.05.
    """

    def distribution(self, params: tf.Tensor, item_shape: tuple[int, ...]) -> tfd.Distribution:
        """p(x|z) of log rates."""
        return independent(tfd.Poisson(log_rate=log_mean(shaped(params, item_shape))), item_shape)

    def output_bias(self, mean: np.ndarray) -> np.ndarray:
        """The log of `mean`, `[*item_shape]`, flat."""
        return _raw_log_mean(mean)


@dataclasses.dataclass(kw_only=True, slots=True)
class NegativeBinomial(_Counts):
    """p(x|z) = prod_d NB(x_d; mu_d(z), alpha_d(z)): counts with variance mu + alpha mu^2, more than a Poisson's.

    Attributes:
      dispersion_floor: smallest alpha; as alpha goes to 0, p(x|z) goes to a Poisson.
      initial_dispersion: alpha that training starts from.
    """

    dispersion_floor: float = bounded(1e-3, low=1e-4)
    initial_dispersion: float = bounded(0.5, low=0.0, open_low=True)

    @property
    def params_per_dim(self) -> int:
        return 2

    def distribution(self, params: tf.Tensor, item_shape: tuple[int, ...]) -> tfd.Distribution:
        """p(x|z) of all log means, then all raw dispersions."""
        raw_mean, raw_dispersion = split(params, 2, item_shape)
        dispersion = positive(raw_dispersion, self.dispersion_floor)
        # In TFP's parameters: r = 1 / alpha and logits = log(mu alpha)
        logits = log_mean(raw_mean) + tf.math.log(dispersion)
        return independent(tfd.NegativeBinomial(1.0 / dispersion, logits=logits), item_shape)

    def output_bias(self, mean: np.ndarray) -> np.ndarray:
        """Raw parameters that give `mean`, `[*item_shape]`, and `initial_dispersion`, flat."""
        loc = _raw_log_mean(mean)
        return np.concatenate([loc, np.full(loc.shape, raw_scale(self.initial_dispersion, self.dispersion_floor))])


@dataclasses.dataclass(kw_only=True, slots=True)
class Multinomial(_Counts):
    """p(x|z) = n! / prod_d x_d! prod_d pi_d(z)^x_d: a bag of n words, n = sum_d x_d being that of x itself.

    p(x|z) sums to 1 over the x of one total. Its mean is pi, the probability of each word, and a
    sample is one word: the total is no part of the model.
    """

    def distribution(self, params: tf.Tensor, item_shape: tuple[int, ...]) -> tfd.Distribution:
        """p(x|z) of the words' logits."""
        return BagOfWords(logits=shaped(params, item_shape), event_ndims=len(item_shape))

    def output_bias(self, mean: np.ndarray) -> np.ndarray:
        """The logs, flat, of the words' shares in `mean`, `[*item_shape]`."""
        share = np.ravel(mean) / max(float(np.sum(mean)), 1e-6)
        return np.log(np.maximum(share, 1e-8))


class BagOfWords(tfd.Distribution):
    """A multinomial distribution whose total is that of its argument; its mean and samples are of one word.

    `tfd.Multinomial(total, logits)` draws a bag of known total.

    Args:
      logits: float32 `[..., *event_shape]`.
      event_ndims: axes of the event: every number of it is a word's.
    """

    def __init__(self, *, logits: Any, event_ndims: int = 1, name: str = "BagOfWords") -> None:
        parameters = dict(locals())
        self.logits = tf.convert_to_tensor(logits)
        self.event_ndims = event_ndims
        super().__init__(
            dtype=self.logits.dtype,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=False,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: int | None = None) -> dict[str, Any]:
        return {"logits": tfp.util.ParameterProperties(event_ndims=lambda self: self.event_ndims)}

    def _event_shape(self) -> tf.TensorShape:
        return self.logits.shape[-self.event_ndims :]

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.shape(self.logits)[-self.event_ndims :]

    def _axes(self) -> list[int]:
        return list(range(-self.event_ndims, 0))

    def _log_pi(self) -> tf.Tensor:
        return self.logits - tf.reduce_logsumexp(self.logits, self._axes(), keepdims=True)

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        axes = self._axes()
        total = tf.reduce_sum(x, axes)
        # log n! - sum_d log x_d! + sum_d x_d log pi_d
        return tf.math.lgamma(total + 1.0) + tf.reduce_sum(x * self._log_pi() - tf.math.lgamma(x + 1.0), axes)

    def _mean(self) -> tf.Tensor:
        return tf.exp(self._log_pi())

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        batch = tf.shape(self.logits)[: -self.event_ndims]
        flat = tf.reshape(self.logits, tf.concat([batch, [-1]], axis=0))
        word = tfd.OneHotCategorical(logits=flat, dtype=self.dtype).sample(n, seed=seed)
        return tf.reshape(word, tf.concat([[n], tf.shape(self.logits)], axis=0))
