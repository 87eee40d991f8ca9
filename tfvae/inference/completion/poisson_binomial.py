"""The Poisson-binomial distribution: how many of k independent bits are 1, and the bits given how many.

An exponential tilt leaves the bits given their number as they are, and makes that number a likely one:

  P(S = s; l) = exp(-t s) prod_j (1 + exp(l_j + t)) / (1 + exp(l_j)) P(S = s; l + t) for any t,

so the dynamic programme runs over probabilities, in float32 without underflow where it counts, and several times as
fast as over their logarithms. It takes k^2 steps.
"""

import tensorflow as tf

_HALVINGS = 8  # in the search for the tilt, which need not be exact
_MARGIN = 16.0  # beyond the outermost logit the count is 0 or k but for e^-16 of the mass


def log_mass(logits: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """log P(S = s), exact and differentiable in the logits.

    Args:
      logits: of the bits, `[k, ...]`: bits first, as every step goes over all counts at once.
      count: s, whole numbers from 0 to k, `[...]`.

    Returns:
      float32 `[...]`, nats.
    """
    tilt = _tilt(logits, count)
    tilted = logits + tilt
    mass = tf.reduce_sum(_table(tilted)[-1] * _at(count, logits.shape[0]), axis=0)
    ratio = tf.reduce_sum(tf.nn.softplus(tilted) - tf.nn.softplus(logits), axis=0)
    return tf.math.log(mass) + ratio - tilt * count


def mean_given_count(logits: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """E[x_j | S = s], `[k, ...]`; see `log_mass`."""
    with tf.GradientTape() as tape:
        tape.watch(logits)
        mass = log_mass(logits, count)
    # d log P(S = s) / d l_j = E[x_j | S = s] - sigmoid(l_j)
    return tf.clip_by_value(tape.gradient(mass, logits) + tf.sigmoid(logits), 0.0, 1.0)


def draw_given_count(logits: tf.Tensor, count: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    """Bits given their number, float32 `[k, ...]`, from uniform numbers of that shape; see `log_mass`.

    From the last bit to the first: P(x_j = 1 | s of the first j) = p_j P(S_{j-1} = s - 1) / P(S_j = s).
    """
    tilted = logits + _tilt(logits, count)
    rows, size = _table(tilted), logits.shape[0]
    left, bits = count, []
    for j in reversed(range(size)):
        # rows[j] are those of the bits before this one.
        zero = tf.reduce_sum(rows[j] * _at(left, j), axis=0) * tf.sigmoid(-tilted[j])
        one = tf.reduce_sum(rows[j] * _at(left - 1.0, j), axis=0) * tf.sigmoid(tilted[j])
        bit = tf.cast(uniforms[j] * (zero + one) < one, tf.float32)
        # Whatever rounding does: neither more than are left, nor fewer than there is room for.
        bit = tf.where(left <= 0.0, 0.0, tf.where(left >= j + 1.0, 1.0, bit))
        left -= bit
        bits.append(bit)
    return tf.stack(bits[::-1])


def _at(count: tf.Tensor, size: int) -> tf.Tensor:
    """1 at the place of a count, `[size + 1, ...]`; all 0 for one outside of 0 ... size."""
    return tf.one_hot(tf.cast(count, tf.int32), size + 1, axis=0)


def _tilt(logits: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """t for which E[S; l + t] is about s, by halving; far out for s = 0 and s = k; without a gradient."""
    low = -tf.reduce_max(logits, axis=0) - _MARGIN
    high = -tf.reduce_min(logits, axis=0) + _MARGIN
    ends = low, high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        below = tf.reduce_sum(tf.sigmoid(logits + middle), axis=0) < count
        low, high = tf.where(below, middle, low), tf.where(below, high, middle)
    size = tf.cast(logits.shape[0], tf.float32)
    return tf.stop_gradient(tf.where(count <= 0.0, ends[0], tf.where(count >= size, ends[1], (low + high) / 2.0)))


def _table(logits: tf.Tensor) -> list[tf.Tensor]:
    """P(S_j = s) of the first j bits, `[j + 1, ...]`, for j = 0 ... k."""
    ones, zeros = tf.unstack(tf.sigmoid(logits)), tf.unstack(tf.sigmoid(-logits))
    row = tf.ones_like(logits[:1])  # of no bits the count is 0
    rows, nothing = [row], tf.zeros_like(row)
    for one, zero in zip(ones, zeros, strict=True):
        # P(S_j = s) = (1 - p_j) P(S_{j-1} = s) + p_j P(S_{j-1} = s - 1)
        row = tf.concat([zero * row, nothing], axis=0) + tf.concat([nothing, one * row], axis=0)
        rows.append(row)
    return rows
