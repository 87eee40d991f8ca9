"""From a config to the model it describes."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tf_keras
from tensorflow_probability import distributions as tfd
from tf_keras import layers

from tfvae.config import ModelConfig
from tfvae.errors import InputError
from tfvae.kinds import SUPPORTS, Prior
from tfvae.regularizers import plain
from tfvae.rows import plain_rows
from tfvae.vae import VAE


def build_vae(
    config: ModelConfig,
    item_shape: tuple[int, ...],
    *,
    num_labels: int = 0,
    data_mean: np.ndarray | None = None,
    examples: Callable[[int], np.ndarray] | None = None,
    seed: int = 0,
    precision: str = "float32",
) -> VAE:
    """Builds a VAE; reads no data.

    Args:
      config: the parts.
      item_shape: of one example.
      num_labels: of the data, for a conditional model.
      data_mean: mean of the training data, `[*item_shape]`, for the decoder's initial bias.
      examples: a function n -> at most n training examples, for a prior that begins from them.
      seed: of the initial weights (with `tf_keras.utils.set_random_seed`) and the noise.
      precision: a Keras dtype policy for the networks.

    Raises:
      InputError: for parts that do not fit together.
    """
    _refuse_unfit(config, num_labels)
    num_labels = num_labels if config.conditional else 0
    encoder = _encoder(config, item_shape, num_labels, precision)
    decoder = _decoder(config, item_shape, num_labels, precision, data_mean if config.output_bias_from_data else None)

    if config.prior.support == "any" and any(
        getattr(layer, "activity_regularizer", None) for layer in encoder._flatten_layers()
    ):
        # Keras forgets what such a layer added when the prior calls the encoder again.
        raise InputError(
            f"model.prior: received {config.prior.tag} for an encoder whose layers have activity regularizers, "
            "expected none"
        )
    support = config.likelihood.support(item_shape)

    def encode(x: Any) -> tfd.Distribution:
        with plain_rows(x.shape[0]).current():
            return plain(encoder(x))

    prior = config.prior.build_beside(encode, support, item_shape, config.latent_size, examples=examples)
    return VAE(encoder, decoder, prior, support=support, seed=seed)


def _refuse_unfit(config: ModelConfig, num_labels: int) -> None:
    posterior, prior = config.posterior, config.prior
    if prior.support not in ("any", posterior.support):
        known: dict[str, Any] = Prior.registry
        fit = sorted(tag for tag, cls in known.items() if cls.support in ("any", posterior.support))
        raise InputError(
            f"model.prior: received {prior.tag}, whose z is {SUPPORTS[prior.support]}, expected one whose z is "
            f"{SUPPORTS[posterior.support]}, as that of the {posterior.tag} posterior: {', '.join(fit)}"
        )
    for part in (posterior, prior):
        if config.latent_size < part.min_latent_size:
            raise InputError(
                f"model.latent_size: received {config.latent_size}, expected at least {part.min_latent_size} for a "
                f"{part.tag} {part.kind}"
            )
    if config.conditional and prior.support == "any":
        raise InputError(f"model.prior: received {prior.tag} for a conditional model, expected one without an encoder")
    if config.conditional and num_labels < 2:
        raise InputError(f"model.conditional: received True for data with {num_labels} labels, expected labelled data")


def _encoder(config: ModelConfig, item_shape: tuple[int, ...], num_labels: int, policy: str) -> tf_keras.Model:
    """x, and labels of a conditional model, to q(z|x)."""
    inputs = _inputs(x=item_shape, label=(num_labels,))
    features = config.likelihood.features(item_shape)
    value = inputs[0] if features is None else features(inputs[0])
    if num_labels:
        value = layers.Concatenate(name="x_and_label")([value, _plane(inputs[1], tuple(value.shape[1:]))])
    num_params = config.posterior.params_size(config.latent_size)
    network = config.network.encoder(tuple(value.shape[1:]), num_params, policy=policy)
    return _model(inputs, value, network, config.posterior.layer(config.latent_size, None), name="encoder")


def _decoder(
    config: ModelConfig, item_shape: tuple[int, ...], num_labels: int, policy: str, data_mean: np.ndarray | None
) -> tf_keras.Model:
    """z, and labels of a conditional model, to p(x|z)."""
    likelihood = config.likelihood
    inputs = _inputs(z=(config.latent_size,), label=(num_labels,))
    value = layers.Concatenate(name="z_and_label")(inputs) if num_labels else inputs[0]
    network = config.network.decoder(
        config.latent_size + num_labels,
        likelihood.params_shape(item_shape),
        likelihood.params_per_dim,
        output_bias=None if data_mean is None else likelihood.output_bias(data_mean),
        policy=policy,
    )
    return _model(inputs, value, network, likelihood.layer(item_shape), name="decoder")


def _inputs(**shapes: tuple[int, ...]) -> list[Any]:
    """Keras inputs of these shapes, but those of none."""
    return [layers.Input(shape, name=name) for name, shape in shapes.items() if shape != (0,)]


def _plane(label: Any, shape: tuple[int, ...]) -> Any:
    """A one-hot label in a form that can be joined to a value of this shape along its last axis."""
    if len(shape) == 1:
        return label
    plane = layers.Dense(math.prod(shape[:-1]), use_bias=False, name="label_plane")(label)
    return layers.Reshape((*shape[:-1], 1))(plane)


def _model(inputs: list[Any], value: Any, network: tf_keras.Model, layer: Any, *, name: str) -> tf_keras.Model:
    """Inputs -> value -> network -> distribution."""
    if value is inputs[0]:
        # The network's own layers stay in sight: in `summary`, and in the names in checkpoints.
        return tf_keras.Model(network.inputs, layer(network.outputs[0]), name=name)
    return tf_keras.Model(inputs, layer(network(value)), name=name)
