"""What a trained model reaches: log p(x) by several estimators, the ELBO taken apart, and what the latent has learned."""

from tfvae.evaluation.estimators import AIS, BDMC, Estimator, HMCDensity, Importance
from tfvae.evaluation.evaluate import evaluate
from tfvae.evaluation.run import Result, estimate

__all__ = ["AIS", "BDMC", "Estimator", "HMCDensity", "Importance", "Result", "estimate", "evaluate"]
