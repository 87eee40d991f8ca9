"""The KL divergence from the prior as an activity regularizer of the posterior layer.

`tfp.layers.KLDivergenceRegularizer` counts the KL twice there: a `tfp.layers` layer
returns (distribution, sample), Keras regularizes both, and TFP's regularizer finds the
distribution again behind the sample. This one answers zero for the sample.
"""

from typing import Any

import tensorflow as tf
import tf_keras
from tensorflow_probability import distributions as tfd

from tfvae.rows import current_rows


def plain(distribution: tfd.Distribution) -> tfd.Distribution:
    """The TFP distribution inside what a `tfp.layers` layer returns, which also acts as a tensor."""
    return getattr(distribution, "tensor_distribution", distribution)


def kl_divergence(posterior: tfd.Distribution, prior: tfd.Distribution) -> tf.Tensor:
    """KL(q(z|x) || p(z)) in closed form.

    Args:
      posterior: batch shape `[rows]`.
      prior: no batch shape.

    Returns:
      float32 `[rows]`, nats.

    Raises:
      NotImplementedError: where neither TFP nor a conversion knows the closed form.
    """
    try:
        return tfd.kl_divergence(posterior, prior)
    except NotImplementedError:
        # TFP registers matched families only; a diagonal normal has two of them.
        return tfd.kl_divergence(_as_multivariate_normal(posterior), _as_multivariate_normal(prior))


def _as_multivariate_normal(distribution: tfd.Distribution) -> tfd.Distribution:
    if isinstance(distribution, tfd.MultivariateNormalLinearOperator):
        return distribution
    base = getattr(distribution, "distribution", None)
    if isinstance(base, tfd.Normal):
        return tfd.MultivariateNormalDiag(loc=base.loc, scale_diag=base.scale)
    raise NotImplementedError(f"no closed-form KL against {distribution.name}")


class KLRegularizer(tf_keras.regularizers.Regularizer, tf.Module):
    """Adds weight * KL(q(z|x) || p(z)) to the loss: its mean over the rows of the global batch.

    Set it as `activity_regularizer` of a `tfp.layers` posterior.

    Attributes:
      prior: p(z).
      weight: float32 variable: beta of the beta-VAE, 1 for the ELBO.
    """

    def __init__(self, prior: tfd.Distribution, weight: float = 1.0) -> None:
        tf.Module.__init__(self, name="kl")
        self.prior = prior
        self.weight = tf.Variable(
            weight, dtype=tf.float32, trainable=False, name="kl_weight",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )  # fmt: skip

    def __call__(self, activity: Any) -> tf.Tensor:
        if not isinstance(activity, tfd.Distribution):
            return tf.zeros([], tf.float32)
        rows = current_rows()
        if rows is not None and not rows.regularize:
            return tf.zeros([], tf.float32)
        rate = kl_divergence(plain(activity), self.prior)
        if rows is None:
            mean = tf.reduce_mean(rate)
        else:
            rows.rate = rate
            # Keras scales a layer's losses by 1 / replicas, but the shares sum to the mean already.
            mean = rows.mean(rate) * float(tf.distribute.get_strategy().num_replicas_in_sync)
        # Keras divides by the first axis of the activity's value (rows, or samples): undo it.
        return self.weight * mean * tf.cast(tf.shape(tf.convert_to_tensor(activity))[0], tf.float32)

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError("a KLRegularizer holds a prior and is not serialised; export the model instead")
