"""IWAE with the sticking-the-landing gradient, K = 5.

Origin: Roeder et al. 2017, section 4.
Command: python tools/train.py --config=configs/iwae_stl.py
On MNIST: python tools/train.py --config=configs/iwae_stl.py:mnist
"""

from tfvae import config, objectives


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("iwae_stl", data, beside=__file__)
    base.objective = objectives.IWAE(num_samples=5, gradient="stl")
    return base
