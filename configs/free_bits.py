"""Free bits: the first nats of each latent cost nothing.

Origin: Kingma et al. 2016, equation 15.
Command: python tools/train.py --config=configs/free_bits.py
On MNIST: python tools/train.py --config=configs/free_bits.py:mnist
"""

from tfvae import config, objectives


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("free_bits", data, beside=__file__)
    base.objective = objectives.FreeBits(free_nats=0.25)
    return base
