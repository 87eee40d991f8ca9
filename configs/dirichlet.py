"""Composition: a Dirichlet posterior with a Dirichlet prior, latents on the simplex.

Origin: Kingma & Welling 2013, section 2.4; Joo et al. 2020.
Command: python tools/train.py --config=configs/dirichlet.py
On MNIST: python tools/train.py --config=configs/dirichlet.py:mnist
"""

from tfvae import config, posteriors, priors


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("dirichlet", data, beside=__file__)
    base.model.posterior = posteriors.Dirichlet()
    base.model.prior = priors.SymmetricDirichlet()
    return base
