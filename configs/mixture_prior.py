"""A learned mixture of Gaussians as prior.

Origin: Tomczak & Welling 2018, section 2.
Command: python tools/train.py --config=configs/mixture_prior.py
On MNIST: python tools/train.py --config=configs/mixture_prior.py:mnist
"""

from tfvae import config, priors


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("mixture_prior", data, beside=__file__)
    base.model.prior = priors.MixtureOfNormals(num_components=10)
    return base
