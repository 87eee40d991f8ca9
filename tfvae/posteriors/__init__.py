"""Posteriors q(z|x): `tfp.layers` over the encoder's parameters, each with its way to reparameterize a draw."""

from tfvae.component import unknown_part
from tfvae.kinds import Posterior
from tfvae.posteriors import divergences  # noqa: F401, registers closed forms of the KL
from tfvae.posteriors.composition import Dirichlet, Gamma, LogNormal
from tfvae.posteriors.flows import CouplingFlow, InverseAutoregressiveFlow
from tfvae.posteriors.inverse_cdf import Exponential, Gumbel, Kumaraswamy, Weibull
from tfvae.posteriors.layers import IndependentNormal, MultivariateNormalTriL, draw, positive
from tfvae.posteriors.location_scale import Laplace, Logistic, StudentT
from tfvae.posteriors.normal import FullNormal, Normal

__all__ = [
    "CouplingFlow",
    "Dirichlet",
    "Exponential",
    "FullNormal",
    "Gamma",
    "Gumbel",
    "IndependentNormal",
    "InverseAutoregressiveFlow",
    "Kumaraswamy",
    "Laplace",
    "LogNormal",
    "Logistic",
    "MultivariateNormalTriL",
    "Normal",
    "StudentT",
    "Weibull",
    "draw",
    "positive",
]

__getattr__ = unknown_part(Posterior, __name__)
