"""Normalizing flow posteriors: a normal base, pushed through steps that can be inverted (Rezende & Mohamed 2015)."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd
from tensorflow_probability import layers as tfpl

from tfvae.component import bounded
from tfvae.kinds import Posterior
from tfvae.posteriors.factorised import softly_clamped
from tfvae.posteriors.layers import draw, positive

# One step scales z by a factor between exp(-3) and exp(3).
_LOG_SCALE_LIMIT = 3.0

# Of the last kernel: a flow begins near the identity.
_INITIAL_STDDEV = 0.01


class Conditioner(tf_keras.layers.Layer):
    """A dense network with masked kernels: (z, context) -> (shift, log scale).

    TFP's `AutoregressiveNetwork` masks its kernels by constraints, which a step on several replicas cannot
    apply, and joins z and context by a layer that does not broadcast them.

    Args:
      masks: of each kernel, `[inputs, outputs]`: 1 where an input counts.
    """

    def __init__(self, masks: list[np.ndarray], name: str) -> None:
        super().__init__(name=name, dtype="float32")
        self._masks = [np.asarray(mask, np.float32) for mask in masks]

    def build(self, input_shape: Any = None) -> None:
        self.kernels, self.biases = [], []
        for number, mask in enumerate(self._masks):
            last = number == len(self._masks) - 1
            initializer = tf_keras.initializers.RandomNormal(stddev=_INITIAL_STDDEV) if last else "glorot_uniform"
            self.kernels.append(self.add_weight(f"kernel_{number}", mask.shape, initializer=initializer))
            self.biases.append(self.add_weight(f"bias_{number}", mask.shape[1:], initializer="zeros"))
        super().build(input_shape)

    def call(self, z: tf.Tensor, context: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """z `[..., inputs]` and context `[rows, context_size]`, broadcast together."""
        shape = tf.broadcast_dynamic_shape(tf.shape(z)[:-1], tf.shape(context)[:-1])
        parts = [tf.broadcast_to(part, tf.concat([shape, [part.shape[-1]]], axis=0)) for part in (z, context)]
        x = tf.reshape(tf.concat(parts, axis=-1), [-1, self._masks[0].shape[0]])
        for number, (mask, kernel, bias) in enumerate(zip(self._masks, self.kernels, self.biases, strict=True)):
            x = tf.matmul(tf.nn.elu(x) if number else x, kernel * mask) + bias
        x = tf.reshape(x, tf.concat([shape, [self._masks[-1].shape[1]]], axis=0))
        shift, log_scale = tf.split(x, 2, axis=-1)
        return shift, softly_clamped(log_scale, _LOG_SCALE_LIMIT)


class FlowLayer(tfpl.DistributionLambda):
    """Parameters `[rows, 2 * size + context_size]` (means, raw scales, context) to a flow over z.

    The steps' variables belong to this layer, so that the model, its checkpoints and its export have them.

    Args:
      latent_size: of z.
      conditioners: of each step.
      step: (a function z -> (shift, log scale)) -> the bijector of one step.
    """

    def __init__(
        self,
        latent_size: int,
        conditioners: list[Conditioner],
        step: Callable[[Callable], tfb.Bijector],
        *,
        scale_floor: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(lambda params: self._distribution(params), draw, dtype="float32", **kwargs)
        self._latent_size, self._step, self._scale_floor = latent_size, step, scale_floor
        self.conditioners = conditioners

    def build(self, input_shape: Any) -> None:
        for conditioner in self.conditioners:
            conditioner.build()
        super().build(input_shape)

    def _distribution(self, params: tf.Tensor) -> tfd.Distribution:
        size = self._latent_size
        loc, raw, context = params[..., :size], params[..., size : 2 * size], params[..., 2 * size :]
        base = tfd.Independent(tfd.Normal(loc, positive(raw, self._scale_floor)), reinterpreted_batch_ndims=1)
        reverse = tfb.Permute(np.arange(size)[::-1])
        steps = []
        for number, conditioner in enumerate(self.conditioners):
            step = self._step(lambda z, *_, conditioner=conditioner, **__: conditioner(z, context))
            # Every other step sees the dimensions in reverse order.
            steps.append(tfb.Chain([reverse, step, reverse]) if number % 2 else step)
        # A chain applies its last bijector first.
        return tfd.TransformedDistribution(base, tfb.Chain(steps[::-1]))


class _Flow(Posterior):
    """A flow of `num_flows` steps, each conditioned on the context h(x) beside the base's parameters."""

    __slots__ = ()

    # Fields of the components below.
    num_flows: int
    hidden: tuple[int, ...]
    context_size: int
    scale_floor: float

    def masks(self, latent_size: int) -> list[np.ndarray]:
        """Of the kernels of one step."""
        raise NotImplementedError

    def step(self, latent_size: int, shift_and_log_scale: Callable) -> tfb.Bijector:
        """The bijector of one step."""
        raise NotImplementedError

    def params_size(self, latent_size: int) -> int:
        """Numbers that the encoder's network gives for one example."""
        return 2 * latent_size + self.context_size

    def layer(self, latent_size: int, activity_regularizer: Any) -> tfpl.DistributionLambda:
        """The `tfp.layers` layer."""
        masks = self.masks(latent_size)
        return FlowLayer(
            latent_size,
            [Conditioner(masks, name=f"step_{number}") for number in range(self.num_flows)],
            lambda shift_and_log_scale: self.step(latent_size, shift_and_log_scale),
            scale_floor=self.scale_floor,
            activity_regularizer=activity_regularizer,
            name="posterior",
        )


