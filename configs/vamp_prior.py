"""The VampPrior: the posterior at learned pseudo-inputs.

Origin: Tomczak & Welling 2018, equation 9.
Command: python tools/train.py --config=configs/vamp_prior.py
On MNIST: python tools/train.py --config=configs/vamp_prior.py:mnist
"""

from tfvae import config, priors


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("vamp_prior", data, beside=__file__)
    base.model.prior = priors.VampPrior(num_pseudo_inputs=100)
    return base
