"""The AEVB algorithm with estimator A: the KL is sampled too.

Origin: Kingma & Welling 2013, equation 6.
Command: python tools/train.py --config=configs/sgvb_a.py
On MNIST: python tools/train.py --config=configs/sgvb_a.py:mnist
"""

from tfvae import config, objectives


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("sgvb_a", data, beside=__file__)
    base.objective = objectives.SGVB_A()
    return base
