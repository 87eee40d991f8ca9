"""The PixelVAE: a decoder whose pixels see those before them, by masked convolutions.

Origin: Gulrajani et al. 2017, section 3.
Command: python tools/train.py --config=configs/pixel_vae.py
On MNIST: python tools/train.py --config=configs/pixel_vae.py:mnist
"""

from tfvae import config, likelihoods


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("pixel_vae", data, beside=__file__)
    base.model.likelihood = likelihoods.AutoregressiveBernoulli()
    return base
