"""Normalizing flow posteriors: a normal base, pushed through steps that can be inverted (Rezende & Mohamed 2015)."""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf
from tensorflow_probability import distributions as tfd
from tensorflow_probability import layers as tfpl

from tfvae import flows
from tfvae.component import bounded
from tfvae.kinds import Posterior
from tfvae.posteriors.layers import draw, positive


class FlowLayer(tfpl.DistributionLambda):
    """Parameters `[rows, 2 * size + context_size]` (means, raw scales, context) to a flow over z.

    The steps' variables belong to this layer, so that the model, its checkpoints and its export have them.

    Args:
      latent_size: of z.
      flow: the kind of the steps.
      conditioners: their networks.
      scale_floor: smallest standard deviation of the base.
    """

    def __init__(
        self, latent_size: int, flow: flows.Flow, conditioners: list[flows.Conditioner], *, scale_floor: float,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(lambda params: self._distribution(params), draw, dtype="float32", **kwargs)
        self._latent_size, self._flow, self._scale_floor = latent_size, flow, scale_floor
        self.conditioners = conditioners

    def build(self, input_shape: Any) -> None:
        for conditioner in self.conditioners:
            conditioner.build()
        super().build(input_shape)

    def _check_variables(self, *_: Any) -> None:
        # A lambda layer warns of variables that are not its own; a replica's parts of them look as if they were not.
        pass

    def _distribution(self, params: tf.Tensor) -> tfd.Distribution:
        size = self._latent_size
        loc, raw, context = params[..., :size], params[..., size : 2 * size], params[..., 2 * size :]
        base = tfd.Independent(tfd.Normal(loc, positive(raw, self._scale_floor)), reinterpreted_batch_ndims=1)
        return tfd.TransformedDistribution(base, self._flow.bijector(self.conditioners, context, size))


class _Flow(Posterior):
    """A flow of `num_flows` steps, each conditioned on the context h(x) beside the base's parameters."""

    __slots__ = ()

    flow: ClassVar[flows.Flow]

    # Fields of the components below.
    num_flows: int
    hidden: tuple[int, ...]
    context_size: int
    scale_floor: float

    def params_size(self, latent_size: int) -> int:
        """Numbers that the encoder's network gives for one example."""
        return 2 * latent_size + self.context_size

    def layer(self, latent_size: int, activity_regularizer: Any) -> tfpl.DistributionLambda:
        """The `tfp.layers` layer."""
        conditioners = self.flow.conditioners(
            latent_size, num_flows=self.num_flows, hidden=self.hidden, context_size=self.context_size
        )
        return FlowLayer(
            latent_size, self.flow, conditioners, scale_floor=self.scale_floor,
            activity_regularizer=activity_regularizer, name="posterior",
        )  # fmt: skip


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

    flow: ClassVar[flows.Flow] = flows.INVERSE_AUTOREGRESSIVE

    num_flows: int = bounded(2, low=1)
    hidden: tuple[int, ...] = bounded((64,), low=1)
    context_size: int = bounded(16, low=0)
    scale_floor: float = bounded(1e-4, low=0.0, open_low=True)


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

    flow: ClassVar[flows.Flow] = flows.COUPLING
    min_latent_size: ClassVar[int] = 2

    num_flows: int = bounded(4, low=1)
    hidden: tuple[int, ...] = bounded((64,), low=1)
    context_size: int = bounded(16, low=0)
    scale_floor: float = bounded(1e-4, low=0.0, open_low=True)
