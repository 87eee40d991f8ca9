"""MNIST with a full-covariance posterior, otherwise as `mnist`."""

from tfvae import config, posteriors


def get_config() -> config.Config:
    base = config.from_file("mnist.py", beside=__file__)
    base.name = "mnist_tril"
    base.model.posterior = posteriors.FullNormal()
    return base
