"""What a signature is, and the list of them.

`@signature` registers a function of a `Served` model and named tensors under its own name. To add one, write it in
`signatures.py`, or in a file of its own that `module.py` imports: it cleans its items with `Served.clean` and takes
noise from `Served.keys`, so that a row's result depends on that row and its seed alone, whatever batch it travels in.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfvae.export.served import Served

SENTINEL = 1e30  # finite, since JSON has no infinity: the cost in nats of a row that is not valid
LARGEST = 1e9  # of z and of noise: what networks make of larger numbers, float32 does not hold

PREDICT, REGRESS = "tensorflow/serving/predict", "tensorflow/serving/regress"  # methods of TensorFlow Serving


@dataclasses.dataclass(frozen=True)
class Signature:
    """A registered function.

    Attributes:
      function: of (served, *inputs), to its outputs by name.
      inputs: names in `input_spec`.
      batchable: whether all inputs and outputs share N rows, so that a server can merge requests.
      labelled: whether one of a conditional model takes the label of each row as another input.
      method: `PREDICT` or `REGRESS`.
    """

    function: Callable[..., dict[str, tf.Tensor]]
    inputs: tuple[str, ...]
    batchable: bool = True
    labelled: bool = True
    method: str = PREDICT


SIGNATURES: dict[str, Signature] = {}


def signature(*inputs: str, **settings: Any) -> Callable[[Any], Any]:
    """Registers a function of (served, *inputs) as the signature of its name.

    Args:
      *inputs: names in `input_spec`.
      **settings: other fields of `Signature`.
    """

    def register(function: Any) -> Any:
        SIGNATURES[function.__name__] = Signature(function, inputs, **settings)
        return function

    return register


def input_spec(served: Served, name: str) -> tf.TensorSpec:
    """The tensor that an input is; its name in the export is the spec's."""
    size = served.vae.latent_size
    specs = {
        "item": tf.TensorSpec([None, *served.item_shape], tf.float32, served.item_name),
        "item_bytes": tf.TensorSpec([None], tf.string, f"{served.item_name}_bytes"),
        "examples": tf.TensorSpec([None], tf.string, "inputs"),
        "z": tf.TensorSpec([None, size], tf.float32, "z"),
        "seed": tf.TensorSpec([None], tf.int64, "seed"),
        "label": tf.TensorSpec([None], tf.int64, "label"),
        "mask": tf.TensorSpec([None, *served.item_shape], tf.bool, "mask"),
        "noise": tf.TensorSpec([None, size], tf.float32, "noise"),
        "noises": tf.TensorSpec([None, served.noise_samples, size], tf.float32, "noise"),
        "n": tf.TensorSpec([], tf.int64, "n"),
        "one_seed": tf.TensorSpec([], tf.int64, "seed"),
        "one_label": tf.TensorSpec([], tf.int64, "label"),
    }
    return specs[name]


def input_specs(served: Served, name: str) -> list[tf.TensorSpec]:
    """What a signature takes; one of a conditional model takes the label of each row with everything."""
    one = SIGNATURES[name]
    names = list(one.inputs)
    if served.vae.num_labels and one.labelled:
        names.append("label" if one.batchable else "one_label")
    return [input_spec(served, each) for each in names]
