"""Networks of a user's own, by import path."""

import dataclasses
import importlib
import inspect
import math
from typing import Any

import numpy as np
import tf_keras

from tfvae.component import FieldError
from tfvae.errors import InputError
from tfvae.kinds import Network


@dataclasses.dataclass(kw_only=True, slots=True)
class Imported(Network):
    """Any tf_keras models, made by functions that an import path names.

    To build a model from such a config imports these modules, which runs their code; to read
    or check the config does not. The modules must be on `PYTHONPATH`, also where a run is
    continued, evaluated or exported.

    A function may have a parameter `policy`, which is then given the Keras dtype policy of
    `training.precision`; that of the decoder may have `output_bias` too: parameters, flat,
    that give the data's mean, or None. Models are functional, or sequential with an
    `InputLayer`, and their first axis is free.

    Attributes:
      encoder_function: `<module>:<function>`; called as f(item_shape, num_params) it returns a
        model: x `[rows, *item_shape]` to `[rows, num_params]`.
      decoder_function: `<module>:<function>`; called as f(latent_size, item_shape,
        params_per_dim) it returns a model: z `[rows, latent_size]` to `[rows, params_per_dim *
        prod(item_shape)]`, one kind of parameter after the other.
    """

    encoder_function: str = ""
    decoder_function: str = ""

    def validate(self) -> None:
        for field in ("encoder_function", "decoder_function"):
            _split(getattr(self, field), field)

    def encoder(self, item_shape: tuple[int, ...], num_params: int, *, policy: str = "float32") -> tf_keras.Model:
        """x `[rows, *item_shape]` to parameters `[rows, num_params]`."""
        model = _made("encoder_function", self.encoder_function, item_shape, num_params, policy=policy)
        return _checked(model, "encoder_function", self.encoder_function, item_shape, num_params)

    def decoder(
        self,
        latent_size: int,
        item_shape: tuple[int, ...],
        params_per_dim: int,
        *,
        output_bias: np.ndarray | None = None,
        policy: str = "float32",
    ) -> tf_keras.Model:
        """z `[rows, latent_size]` to parameters `[rows, params_per_dim * prod(item_shape)]`."""
        field, path = "decoder_function", self.decoder_function
        model = _made(field, path, latent_size, item_shape, params_per_dim, policy=policy, output_bias=output_bias)
        return _checked(model, field, path, (latent_size,), params_per_dim * math.prod(item_shape))


def _split(path: str, field: str) -> tuple[str, str]:
    """Module and function of an import path; raises `FieldError` where it is none."""
    module, colon, function = path.partition(":")
    if not colon or not all(name.isidentifier() for name in (*module.split("."), function)):
        example = f"make_{field.removesuffix('_function')}"
        raise FieldError(field, path, f"'<module>:<function>', such as 'my_package.models:{example}'")
    return module, function


def _error(field: str, path: str, problem: str, expected: str) -> InputError:
    return InputError(f"model.network.{field}: received {path!r}, {problem}, expected {expected}")


def _said(error: Exception) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}".removesuffix(": ")


def _made(field: str, path: str, *args: Any, **optional: Any) -> Any:
    """What the function returns for `args`, and those of `optional` that it has parameters for."""
    try:
        module_name, name = _split(path, field)
    except FieldError as error:
        raise InputError(f"model.network.{error}") from error
    try:
        module = importlib.import_module(module_name)
    # A user's module may raise anything.
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}.")
        problem = f"and there is no module {module_name!r}" if missing else f"whose import fails ({_said(error)})"
        raise _error(field, path, problem, "a module that can be imported (is it on PYTHONPATH?)") from error
    if not hasattr(module, name):
        raise _error(field, path, f"but {module_name} has no {name!r}", "a function of that module")
    function = getattr(module, name)
    if not callable(function):
        raise _error(field, path, f"which is {type(function).__name__}", "a function")
    call = f"{name}({', '.join(map(str, args))})"
    try:
        parameters = inspect.signature(function).parameters
        return function(*args, **{key: value for key, value in optional.items() if key in parameters})
    except Exception as error:
        raise _error(field, path, f"where {call} fails ({_said(error)})", "a tf_keras model from it") from error


def _checked(model: Any, field: str, path: str, input_shape: tuple[int, ...], size: int) -> tf_keras.Model:
    """The model, where it takes one `[rows, *input_shape]` and gives one `[rows, size]`."""
    expected = f"a tf_keras model from {(None, *input_shape)} to {(None, size)}"
    if not isinstance(model, tf_keras.Model):
        kind = f"{type(model).__module__}.{type(model).__name__}"
        if kind.startswith("keras."):
            kind += ", of Keras 3 (as tf.keras is in this TensorFlow)"
        raise _error(field, path, f"which returns {kind}", expected)
    if not model.inputs:
        raise _error(field, path, "which returns a model of unknown input shape", f"{expected}, functional")
    shapes = [[tuple(tensor.shape) for tensor in tensors] for tensors in (model.inputs, model.outputs)]
    if shapes != [[(None, *input_shape)], [(None, size)]]:
        found = " to ".join(", ".join(map(str, side)) for side in shapes)
        raise _error(field, path, f"which returns a model from {found}", expected)
    return model
