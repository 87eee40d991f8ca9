"""The learned mixture of Gaussians."""

import dataclasses

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfvae import random
from tfvae.component import bounded
from tfvae.kinds import Prior
from tfvae.reparameterization import draw_prior, reparameterize

_CHOICE = 100  # of a component: a use of a row's keys apart from its noise


@dataclasses.dataclass(kw_only=True, slots=True)
class MixtureOfNormals(Prior):
    """p(z) = sum_k pi_k N(z; mu_k, diag(sigma_k^2)), all learned (Dilokthanakul et al. 2016; Tomczak & Welling 2018).

    Attributes:
      num_components: K.
      initial_spread: standard deviation of the first means; 0 begins, and one component stays, at one place.
      scale_floor: smallest standard deviation of a component.
    """

    num_components: int = bounded(10, low=1)
    initial_spread: float = bounded(1.0, low=0.0)
    scale_floor: float = bounded(1e-2, low=0.0, open_low=True, high=0.99)

    def build(self, latent_size: int) -> tfd.Distribution:
        """The distribution of z, `[latent_size]`; its components begin with variance one and equal weights."""
        shape = (self.num_components, latent_size)
        loc = tf.Variable(tf_keras.initializers.RandomNormal(stddev=self.initial_spread)(shape), name="prior_loc")
        positive = tfb.Chain([tfb.Shift(self.scale_floor), tfb.Softplus()])
        scale = tfp.util.TransformedVariable(tf.ones(shape), positive, name="prior_scale")
        logits = tf.Variable(tf.zeros([self.num_components]), name="prior_logits")
        components = tfd.Independent(tfd.Normal(loc, scale), reinterpreted_batch_ndims=1)
        return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), components)


@draw_prior.register(tfd.MixtureSameFamily)
def _(prior: tfd.MixtureSameFamily, keys: tf.Tensor) -> tf.Tensor:
    components = prior.components_distribution
    size, count = int(prior.event_shape[-1]), int(components.batch_shape[0])
    # k: the first whose cumulative probability is above u
    cumulative = tf.cumsum(tf.broadcast_to(prior.mixture_distribution.probs_parameter(), [count]))
    above = random.uniforms(random.fold_in(keys, _CHOICE), 1)[0] >= cumulative[:-1]
    chosen = tf.reduce_sum(tf.cast(above, tf.int32), axis=-1)
    # z = g_k(epsilon): every component maps the row's noise, and the chosen one is kept.
    noise = random.normals(keys, size)[0][:, None, :]
    z = reparameterize(components, tf.tile(noise, [1, count, 1]))
    return tf.gather(z, chosen, batch_dims=1)
