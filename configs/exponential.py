"""Inverse CDF: an exponential posterior with an exponential prior.

Origin: Kingma & Welling 2013, section 2.4.
Command: python tools/train.py --config=configs/exponential.py
On MNIST: python tools/train.py --config=configs/exponential.py:mnist
"""

from tfvae import config, posteriors, priors


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("exponential", data, beside=__file__)
    base.model.posterior = posteriors.Exponential()
    base.model.prior = priors.Exponential()
    return base
