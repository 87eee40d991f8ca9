"""Grey levels as categories, as tokens of a text would be.

Origin: van den Oord et al. 2016, section 3.
Command: python tools/train.py --config=configs/categorical.py
"""

from tfvae import config, likelihoods


def get_config() -> config.Config:
    base = config.variant("categorical", "digits", beside=__file__)
    base.data.binarization, base.data.scale = "none", "none"
    base.model.likelihood = likelihoods.Categorical(num_categories=17, ordered=True)
    return base
