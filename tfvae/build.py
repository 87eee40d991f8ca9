"""From a config to the model it describes."""

import numpy as np
import tf_keras

from tfvae.config import ModelConfig
from tfvae.regularizers import KLRegularizer
from tfvae.vae import VAE


def build_vae(
    config: ModelConfig,
    item_shape: tuple[int, ...],
    *,
    data_mean: np.ndarray | None = None,
    seed: int = 0,
    precision: str = "float32",
) -> VAE:
    """Builds a VAE; reads no data.

    Args:
      config: the parts.
      item_shape: of one example.
      data_mean: mean of the training data, `[*item_shape]`, in [0, 1], for the decoder's
        initial bias.
      seed: of the initial weights (with `tf_keras.utils.set_random_seed`) and the noise.
      precision: a Keras dtype policy for the networks.
    """
    prior = config.prior.build(config.latent_size)
    posterior = config.posterior.layer(config.latent_size, KLRegularizer(prior))
    num_params = config.posterior.params_size(config.latent_size)
    encoder_network = config.network.encoder(item_shape, num_params, policy=precision)

    use_bias = config.output_bias_from_data and data_mean is not None
    decoder_network = config.network.decoder(
        config.latent_size,
        item_shape,
        config.likelihood.params_per_dim,
        output_bias=config.likelihood.output_bias(data_mean) if use_bias else None,
        policy=precision,
    )
    encoder = _followed_by(encoder_network, posterior, name="encoder")
    decoder = _followed_by(decoder_network, config.likelihood.layer(item_shape), name="decoder")
    return VAE(encoder, decoder, seed=seed)


def _followed_by(network: tf_keras.Model, layer: tf_keras.layers.Layer, *, name: str) -> tf_keras.Model:
    return tf_keras.Model(network.inputs, layer(network.outputs[0]), name=name)
