"""What a trained model reaches: log p(x) by several estimators, and measures of what its latents have learned."""

from tfvae.evaluation.estimators import AIS, BDMC, Estimator, HMCDensity, Importance
from tfvae.evaluation.evaluate import evaluate
from tfvae.evaluation.run import Result, estimate

__all__ = ["AIS", "BDMC", "Estimator", "HMCDensity", "Importance", "Result", "estimate", "evaluate"]
