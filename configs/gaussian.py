"""Grey levels with a Gaussian decoder of learned variance.

Origin: Kingma & Welling 2013, appendix C.2.
Command: python tools/train.py --config=configs/gaussian.py
On MNIST: python tools/train.py --config=configs/gaussian.py:mnist
"""

from tfvae import config, likelihoods


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("gaussian", data, beside=__file__)
    base.data.binarization = "none"
    base.data.dequantize = True
    base.model.likelihood = likelihoods.Gaussian(mean="sigmoid", scale_floor=0.03)
    return base
