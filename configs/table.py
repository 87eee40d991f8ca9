"""A table whose columns are of several kinds, made of the digits.

Origin: Nazabal et al. 2020, section 2.
Command: python tools/train.py --config=configs/table.py
"""

from tfvae import config, likelihoods


def get_config() -> config.Config:
    base = config.variant("table", "digits", beside=__file__)
    base.data.source, base.data.item_shape = "digits_table", (7,)
    base.data.binarization, base.data.scale = "none", "none"
    base.model.likelihood = likelihoods.Table(
        columns=("categorical:10", "poisson", "bernoulli", "gaussian", "gaussian", "gaussian", "gaussian")
    )
    base.model.latent_size = 4
    return base
