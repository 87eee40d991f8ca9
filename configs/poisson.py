"""Grey levels as counts with a Poisson decoder.

Origin: Kingma & Welling 2013, section 2.3, over a decoder for counts.
Command: python tools/train.py --config=configs/poisson.py
"""

from tfvae import config, likelihoods


def get_config() -> config.Config:
    base = config.variant("poisson", "digits", beside=__file__)
    base.data.binarization, base.data.scale = "none", "none"
    base.model.likelihood = likelihoods.Poisson()
    return base
