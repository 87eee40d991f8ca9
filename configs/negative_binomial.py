"""Grey levels as counts with a negative binomial decoder.

Origin: Lopez et al. 2018 (counts of gene expression).
Command: python tools/train.py --config=configs/negative_binomial.py
"""

from tfvae import config, likelihoods


def get_config() -> config.Config:
    base = config.variant("negative_binomial", "digits", beside=__file__)
    base.data.binarization, base.data.scale = "none", "none"
    base.model.likelihood = likelihoods.NegativeBinomial()
    return base
