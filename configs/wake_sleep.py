"""The wake-sleep algorithm over the VAE's own networks.

Origin: Hinton et al. 1995; Kingma & Welling 2013, section 5, compares with it.
Command: python tools/train.py --config=configs/wake_sleep.py
On MNIST: python tools/train.py --config=configs/wake_sleep.py:mnist
"""

from tfvae import baselines, config


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("wake_sleep", data, beside=__file__)
    base.objective = baselines.WakeSleep()
    return base
