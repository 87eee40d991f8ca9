"""What stands for mean and variance of what is no number: the counts of a bag of words, and codes without an order.

A bag. Its total is no part of the model, so the total behind a mask is not known. Let it be a Poisson number of rate
l, with the prior 1/l. Then p(z|x_observed) is that of the observed words as a bag of their own, and what is missing is
negative multinomial: with n observed words, s their pi's sum, r_d = pi_d / s, a missing count has the mean n r_d and
the variance n r_d (1 + r_d).

Codes without an order. Any two are 1 apart: in place of the mean stands the most probable code, p(code) being the
average over z, and in place of the variance the probability of any other.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tfvae.inference.model import Model

_TINY = 1e-12  # the smallest share of what is observed


@dataclasses.dataclass(frozen=True)
class Codes:
    """Numbers of an item that are codes of one kind, without an order.

    Attributes:
      parameter: what `decode` calls their logits, `[rows, ..., num_categories]`.
      places: theirs in a flat item.
    """

    parameter: str
    places: np.ndarray

    def share(self, decoded: dict[str, tf.Tensor], count: int) -> tf.Tensor:
        """p(code), averaged over each row's `count` draws of z: `[rows, len(places), num_categories]`."""
        logits = decoded[self.parameter]
        logits = tf.reshape(logits, [-1, count, len(self.places), logits.shape[-1]])
        return tf.reduce_mean(tf.nn.softmax(logits), axis=1)


@dataclasses.dataclass(frozen=True)
class Kind:
    """What p(x|z) of a model has.

    Attributes:
      bag: a bag of words, whose mean is the probability of each.
      codes: numbers that are codes without an order.
    """

    bag: bool
    codes: tuple[Codes, ...]

    @classmethod
    def of(cls, model: Model) -> "Kind":
        """That of a model, by what it gives for one z."""
        with tf.init_scope():
            decoded = model.rows("decode", z=model.middle(1), labels=model.any_labels(1))
        logits = decoded.get("logits")
        bag = "stddev" not in decoded and logits is not None and logits.shape[1:] == model.item_shape
        return cls(bag, _codes(model, decoded))

    def unordered(self, item_shape: tuple[int, ...]) -> np.ndarray:
        """Which numbers are codes without an order, bool `[*item_shape]`."""
        found = np.zeros(int(np.prod(item_shape)), bool)
        for codes in self.codes:
            found[codes.places] = True
        return found.reshape(item_shape)


def _codes(model: Model, decoded: dict[str, np.ndarray]) -> tuple[Codes, ...]:
    logits = decoded.get("logits")
    if logits is not None and logits.shape[1:-1] == model.item_shape and model.high == logits.shape[-1] - 1:
        # The mean of ordered codes is their expected value, and whole by chance alone.
        unordered = np.array_equal(decoded["mean"], logits.argmax(axis=-1))
        return (Codes("logits", np.arange(model.dimensions)),) if unordered else ()
    # Columns of a table lie together by their kinds, and the config knows where they belong.
    columns = model.config.get("model", {}).get("likelihood", {}).get("columns", ())
    kinds = [kind for kind in dict.fromkeys(columns) if kind.startswith("categorical:")]
    found = (
        Codes(f"{kind.replace(':', '_')}_logits", np.flatnonzero(np.array(columns, object) == kind)) for kind in kinds
    )
    return tuple(codes for codes in found if codes.parameter in decoded)


def bag_moments(share: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance of the counts of a bag as if all were missing: see the module.

    Args:
      share: pi, `[rows, *item_shape]`.
      y: counts, NaN where they are missing, of that shape.
    """
    axes, seen = list(range(1, share.shape.rank)), ~tf.math.is_nan(y)
    count = tf.reduce_sum(tf.where(seen, y, 0.0), axis=axes, keepdims=True)
    whole = tf.reduce_sum(tf.where(seen, share, 0.0), axis=axes, keepdims=True)
    ratio = share / tf.maximum(whole, _TINY)
    return count * ratio, count * ratio * (1.0 + ratio)


def log_total_ratio(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """log(N / n) of the totals of a bag and of what is observed of it, at least 1, `[rows]`.

    The masses of bags of a given total, log p(x|N) - log p(x_observed|n), have lgamma(N + 1) - lgamma(n + 1) where that
    of the missing counts has lgamma(N) - lgamma(n).
    """
    totals = [
        tf.maximum(tf.reduce_sum(tf.where(tf.math.is_nan(v), 0.0, v), axis=list(range(1, v.shape.rank))), 1.0)
        for v in (x, y)
    ]
    return tf.math.log(totals[0] / totals[1])


def placed(values: tf.Tensor, places: np.ndarray, into: tf.Tensor) -> tf.Tensor:
    """`into`, `[rows, *item_shape]`, with `values` `[rows, len(places)]` at places of its flat items."""
    flat = tf.transpose(tf.reshape(into, [-1, int(np.prod(into.shape[1:]))]))
    flat = tf.tensor_scatter_nd_update(flat, places[:, None], tf.transpose(values))
    return tf.reshape(tf.transpose(flat), tf.shape(into))
