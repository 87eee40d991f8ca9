"""Priors that push a standard normal through a flow."""

import dataclasses
from typing import ClassVar

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae import flows
from tfvae.component import bounded
from tfvae.kinds import Prior
from tfvae.priors.natural import standard_normal


class _Flow(Prior):
    """A standard normal, pushed through `num_flows` steps of `flow`."""

    __slots__ = ()

    flow: ClassVar[flows.Flow]

    # Fields of the components below.
    num_flows: int
    hidden: tuple[int, ...]

    def build(self, latent_size: int) -> tfd.Distribution:
        """The distribution of z, `[latent_size]`; it begins near N(0, I)."""
        conditioners = self.flow.conditioners(latent_size, num_flows=self.num_flows, hidden=self.hidden)
        for conditioner in conditioners:
            conditioner.build()
        bijector = self.flow.bijector(conditioners, tf.zeros([0]), latent_size)
        distribution = tfd.TransformedDistribution(standard_normal(latent_size), bijector, name="flow_prior")
        # The bijector holds functions alone: this lets the prior, a module, find their variables.
        distribution.conditioners = conditioners
        return distribution


@dataclasses.dataclass(kw_only=True, slots=True)
class AutoregressiveFlow(_Flow):
    """A masked autoregressive flow (Papamakarios et al. 2017, section 3; as a prior: Chen et al. 2017, section 3.2).

    Its density, which training needs, takes one pass of each network; a draw takes one for each dimension.

    Attributes:
      num_flows: steps.
      hidden: units of the layers of each step's masked network.
    """

    flow: ClassVar[flows.Flow] = flows.MASKED_AUTOREGRESSIVE

    num_flows: int = bounded(2, low=1)
    hidden: tuple[int, ...] = bounded((64,), low=1)


@dataclasses.dataclass(kw_only=True, slots=True)
class CouplingFlow(_Flow):
    """A flow of affine couplings (Dinh et al. 2017): draws and densities take one pass of each network.

    Attributes:
      num_flows: steps; two of them move every dimension.
      hidden: units of the layers of each step's network.
    """

    flow: ClassVar[flows.Flow] = flows.COUPLING
    min_latent_size: ClassVar[int] = 2

    num_flows: int = bounded(4, low=1)
    hidden: tuple[int, ...] = bounded((64,), low=1)
