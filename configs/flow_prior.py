"""A masked autoregressive flow as prior.

Origin: Papamakarios et al. 2017, section 3; Chen et al. 2017, section 3.2.
Command: python tools/train.py --config=configs/flow_prior.py
On MNIST: python tools/train.py --config=configs/flow_prior.py:mnist
"""

from tfvae import config, priors


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("flow_prior", data, beside=__file__)
    base.model.prior = priors.AutoregressiveFlow()
    return base
