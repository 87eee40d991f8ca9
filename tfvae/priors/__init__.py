"""Priors p(z)."""

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

__all__ = [
    "Beta",
    "Exponential",
    "Gamma",
    "StandardGumbel",
    "StandardLaplace",
    "StandardLogNormal",
    "StandardLogistic",
    "StandardNormal",
    "StandardStudentT",
    "StandardUniform",
    "SymmetricDirichlet",
    "Weibull",
    "standard_normal",
]
