"""Grey levels as what they are: a mass for each, by mixtures of discretized logistics.

Origin: Salimans et al. 2017, equation 2.
Command: python tools/train.py --config=configs/discretized_logistic.py
On MNIST: python tools/train.py --config=configs/discretized_logistic.py:mnist
"""

from tfvae import config, likelihoods


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("discretized_logistic", data, beside=__file__)
    base.data.binarization = "none"
    base.model.likelihood = likelihoods.DiscretizedLogistic(num_mixtures=3, num_levels=17 if data == "digits" else 256)
    return base
