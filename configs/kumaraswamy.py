"""Inverse CDF: a Kumaraswamy posterior with a uniform prior.

Origin: Nalisnick & Smyth 2017, section 3.
Command: python tools/train.py --config=configs/kumaraswamy.py
On MNIST: python tools/train.py --config=configs/kumaraswamy.py:mnist
"""

from tfvae import config, posteriors, priors


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("kumaraswamy", data, beside=__file__)
    base.model.posterior = posteriors.Kumaraswamy()
    base.model.prior = priors.StandardUniform()
    return base
