"""A residual convolutional network.

Origin: He et al. 2016, section 3, as the networks of a VAE.
Command: python tools/train.py --config=configs/residual.py
On MNIST: python tools/train.py --config=configs/residual.py:mnist
"""

from tfvae import config, networks


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("residual", data, beside=__file__)
    base.model.network = networks.ResidualConvolutional()
    base.training.num_epochs = 60 if data == "digits" else 10
    return base
