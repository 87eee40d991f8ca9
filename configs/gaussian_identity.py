"""Grey levels as they are stored, with a Gaussian decoder of identity covariance: the squared error.

Origin: Kingma & Welling 2013, appendix C.2. On values in [0, 1] a variance of one would drown the picture.
Command: python tools/train.py --config=configs/gaussian_identity.py
"""

from tfvae import config, likelihoods


def get_config() -> config.Config:
    base = config.variant("gaussian_identity", "digits", beside=__file__)
    base.data.binarization, base.data.scale = "none", "none"
    base.model.likelihood = likelihoods.GaussianIdentity(domain="real")
    return base
