"""The plain autoencoder: the code is the center of q, and nothing ties it to the prior.

Origin: Vincent et al. 2008, section 2.2.
Command: python tools/train.py --config=configs/autoencoder.py
On MNIST: python tools/train.py --config=configs/autoencoder.py:mnist
"""

from tfvae import baselines, config


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("autoencoder", data, beside=__file__)
    base.objective = baselines.Autoencoder()
    return base
