"""Inverse CDF: a Gumbel posterior with a Gumbel prior.

Origin: Kingma & Welling 2013, section 2.4.
Command: python tools/train.py --config=configs/gumbel.py
On MNIST: python tools/train.py --config=configs/gumbel.py:mnist
"""

from tfvae import config, posteriors, priors


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("gumbel", data, beside=__file__)
    base.model.posterior = posteriors.Gumbel()
    base.model.prior = priors.StandardGumbel()
    return base
