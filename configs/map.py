"""Maximum a posteriori parameters: weight decay as a density, scaled by 1/N.

Origin: Kingma & Welling 2013, section 2.1.
Command: python tools/train.py --config=configs/map.py
On MNIST: python tools/train.py --config=configs/map.py:mnist
"""

from tfvae import config, objectives


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("map", data, beside=__file__)
    base.objective = objectives.MAP()
    return base
