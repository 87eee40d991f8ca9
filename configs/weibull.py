"""Inverse CDF: a Weibull posterior with a gamma prior.

Origin: Zhang et al. 2018, section 3.2.
Command: python tools/train.py --config=configs/weibull.py
On MNIST: python tools/train.py --config=configs/weibull.py:mnist
"""

from tfvae import config, posteriors, priors


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("weibull", data, beside=__file__)
    base.model.posterior = posteriors.Weibull()
    base.model.prior = priors.Gamma()
    return base
