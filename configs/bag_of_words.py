"""A document model: each picture is a bag of 64 words, its ink their counts; topics on the simplex.

Origin: Miao et al. 2016; Srivastava & Sutton 2017.
Command: python tools/train.py --config=configs/bag_of_words.py
"""

from tfvae import config, likelihoods, posteriors, priors


def get_config() -> config.Config:
    base = config.variant("bag_of_words", "digits", beside=__file__)
    base.data.binarization, base.data.scale = "none", "none"
    base.model.likelihood = likelihoods.Multinomial()
    base.model.posterior = posteriors.Dirichlet()
    base.model.prior = priors.SymmetricDirichlet()
    return base
