"""The KL divergence from the prior: in closed form, by Monte Carlo, and as an activity regularizer.

`tfp.layers.KLDivergenceRegularizer` counts the KL twice there: a `tfp.layers` layer
returns (distribution, sample), Keras regularizes both, and TFP's regularizer finds the
distribution again behind the sample. This one answers zero for the sample.
"""

from typing import Any

import tensorflow as tf
import tf_keras
from tensorflow_probability import distributions as tfd

from tfvae import random
from tfvae.reparameterization import log_prob_of_draw, reparameterize
from tfvae.rows import Rows, current_rows


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
    # A transformed normal has a `distribution` too, which it is not.
    if isinstance(distribution, tfd.Independent) and isinstance(base, tfd.Normal):
        return tfd.MultivariateNormalDiag(loc=base.loc, scale_diag=base.scale)
    raise NotImplementedError(f"no closed-form KL against {distribution.name}")


def dimensions(distribution: tfd.Distribution) -> tfd.Distribution | None:
    """The distributions of the single dimensions of z, batch shape `[..., latent_size]`, where z factorises.

    None for any other distribution: one of a full covariance, a mixture, a flow.
    """
    if isinstance(distribution, tfd.Independent) and distribution.distribution.event_shape.rank == 0:
        return distribution.distribution
    if isinstance(distribution, tfd.MultivariateNormalLinearOperator) and isinstance(
        distribution.scale, tf.linalg.LinearOperatorDiag
    ):
        return tfd.Normal(distribution.mean(), distribution.stddev())
    return None


def closed_form(posterior: tfd.Distribution, prior: tfd.Distribution) -> tf.Tensor | None:
    """`kl_divergence`, or None for a pair that it does not know."""
    try:
        return kl_divergence(posterior, prior)
    except NotImplementedError:
        return None


def log_ratio(posterior: tfd.Distribution, prior: tfd.Distribution, noise: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """log q(z|x) - log p(z) at z = `reparameterize(posterior, noise)`, `[..., rows, latent_size]`.

    Returns:
      float32 `[..., rows]`, nats; its mean over noise is the KL.
    """
    return log_prob_of_draw(posterior, noise, z) - prior.log_prob(z)


def rate(posterior: tfd.Distribution, prior: tfd.Distribution, noise: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """KL(q(z|x) || p(z)): in closed form where there is one, else the mean of `log_ratio` over draws.

    Args:
      posterior: batch shape `[rows]`.
      prior: no batch shape.
      noise, z: `[num_samples, rows, latent_size]`, as for `log_ratio`.

    Returns:
      float32 `[rows]`, nats.
    """
    known = closed_form(posterior, prior)
    return tf.reduce_mean(log_ratio(posterior, prior, noise, z), axis=0) if known is None else known


class KLRegularizer(tf_keras.regularizers.Regularizer, tf.Module):
    """Adds weight * KL(q(z|x) || p(z)) to the loss: its mean over the rows of the global batch.

    Set it as `activity_regularizer` of a `tfp.layers` posterior.

    Attributes:
      prior: p(z). Where no closed form of the KL is known it is estimated from the rows' own draws.
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
        posterior = plain(activity)
        known = closed_form(posterior, self.prior)
        if rows is None:
            if known is None:
                z = posterior.sample()
                known = posterior.log_prob(z) - self.prior.log_prob(z)
            mean = tf.reduce_mean(known)
        else:
            rows.rate = self._sampled(posterior, rows) if known is None else known
            # Keras scales a layer's losses by 1 / replicas, but the shares sum to the mean already.
            mean = rows.mean(rows.rate) * float(tf.distribute.get_strategy().num_replicas_in_sync)
        # Keras divides by the first axis of the activity's value (rows, or samples): undo it.
        return self.weight * mean * tf.cast(tf.shape(tf.convert_to_tensor(activity))[0], tf.float32)

    def _sampled(self, posterior: tfd.Distribution, rows: Rows) -> tf.Tensor:
        # The draws of the objective: the same keys give the same noise.
        noise = random.normals(rows.keys, int(posterior.event_shape[-1]), num_samples=rows.num_samples)
        return rate(posterior, self.prior, noise, reparameterize(posterior, noise))

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError("a KLRegularizer holds a prior and is not serialised; export the model instead")
