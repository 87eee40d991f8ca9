"""A likelihood of codes."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae.component import bounded
from tfvae.likelihoods.base import _Likelihood, feature_layer, independent, inverse, stacked
from tfvae.support import Support


@dataclasses.dataclass(kw_only=True, slots=True)
class Categorical(_Likelihood):
    """p(x|z) = prod_d softmax(logits_d(z))[x_d]: each dimension is one of the codes 0 ... num_categories - 1.

    For text as the ids of its words, `[length]`, and for quantized images.

    Attributes:
      num_categories: C.
      ordered: whether codes are quantities: the mean is then the expected code, else the most probable one.
    """

    scale: ClassVar[str] = "none"

    num_categories: int = bounded(256, low=2)
    ordered: bool = False

    @property
    def params_per_dim(self) -> int:
        return self.num_categories

    def distribution(self, params: tf.Tensor, item_shape: tuple[int, ...]) -> tfd.Distribution:
        """p(x|z) of all logits of code 0, then those of code 1, and so on."""
        logits = stacked(params, self.num_categories, item_shape)
        kind = OrderedCodes if self.ordered else Codes
        codes = kind(logits=logits, dtype=tf.float32, force_probs_to_zero_outside_support=True)
        return independent(codes, item_shape)

    def features(self, item_shape: tuple[int, ...]) -> Any:
        """One number for each code, 1 or 0: `[rows, *item_shape, C]`; images keep one axis, of all channels' codes."""
        shape = (*item_shape, self.num_categories)
        if len(item_shape) > 2:
            shape = (*item_shape[:-1], item_shape[-1] * self.num_categories)

        def one_hot(x: tf.Tensor) -> tf.Tensor:
            codes = tf.one_hot(tf.cast(x, tf.int32), self.num_categories)
            return tf.reshape(codes, tf.concat([tf.shape(x)[:1], shape], axis=0))

        return feature_layer(one_hot)

    def output_bias(self, mean: np.ndarray) -> np.ndarray:
        """Logits, flat, whose expected code is `mean`, `[*item_shape]`; 0 where codes have no order."""
        codes = np.arange(self.num_categories)
        if not self.ordered:
            return np.zeros(codes.size * mean.size)

        def expected(slope: np.ndarray) -> np.ndarray:
            logits = slope[:, None] * codes
            weights = np.exp(logits - logits.max(axis=1, keepdims=True))
            return weights @ codes / weights.sum(axis=1)

        # Of all distributions with this mean the one of largest entropy has logits slope * code. Many codes are
        # sensitive to small slopes: the grid is fine around 0.
        grid = 8.0 * np.linspace(-1.0, 1.0, 2**12) ** 3
        top = self.num_categories - 1
        slope = inverse(expected, grid, np.clip(mean, 1e-3, top - 1e-3))
        return np.outer(codes - top / 2, slope).ravel()

    def support(self, item_shape: tuple[int, ...]) -> Support:
        """The codes."""
        return Support(
            high=self.num_categories - 1.0, step=1.0, hint="set model.likelihood.num_categories above the largest code"
        )


class Codes(tfd.Categorical):
    """A categorical distribution whose mean is its most probable code."""

    def _mean(self) -> tf.Tensor:
        return self._mode()


class OrderedCodes(tfd.Categorical):
    """A categorical distribution whose mean is the expected code."""

    def _mean(self) -> tf.Tensor:
        probs = self.probs_parameter()
        return tf.linalg.matvec(probs, tf.range(probs.shape[-1], dtype=probs.dtype))
