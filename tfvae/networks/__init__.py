"""Keras networks: tensors in, parameters out. They know no distributions, but those of weights.

An encoder's network gives `[rows, num_params]`. A decoder's network gives
`[rows, params_per_dim * prod(item_shape)]`, one kind of parameter after the other.
"""

from tfvae.component import unknown_part
from tfvae.kinds import Network
from tfvae.networks.common import Bias, slow_under_xla
from tfvae.networks.convolutional import Convolutional, ResidualConvolutional
from tfvae.networks.dense import MLP
from tfvae.networks.imported import Imported
from tfvae.networks.recurrent import Recurrent
from tfvae.networks.thin import ThinConv2D
from tfvae.networks.variational import BayesianMLP, VariationalDense, has_variational_layers, weight_divergence

__all__ = [
    "MLP",
    "BayesianMLP",
    "Bias",
    "Convolutional",
    "Imported",
    "Recurrent",
    "ResidualConvolutional",
    "ThinConv2D",
    "VariationalDense",
    "has_variational_layers",
    "slow_under_xla",
    "weight_divergence",
]

__getattr__ = unknown_part(Network, __name__)
