"""Grey levels with one learned variance for all pixels.

Origin: Rybkin et al. 2021, section 3.
Command: python tools/train.py --config=configs/gaussian_shared.py
On MNIST: python tools/train.py --config=configs/gaussian_shared.py:mnist
"""

from tfvae import config, likelihoods


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("gaussian_shared", data, beside=__file__)
    base.data.binarization = "none"
    base.data.dequantize = True
    base.model.likelihood = likelihoods.GaussianShared()
    return base
