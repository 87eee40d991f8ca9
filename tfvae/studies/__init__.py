"""The papers' tables and figures, made again: what `tools/reproduce.py` runs."""

from tfvae.studies.aevb_lower_bound import AevbLowerBound
from tfvae.studies.aevb_marginal_likelihood import AevbMarginalLikelihood
from tfvae.studies.autoencoders import Autoencoders
from tfvae.studies.base import Cell, Report, Study
from tfvae.studies.comparisons import KlSchedules, LatentSize, PosteriorFamilies, Priors
from tfvae.studies.density_models import DensityModels
from tfvae.studies.double_kl import DoubleKl
from tfvae.studies.estimators import Estimators
from tfvae.studies.iwae_table import IwaeTable
from tfvae.studies.pictures import Manifolds, SamplesByLatentSize
from tfvae.studies.run import reproduce, study_of

__all__ = [
    "AevbLowerBound", "AevbMarginalLikelihood", "Autoencoders", "Cell", "DensityModels", "DoubleKl", "Estimators",
    "IwaeTable", "KlSchedules", "LatentSize", "Manifolds", "PosteriorFamilies", "Priors", "Report",
    "SamplesByLatentSize", "Study", "reproduce", "study_of",
]  # fmt: skip
