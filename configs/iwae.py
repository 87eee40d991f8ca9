"""The importance-weighted autoencoder, K = 5.

Origin: Burda et al. 2016, equation 8.
Command: python tools/train.py --config=configs/iwae.py
On MNIST: python tools/train.py --config=configs/iwae.py:mnist
"""

from tfvae import config, objectives


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("iwae", data, beside=__file__)
    base.objective = objectives.IWAE(num_samples=5)
    return base
