"""A rate that is drawn to a rising capacity.

Origin: Burgess et al. 2018, equation 8.
Command: python tools/train.py --config=configs/capacity.py
On MNIST: python tools/train.py --config=configs/capacity.py:mnist
"""

from tfvae import config, objectives


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("capacity", data, beside=__file__)
    base.objective = objectives.Capacity(gamma=10.0, capacity=8.0)
    return base
