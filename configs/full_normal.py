"""A posterior of full covariance.

Origin: Kingma & Welling 2013, section 2.4.
Command: python tools/train.py --config=configs/full_normal.py
On MNIST: python tools/train.py --config=configs/full_normal.py:mnist
"""

from tfvae import config, posteriors


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("full_normal", data, beside=__file__)
    base.model.posterior = posteriors.FullNormal()
    return base
