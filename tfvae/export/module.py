"""From a model to its signatures as functions of plain tensors, in which nothing of Keras, TFP or Python is left."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

# The signatures register themselves.
from tfvae.export import completing, serialized, signatures  # noqa: F401
from tfvae.export.registry import LARGEST, REGRESS, SENTINEL, SIGNATURES, input_specs
from tfvae.export.served import Served
from tfvae.export.stateless import stateful_random_ops, without_draws
from tfvae.rows import plain_rows
from tfvae.vae import VAE

__all__ = ["REGRESS", "SENTINEL", "SIGNATURES", "evaluate", "input_specs", "trace"]


def trace(
    vae: VAE, item_shape: tuple[int, ...], *, num_samples: int, **settings: Any
) -> tuple[Served, dict[str, Any], dict[str, str]]:
    """Traces every signature.

    Args:
      vae: the model; nothing of it changes.
      item_shape: of one item.
      num_samples, **settings: see `Served`.

    Returns:
      the served model; the concrete function of each signature, whose variables are the model's own; and of each
      signature that this model cannot have, the reason.

    Raises:
      ValueError: for an item shape that is not the encoder's, or networks that draw random numbers.
    """
    if tuple(item_shape) != vae.item_shape:
        raise ValueError(f"item_shape: received {tuple(item_shape)}, expected the encoder's {vae.item_shape}")
    served = Served(vae, vae.item_shape, num_samples, **settings)
    functions, left_out = {}, {}
    with without_draws(vae):
        # In the order in which cards list them.
        for name in sorted(SIGNATURES, key=lambda name: (name != "serving_default", name)):
            try:
                functions[name] = _trace(served, name)
            except NotImplementedError as error:
                left_out[name] = str(error)
    for name, function in functions.items():
        drawn = stateful_random_ops(function)
        if drawn:
            raise ValueError(
                f"vae: its networks draw random numbers ({', '.join(sorted(drawn))} in {name!r}), expected networks "
                "that are deterministic outside training: rows of an export depend on their own seed only"
            )
    return served, functions, left_out


def evaluate(served: Served, name: str, given: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
    """What a signature gives for the tensors that `input_specs` names; eagerly, or in a graph.

    Raises:
      NotImplementedError: for a signature that this model cannot have, with the reason.
    """
    one, specs = SIGNATURES[name], input_specs(served, name)
    # A signature alone does not keep out other shapes with as many numbers.
    inputs = [tf.ensure_shape(value, spec.shape) for value, spec in zip(given, specs, strict=True)]
    inputs = [_fit(value, name) for value, name in zip(inputs, [*one.inputs, "label"], strict=False)]
    if not one.batchable:
        return _float32(one.function(served, *inputs))
    count = tf.shape(inputs[0])[0]
    for value, spec in zip(inputs[1:], specs[1:], strict=True):
        # One row would broadcast in silence.
        message = f"{spec.name} has another number of rows than {specs[0].name}"
        tf.debugging.assert_equal(tf.shape(value)[0], count, message)
    # Some networks refuse a batch of no rows (convolutions do): it gets one, which leaves at the end.
    missing = tf.cast(count == 0, tf.int32)
    inputs = [tf.pad(value, [[0, missing]] + [[0, 0]] * (value.shape.rank - 1)) for value in inputs]
    labels = inputs.pop() if served.vae.num_labels and one.labelled else None
    # Rows are current for their labels, and so that the KL regularizer stays out of the graph.
    with plain_rows(count + missing, labels=labels).current():
        outputs = one.function(served, *inputs)
    return _float32({key: value[:count] for key, value in outputs.items()})


def _fit(value: tf.Tensor, name: str) -> tf.Tensor:
    """z and noise that a network can take: as in items, numbers that are not finite count as 0."""
    if name not in ("z", "noise"):
        return value
    return tf.clip_by_value(tf.where(tf.math.is_finite(value), value, 0.0), -LARGEST, LARGEST)


def _float32(outputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {key: _finite(tf.cast(v, tf.float32)) if v.dtype.is_floating else v for key, v in outputs.items()}


def _finite(value: tf.Tensor) -> tf.Tensor:
    # JSON has neither infinity nor NaN, which here is what two infinities make.
    return tf.clip_by_value(tf.where(tf.math.is_nan(value), -SENTINEL, value), -SENTINEL, SENTINEL)


def _trace(served: Served, name: str) -> Any:
    def run(*given: tf.Tensor) -> dict[str, tf.Tensor]:
        return evaluate(served, name, given)

    run.__name__ = name
    return tf.function(run, input_signature=input_specs(served, name), autograph=False).get_concrete_function()
