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