@dataclasses.dataclass(kw_only=True, slots=True)
class InverseAutoregressiveFlow(_Flow):
    """IAF: step t is z_t = (z_{t-1} - m_t) / s_t, where dimension j of m_t and s_t sees those before j and h(x).

    Kingma et al. (2016, section 3). A draw and its density take one pass of the network each step;
    the density at any other z takes one for each dimension.

    Attributes:
      num_flows: steps, T.
      hidden: units of the layers of each step's masked network (Germain et al. 2015).
      context_size: numbers of h(x).
      scale_floor: smallest standard deviation of the base.
    """

    num_flows: int = bounded(2, low=1)
    hidden: tuple[int, ...] = bounded((64,), low=1)
    context_size: int = bounded(16, low=0)
    scale_floor: float = bounded(1e-4, low=0.0, open_low=True)

    def masks(self, latent_size: int) -> list[np.ndarray]:
        # A unit of degree d sees the dimensions 1..d; the context and units of degree 0 are seen by all.
        order = np.arange(1, latent_size + 1)
        degrees = [np.concatenate([order, np.zeros(self.context_size, int)])]
        degrees += [np.arange(units) % latent_size for units in self.hidden]
        masks = [after >= before[:, None] for before, after in itertools.pairwise(degrees)]
        return [*masks, np.tile(order, 2) > degrees[-1][:, None]]

    def step(self, latent_size: int, shift_and_log_scale: Callable) -> tfb.Bijector:
        del latent_size
        return tfb.Invert(tfb.MaskedAutoregressiveFlow(shift_and_log_scale))


@dataclasses.dataclass(kw_only=True, slots=True)
class CouplingFlow(_Flow):
    """Affine coupling: a step scales and shifts one half of z by functions of the other half and of h(x).

    Dinh et al. (2017, equations 4 and 5). Draws and densities take one pass of each network.

    Attributes:
      num_flows: steps; two of them move every dimension.
      hidden: units of the layers of each step's network.
      context_size: numbers of h(x).
      scale_floor: smallest standard deviation of the base.
    """

    min_latent_size: ClassVar[int] = 2

    num_flows: int = bounded(4, low=1)
    hidden: tuple[int, ...] = bounded((64,), low=1)
    context_size: int = bounded(16, low=0)
    scale_floor: float = bounded(1e-4, low=0.0, open_low=True)

    def masks(self, latent_size: int) -> list[np.ndarray]:
        kept = latent_size // 2
        sizes = [kept + self.context_size, *self.hidden, 2 * (latent_size - kept)]
        return [np.ones(shape) for shape in itertools.pairwise(sizes)]

    def step(self, latent_size: int, shift_and_log_scale: Callable) -> tfb.Bijector:
        return tfb.RealNVP(num_masked=latent_size // 2, shift_and_log_scale_fn=shift_and_log_scale)
