"""Grey levels with a Gaussian decoder of identity covariance: the squared error.

Origin: Kingma & Welling 2013, appendix C.2.
Command: python tools/train.py --config=configs/gaussian_identity.py
On MNIST: python tools/train.py --config=configs/gaussian_identity.py:mnist
"""

from tfvae import config, likelihoods


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("gaussian_identity", data, beside=__file__)
    base.data.binarization = "none"
    base.model.likelihood = likelihoods.GaussianIdentity()
    return base
