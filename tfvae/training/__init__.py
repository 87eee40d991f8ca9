"""Trains a VAE into a work directory."""

from tfvae.training.report import report
from tfvae.training.train import Result, load_data, train, train_and_evaluate
from tfvae.training.workdir import WorkDir

__all__ = ["Result", "WorkDir", "load_data", "report", "train", "train_and_evaluate"]
