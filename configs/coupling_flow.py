"""A coupling flow as posterior, and one as prior.

Origin: Dinh et al. 2017, equations 4 and 5.
Command: python tools/train.py --config=configs/coupling_flow.py
On MNIST: python tools/train.py --config=configs/coupling_flow.py:mnist
"""

from tfvae import config, posteriors, priors


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("coupling_flow", data, beside=__file__)
    base.model.posterior = posteriors.CouplingFlow()
    base.model.prior = priors.CouplingFlow()
    return base
