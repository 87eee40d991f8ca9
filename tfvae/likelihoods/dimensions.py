"""p(x|z) taken apart: the density of those numbers of x that are observed, and draws of each number from its own noise.

A likelihood with independent dimensions needs no line here. One without registers its ways.
"""

import functools
from collections.abc import Callable

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae.likelihoods.autoregressive import Autoregressive
from tfvae.likelihoods.counts import BagOfWords
from tfvae.likelihoods.logistic import DiscretizedLogisticMixture
from tfvae.likelihoods.table import Columns

# A count is looked for below its mean and this many standard deviations: beyond lies no mass that float32 could tell.
_TAIL = 40.0
_HALVINGS = 40  # of that range


@functools.singledispatch
def log_prob_of_observed(likelihood: tfd.Distribution, x: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """log p(x_observed | z), the other numbers summed or integrated out.

    Args:
      likelihood: p(x|z), batch shape `[rows]`.
      x: `[rows, *item_shape]`, in the support also where nothing is observed.
      mask: bool `[rows, *item_shape]`: what is observed.

    Returns:
      float32 `[rows]`, nats; 0 where a row has nothing observed.

    Raises:
      NotImplementedError: for dimensions that are not independent, where none is registered.
    """
    if not isinstance(likelihood, tfd.Independent.__base__):
        raise NotImplementedError(f"the dimensions of {type(likelihood).__name__} are not known to be independent")
    each = likelihood.distribution.log_prob(x)
    return tf.reduce_sum(tf.where(mask, each, 0.0), axis=range(1, each.shape.rank))


@log_prob_of_observed.register(Columns)
def _(likelihood: Columns, x: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    parts = [
        log_prob_of_observed(part, *(tf.gather(value, places, axis=-1) for value in (x, mask)))
        for part, places in likelihood.by_place()
    ]
    return tf.add_n(parts)


@log_prob_of_observed.register(BagOfWords)
def _(likelihood: BagOfWords, x: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    # Given how many words were observed, they are a bag of the observed kinds alone: their pi share the whole.
    lowest = tf.constant(-1e9)
    observed = BagOfWords(logits=tf.where(mask, likelihood.logits, lowest), event_ndims=likelihood.event_ndims)
    return observed.log_prob(tf.where(mask, x, 0.0))


@functools.singledispatch
def draw(likelihood: tfd.Distribution, uniforms: tf.Tensor) -> tf.Tensor:
    """x ~ p(x|z) by the inverse distribution function of each dimension, given those before it where they matter.

    TFP's samplers take one seed for a batch: here a row's x belongs to the row's own numbers.

    Args:
      likelihood: p(x|z), batch shape `[rows]`.
      uniforms: in (0, 1), `[rows, *item_shape]`.

    Returns:
      float32 `[rows, *item_shape]`.

    Raises:
      NotImplementedError: for a distribution that has no way registered.
    """
    if isinstance(likelihood, tfd.Independent.__base__):
        return draw(likelihood.distribution, uniforms)
    raise NotImplementedError(f"no draws of {type(likelihood).__name__} are known")


@draw.register(tfd.Normal)
@draw.register(tfd.ContinuousBernoulli)
def _(likelihood: tfd.Distribution, uniforms: tf.Tensor) -> tf.Tensor:
    return likelihood.quantile(uniforms)


@draw.register(tfd.Bernoulli)
def _(likelihood: tfd.Bernoulli, uniforms: tf.Tensor) -> tf.Tensor:
    return tf.cast(1.0 - uniforms < likelihood.probs_parameter(), tf.float32)


@draw.register(tfd.Categorical)
def _(likelihood: tfd.Categorical, uniforms: tf.Tensor) -> tf.Tensor:
    # The first code whose cumulative probability is above u; the last takes what rounding leaves.
    cumulative = tf.cumsum(likelihood.probs_parameter(), axis=-1)
    return tf.reduce_sum(tf.cast(uniforms[..., None] >= cumulative[..., :-1], tf.float32), axis=-1)


@draw.register(tfd.Poisson)
@draw.register(tfd.NegativeBinomial)
def _(likelihood: tfd.Distribution, uniforms: tf.Tensor) -> tf.Tensor:
    return _smallest(likelihood.cdf, uniforms, likelihood.mean() + _TAIL * (likelihood.stddev() + 1.0))


@draw.register(DiscretizedLogisticMixture)
def _(likelihood: DiscretizedLogisticMixture, uniforms: tf.Tensor) -> tf.Tensor:
    top = tf.constant(likelihood.num_levels - 1.0)
    return _smallest(lambda level: likelihood.cdf(level / top), uniforms, top) / top


@draw.register(Columns)
def _(likelihood: Columns, uniforms: tf.Tensor) -> tf.Tensor:
    return likelihood.joined(
        [draw(part, tf.gather(uniforms, places, axis=-1)) for part, places in likelihood.by_place()]
    )


@draw.register(Autoregressive)
def _(likelihood: Autoregressive, uniforms: tf.Tensor) -> tf.Tensor:
    return likelihood.draw(uniforms)


def _smallest(cdf: Callable[[tf.Tensor], tf.Tensor], uniforms: tf.Tensor, highest: tf.Tensor) -> tf.Tensor:
    """The smallest whole number from 0 to about `highest` whose distribution function reaches u, by halving."""
    low = tf.zeros_like(uniforms) - 1.0  # F(low) < u <= F(high)
    high = tf.math.ceil(highest) + tf.zeros_like(uniforms)

    def halve(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, ...]:
        middle = tf.floor((low + high) / 2.0)
        # Where the two have met, the middle is `low`, which stays.
        reached = (cdf(tf.maximum(middle, 0.0)) >= uniforms) & (middle > low)
        ends = tf.where(reached, low, tf.maximum(low, middle)), tf.where(reached, middle, high)
        # A distribution function may know less of its shape than a loop allows.
        return tuple(tf.ensure_shape(end, uniforms.shape) for end in ends)

    # As many as the range needs: 8 for the levels of a byte.
    return tf.while_loop(
        lambda low, high: tf.reduce_any(high - low > 1.0), halve, (low, high), maximum_iterations=_HALVINGS
    )[1]
