"""Composition: a log-normal posterior with a log-normal prior.

Origin: Kingma & Welling 2013, section 2.4.
Command: python tools/train.py --config=configs/log_normal.py
On MNIST: python tools/train.py --config=configs/log_normal.py:mnist
"""

from tfvae import config, posteriors, priors


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("log_normal", data, beside=__file__)
    base.model.posterior = posteriors.LogNormal()
    base.model.prior = priors.StandardLogNormal()
    return base
