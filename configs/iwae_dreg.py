"""IWAE with the doubly reparameterized gradient, K = 5.

Origin: Tucker et al. 2019, equation 8.
Command: python tools/train.py --config=configs/iwae_dreg.py
On MNIST: python tools/train.py --config=configs/iwae_dreg.py:mnist
"""

from tfvae import config, objectives


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("iwae_dreg", data, beside=__file__)
    base.objective = objectives.IWAE(num_samples=5, gradient="dreg")
    return base
