"""Mixtures of discretized logistics: a mass for each grey level."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tfvae.component import bounded
from tfvae.likelihoods.base import _Likelihood, independent, inverse, raw_scale, stacked
from tfvae.posteriors import positive
from tfvae.support import Support


@dataclasses.dataclass(kw_only=True, slots=True)
class DiscretizedLogistic(_Likelihood):
    """p(x|z) = prod_d sum_k pi_k [sigmoid((x_d + h - mu_k) / s_k) - sigmoid((x_d - h - mu_k) / s_k)].

    Salimans et al. 2017, PixelCNN++, equation 2; channels are independent here. x is a level
    v / (num_levels - 1), h half the distance of two; the first level and the last take the tails.

    Attributes:
      num_mixtures: K, logistics for each dimension.
      num_levels: 256 for bytes, 17 for scikit-learn's digits.
      scale_floor: smallest s, in units of x in [0, 1].
      initial_scale: s that training starts from.
    """

    num_mixtures: int = bounded(5, low=1)
    num_levels: int = bounded(256, low=2, high=4096)
    scale_floor: float = bounded(5e-4, low=0.0, open_low=True)
    initial_scale: float = bounded(0.1, low=0.0, open_low=True)

    @property
    def params_per_dim(self) -> int:
        return 3 * self.num_mixtures

    def distribution(self, params: tf.Tensor, item_shape: tuple[int, ...]) -> tfd.Distribution:
        """p(x|z) of the mixtures' logits, their means, then their raw scales."""
        logits, loc, raw = (stacked(part, self.num_mixtures, item_shape) for part in tf.split(params, 3, axis=-1))
        scale = positive(raw, self.scale_floor)
        return independent(
            DiscretizedLogisticMixture(logits=logits, loc=loc, scale=scale, num_levels=self.num_levels), item_shape
        )

    def output_bias(self, mean: np.ndarray) -> np.ndarray:
        """Parameters that give `mean`, `[*item_shape]`, and `initial_scale`, flat: all logistics are the same."""
        scale = max(self.initial_scale, self.scale_floor + 1e-6)
        edges = (np.arange(1, self.num_levels) - 0.5) / (self.num_levels - 1)
        # The mean is a step function of mu where s is small beside a level: then steps are as wide as the grid.
        grid = np.linspace(-8 * scale, 1 + 8 * scale, 2**13)

        def mean_at(loc: np.ndarray) -> np.ndarray:
            # E[x] = sum_v P(x >= v) / (L - 1);  sigmoid(t) = (1 + tanh(t / 2)) / 2
            return np.mean([0.5 + 0.5 * np.tanh((loc - edge) / (2 * scale)) for edge in edges], axis=0)

        loc = inverse(mean_at, grid, np.clip(mean, 1e-3, 1 - 1e-3))
        raw = np.full(loc.shape, raw_scale(self.initial_scale, self.scale_floor))
        return np.concatenate([np.tile(part, self.num_mixtures) for part in (np.zeros_like(loc), loc, raw)])

    def support(self, item_shape: tuple[int, ...]) -> Support:
        """The levels."""
        return Support(
            step=1.0 / (self.num_levels - 1),
            between="rounded",
            hint="set model.likelihood.num_levels to the data's number of levels",
        )


class DiscretizedLogisticMixture(tfd.Distribution):
    """A mixture of logistics rounded to the levels v / (num_levels - 1), v = 0 ... num_levels - 1.

    A number between two levels has the mass of the nearer one.

    Args:
      logits, loc, scale: float32 `[..., K]`: of the mixture and of its logistics, in units of x.
      num_levels: L.
    """

    def __init__(
        self, *, logits: Any, loc: Any, scale: Any, num_levels: int, name: str = "DiscretizedLogisticMixture"
    ) -> None:
        parameters = dict(locals())
        self._logits, self._loc, self._scale = (tf.convert_to_tensor(value) for value in (logits, loc, scale))
        self.num_levels, self._top = num_levels, float(num_levels - 1)
        super().__init__(
            dtype=self._loc.dtype,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=False,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: int | None = None) -> dict[str, Any]:
        return {name: tfp.util.ParameterProperties(event_ndims=1) for name in ("logits", "loc", "scale")}

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([], tf.int32)

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        # In units of levels, so that the upper edge of one level is the lower edge of the next to the last bit.
        level = tf.round(x * self._top)[..., None]
        loc, scale = self._loc * self._top, self._scale * self._top
        upper, lower = (level + 0.5 - loc) / scale, (level - 0.5 - loc) / scale
        # log(sigmoid(b) - sigmoid(a)) = log sigmoid(b) + log sigmoid(-a) + log(1 - exp(a - b)),  b - a = 1 / s
        below = tf.where(level >= self._top, 0.0, tf.math.log_sigmoid(upper))
        above = tf.where(level <= 0.0, 0.0, tf.math.log_sigmoid(-lower))
        inner = (level > 0.0) & (level < self._top)
        width = tf.where(inner, tf.math.log(-tf.math.expm1(-1.0 / scale)), 0.0)
        return tf.reduce_logsumexp(tf.nn.log_softmax(self._logits) + below + above + width, axis=-1)

    def _cdf(self, x: tf.Tensor) -> tf.Tensor:
        level = tf.floor(x * self._top + 1e-3)  # a level may be rounded to just below itself
        return tf.where(level >= self._top, 1.0, 1.0 - self._from_level(level + 1.0))

    def _mean(self) -> tf.Tensor:
        # E[v] = sum_{v=1}^{L-1} P(V >= v)
        return self._sum_over_levels(lambda level: tf.ones_like(level)) / self._top

    def _variance(self) -> tf.Tensor:
        # E[(v - c)^2] = c^2 + sum_{v=1}^{L-1} (2 (v - c) - 1) P(V >= v), about the mean c so that no digits are lost
        center = self._mean() * self._top
        total = center**2 + self._sum_over_levels(lambda level: 2.0 * (level - center) - 1.0)
        return tf.maximum(total, 0.0) / self._top**2

    def _from_level(self, level: tf.Tensor) -> tf.Tensor:
        """P(V >= level), for levels from 1."""
        loc, scale = self._loc * self._top, self._scale * self._top
        tail = tf.math.sigmoid((loc - (level[..., None] - 0.5)) / scale)
        return tf.reduce_sum(tf.nn.softmax(self._logits) * tail, axis=-1)

    def _sum_over_levels(self, weight: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """sum_{v=1}^{L-1} weight(v) P(V >= v), one level at a time: all at once need L times the memory."""

        def add(level: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return level + 1.0, total + weight(level) * self._from_level(level)

        start = (tf.ones([], self.dtype), tf.zeros_like(self._loc[..., 0]))
        return tf.while_loop(lambda level, _: level <= self._top, add, start, maximum_iterations=int(self._top))[1]

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        which, where = tfp.random.split_seed(seed, n=2, salt="discretized_logistic")
        one = tfd.OneHotCategorical(logits=self._logits, dtype=self.dtype).sample(n, seed=which)
        loc, scale = (tf.reduce_sum(one * value, axis=-1) for value in (self._loc, self._scale))
        x = tfd.Logistic(loc, scale).sample(seed=where)
        return tf.clip_by_value(tf.round(x * self._top), 0.0, self._top) / self._top
