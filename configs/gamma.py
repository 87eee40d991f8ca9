"""Composition: a gamma posterior with a gamma prior.

Origin: Kingma & Welling 2013, section 2.4.
Command: python tools/train.py --config=configs/gamma.py
On MNIST: python tools/train.py --config=configs/gamma.py:mnist
"""

from tfvae import config, posteriors, priors


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("gamma", data, beside=__file__)
    base.model.posterior = posteriors.Gamma()
    base.model.prior = priors.Gamma()
    return base
