"""The quantile of the gamma distribution, as a function of normal noise."""

import tensorflow as tf

from tfvae.reparameterization import log_uniforms

# Newton steps: after 5 of them the start below has become exact to rounding for shapes from 0.05 to 1000.
_NUM_STEPS = 6

# Below this log z one term of the series at 0 is exact to rounding.
_LOG_SMALL = -12.0


def log_gamma_quantile(shape: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """log z, where z is the quantile of Phi(noise) of Gamma(shape, rate 1); it has a gradient in `shape`.

    The composition of exponentials in Kingma & Welling (2013, section 2.4) covers whole
    shapes only, and `tfp.math.igammainv` returns 0 for small ones. Newton's method on log z works
    on the log of the smaller tail, which neither underflows nor rounds to 1.

    Args:
      shape: above 0, broadcasts with `noise`.
      noise: standard normal.

    Returns:
      float32, of the common shape.
    """
    a = tf.stop_gradient(tf.broadcast_to(shape, tf.broadcast_dynamic_shape(tf.shape(shape), tf.shape(noise))))
    log_u, log_rest = log_uniforms(noise)
    lower = tf.broadcast_to(noise < 0.0, tf.shape(a))
    # P(a, z) = z^a / Gamma(a + 1) (1 - a z / (a + 1) + ...)
    small = (log_u + tf.math.lgamma(a + 1.0)) / a
    series = small + tf.exp(tf.minimum(small, 0.0)) / (a + 1.0)
    # Wilson & Hilferty (1931): (z / a)^(1/3) is nearly N(1 - 1 / (9 a), 1 / (9 a))
    root = 1.0 - 1.0 / (9.0 * a) + noise / (3.0 * tf.sqrt(a))
    bulk = tf.math.log(a) + 3.0 * tf.math.log(tf.maximum(root, 0.1))
    # A shape below 1 has less of a tail than the exponential distribution.
    heavy = tf.minimum(series, tf.math.log(-log_rest))
    start = tf.where(a < 1.0, heavy, tf.where(root < 0.2, series, bulk))
    log_normalizer = tf.math.lgamma(a)

    def newton(log_z: tf.Tensor) -> tuple[tf.Tensor]:
        z = tf.exp(log_z)
        tail = tf.where(lower, tf.math.igamma(a, z), tf.math.igammac(a, z))
        log_tail = tf.math.log(tf.maximum(tail, 1e-37))
        # d log P / d log z = z^a exp(-z) / (Gamma(a) P); -d log Q / d log z likewise
        slope = tf.exp(tf.clip_by_value(a * log_z - z - log_normalizer - log_tail, -60.0, 60.0))
        step = tf.where(lower, log_tail - log_u, log_rest - log_tail) / slope
        return (log_z - tf.clip_by_value(step, -1.0, 1.0),)

    start = tf.clip_by_value(start, _LOG_SMALL - 0.5, 12.0)
    (newtons,) = tf.while_loop(lambda _: True, newton, (start,), maximum_iterations=_NUM_STEPS)
    is_small = small < _LOG_SMALL
    log_z = tf.stop_gradient(tf.where(is_small, series, newtons))
    return log_z + _slope_in_shape(a, log_z, is_small) * (shape - tf.stop_gradient(shape))


def _slope_in_shape(a: tf.Tensor, log_z: tf.Tensor, is_small: tf.Tensor) -> tf.Tensor:
    """d log z / d a at a fixed P(a, z): -(dP / da) / (z dP / dz) (Figurnov et al. 2018, equation 6)."""
    z = tf.exp(tf.maximum(log_z, _LOG_SMALL))
    bulk = tf.raw_ops.RandomGammaGrad(alpha=a, sample=z) / z
    # The derivative of (log u + log Gamma(a + 1)) / a
    series = (tf.math.digamma(a + 1.0) - log_z) / a
    return tf.stop_gradient(tf.where(is_small, series, bulk))
