"""The denoising autoencoder: a quarter of the pixels is set to 0 before x is encoded, and all of x is decoded.

Origin: Vincent et al. 2008, section 2.3.
Command: python tools/train.py --config=configs/denoising_autoencoder.py
On MNIST: python tools/train.py --config=configs/denoising_autoencoder.py:mnist
"""

from tfvae import baselines, config


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("denoising_autoencoder", data, beside=__file__)
    base.objective = baselines.Autoencoder(corruption="masking", level=0.25)
    return base
