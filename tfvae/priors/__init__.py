"""Priors p(z)."""

from tfvae.component import unknown_part
from tfvae.kinds import Prior
from tfvae.priors.flow import AutoregressiveFlow, CouplingFlow
from tfvae.priors.mixture import MixtureOfNormals
from tfvae.priors.natural import (
    Beta,
    Exponential,
    Gamma,
    StandardGumbel,
    StandardLaplace,
    StandardLogistic,
    StandardLogNormal,
    StandardNormal,
    StandardStudentT,
    StandardUniform,
    SymmetricDirichlet,
    Weibull,
    standard_normal,
)
from tfvae.priors.vamp import Vamp, VampPrior

__all__ = [
    "AutoregressiveFlow", "Beta", "CouplingFlow", "Exponential", "Gamma", "MixtureOfNormals", "StandardGumbel",
    "StandardLaplace", "StandardLogNormal", "StandardLogistic", "StandardNormal", "StandardStudentT", "StandardUniform",
    "SymmetricDirichlet", "Vamp", "VampPrior", "Weibull", "standard_normal",
]  # fmt: skip

__getattr__ = unknown_part(Prior, __name__)
