"""Cyclical annealing of the weight of the KL.

Origin: Fu et al. 2019, section 4.
Command: python tools/train.py --config=configs/kl_annealing.py
On MNIST: python tools/train.py --config=configs/kl_annealing.py:mnist
"""

from tfvae import config, objectives, schedules


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("kl_annealing", data, beside=__file__)
    base.objective = objectives.SGVB_B(kl_schedule=schedules.Cyclic())
    return base
