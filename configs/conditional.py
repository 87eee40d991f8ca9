"""A conditional VAE: encoder and decoder know the label, and samples come by label.

Origin: Sohn et al. 2015, section 4.
Command: python tools/train.py --config=configs/conditional.py
On MNIST: python tools/train.py --config=configs/conditional.py:mnist
"""

from tfvae import config


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("conditional", data, beside=__file__)
    base.model.conditional = True
    return base
