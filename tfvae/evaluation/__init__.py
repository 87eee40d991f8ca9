"""What a trained model reaches: the ELBO, rate and distortion, and log p(x)."""

from tfvae.evaluation.evaluate import evaluate

__all__ = ["evaluate"]
