"""Recurrent networks."""

import dataclasses
import math
from typing import Any

import numpy as np
import tf_keras
from tf_keras import layers

from tfvae.component import bounded, choice
from tfvae.kinds import Network
from tfvae.networks.common import flat_params

_CELLS = {"gru": layers.GRUCell, "lstm": layers.LSTMCell}


@dataclasses.dataclass(kw_only=True, slots=True)
class Recurrent(Network):
    """A recurrent cell over the first axis, for sequences `[length]` or `[length, channels]`.

    The steps of an image are its lines from the top. The encoder ends in the last output
    of the cell; the decoder gives z to its cell at each step, and each output becomes the
    parameters of its step.

    Attributes:
      units: width of the cell.
      cell: `gru` (Cho et al. 2014) or `lstm` (Hochreiter & Schmidhuber 1997).
      bidirectional: whether the encoder has a second cell that reads from the end.
    """

    units: int = bounded(128, low=1)
    cell: str = choice("gru", "lstm")
    bidirectional: bool = False

    def encoder(self, item_shape: tuple[int, ...], num_params: int, *, policy: str = "float32") -> tf_keras.Model:
        """x `[rows, *item_shape]` to parameters `[rows, num_params]`."""
        inputs = layers.Input(item_shape, name="x")
        x = layers.Reshape(_as_sequence(item_shape), dtype=policy)(inputs)
        last = self._rnn(policy)(x)
        if self.bidirectional:
            last = layers.Concatenate(dtype=policy)([last, self._rnn(policy, go_backwards=True)(x)])
        return tf_keras.Model(inputs, layers.Dense(num_params, dtype=policy)(last), name="encoder_network")

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
        steps, channels = _as_sequence(item_shape)
        inputs = layers.Input([latent_size], name="z")
        x = layers.RepeatVector(steps, dtype=policy)(inputs)
        x = self._rnn(policy, return_sequences=True)(x)
        x = layers.Dense(params_per_dim * channels, dtype=policy)(x)
        outputs = flat_params(x, (steps,), params_per_dim, output_bias=output_bias, policy=policy)
        return tf_keras.Model(inputs, outputs, name="decoder_network")

    def _rnn(self, policy: str, **kwargs: Any) -> Any:
        # Not the layers `GRU` and `LSTM`: see `slow_under_xla`.
        return layers.RNN(_CELLS[self.cell](self.units, dtype=policy), dtype=policy, **kwargs)


def _as_sequence(item_shape: tuple[int, ...]) -> tuple[int, int]:
    """`item_shape` as (steps, numbers of a step)."""
    return item_shape[0], math.prod(item_shape[1:])
