"""Grey levels in [0, 1] with the continuous Bernoulli.

Origin: Loaiza-Ganem & Cunningham 2019, section 4.
Command: python tools/train.py --config=configs/continuous_bernoulli.py
On MNIST: python tools/train.py --config=configs/continuous_bernoulli.py:mnist
"""

from tfvae import config, likelihoods


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("continuous_bernoulli", data, beside=__file__)
    base.data.binarization = "none"
    base.model.likelihood = likelihoods.ContinuousBernoulli()
    return base
