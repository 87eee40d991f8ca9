"""Estimators of log p(x). A new one is a class of kind `Estimator`; nothing else has to know that it exists."""

from tfvae.component import unknown_part
from tfvae.evaluation.estimators.ais import AIS, BDMC
from tfvae.evaluation.estimators.base import Estimator
from tfvae.evaluation.estimators.hmc_density import HMCDensity
from tfvae.evaluation.estimators.importance import Importance

__all__ = ["AIS", "BDMC", "Estimator", "HMCDensity", "Importance"]

__getattr__ = unknown_part(Estimator, __name__)
