"""What Keras models must be to serve as encoder and decoder, each refusal in a sentence."""

from typing import Any

import tensorflow_probability as tfp
import tf_keras


def distribution_layer(model: Any, role: str) -> Any:
    """The last `tfp.layers` layer of an encoder or decoder; raises `ValueError` where the model cannot be one."""
    if not isinstance(model, tf_keras.Model):
        kind = f"{type(model).__module__}.{type(model).__name__}"
        raise ValueError(
            f"{role}: received {kind}, expected a tf_keras model: tfp.layers work in tf_keras only, while tf.keras "
            "and keras are Keras 3 in this TensorFlow"
        )
    if not model.built or not model.inputs:
        raise ValueError(
            f"{role}: received a model of unknown input shape, expected a functional model or a Sequential one that "
            "begins with InputLayer"
        )
    found = [layer for layer in model._flatten_layers() if isinstance(layer, tfp.layers.DistributionLambda)]
    if not found:
        raise ValueError(f"{role}: expected a model that ends in a tfp.layers distribution, such as IndependentNormal")
    if found[-1].compute_dtype in ("float16", "bfloat16"):
        raise ValueError(
            f"{role}: its layer {found[-1].name} computes in {found[-1].compute_dtype}, expected dtype='float32': "
            "distributions do not work in half precision, the networks before them may"
        )
    return found[-1]


def refuse_other_regularizer(layer: Any) -> None:
    """Refuses an activity regularizer that is not ours on the posterior's layer."""
    if layer.activity_regularizer is not None:
        kind = type(layer.activity_regularizer).__name__
        raise ValueError(
            f"encoder: its posterior layer has the activity regularizer {kind}, expected None or a "
            "tfvae.KLRegularizer: TFP's own counts the KL twice in such a layer"
        )


def sizes(encoder: Any, decoder: Any, prior: Any) -> tuple[int, int]:
    """The number of latents and of labels (0 for a model that is not conditional) of parts that fit together.

    Raises:
      ValueError: for parts that do not.
    """
    latent_size = int(encoder.output_shape[-1])
    if prior.batch_shape.rank or tuple(prior.event_shape) != (latent_size,):
        raise ValueError(
            f"prior: received batch shape {tuple(prior.batch_shape)} and event shape {tuple(prior.event_shape)}, "
            f"expected () and the encoder's ({latent_size},)"
        )
    if decoder.inputs[0].shape[1:] != [latent_size]:
        raise ValueError(
            f"decoder: its input is {tuple(decoder.inputs[0].shape[1:])}, expected the encoder's z, ({latent_size},)"
        )
    labels = [[tuple(label.shape[1:]) for label in model.inputs[1:]] for model in (encoder, decoder)]
    if labels[0] != labels[1] or len(labels[0]) > 1 or any(len(shape) != 1 for shape in labels[0]):
        raise ValueError(
            f"decoder: beside its first input the encoder takes {labels[0]}, the decoder {labels[1]}, expected one "
            "label of the same size for both, or none"
        )
    return latent_size, int(labels[0][0][0]) if labels[0] else 0
