"""Location-scale: a Laplace posterior with a Laplace prior.

Origin: Kingma & Welling 2013, section 2.4.
Command: python tools/train.py --config=configs/laplace.py
On MNIST: python tools/train.py --config=configs/laplace.py:mnist
"""

from tfvae import config, posteriors, priors


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("laplace", data, beside=__file__)
    base.model.posterior = posteriors.Laplace()
    base.model.prior = priors.StandardLaplace()
    return base
