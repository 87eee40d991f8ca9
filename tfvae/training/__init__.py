"""Trains a VAE into a work directory."""

from tfvae.training.evaluate_run import evaluate_run, make_estimator
from tfvae.training.fitting import load_data
from tfvae.training.run_report import write_report
from tfvae.training.summary import summary
from tfvae.training.sweep import sweep
from tfvae.training.train import Result, train, train_and_evaluate
from tfvae.training.workdir import WorkDir

__all__ = [
    "Result",
    "WorkDir",
    "evaluate_run",
    "load_data",
    "make_estimator",
    "summary",
    "sweep",
    "train",
    "train_and_evaluate",
    "write_report",
]
