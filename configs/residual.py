"""A residual convolutional network.

Origin: He et al. 2016, section 3, as the networks of a VAE.
Command: python tools/train.py --config=configs/residual.py
On MNIST: python tools/train.py --config=configs/residual.py:mnist
"""

from tfvae import config, networks


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("residual", data, beside=__file__)
    base.model.network = networks.ResidualConvolutional()
    return base
