"""Location-scale, or inverse CDF: a logistic posterior with a logistic prior.

Origin: Kingma & Welling 2013, section 2.4.
Command: python tools/train.py --config=configs/logistic.py
On MNIST: python tools/train.py --config=configs/logistic.py:mnist
"""

from tfvae import config, posteriors, priors


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("logistic", data, beside=__file__)
    base.model.posterior = posteriors.Logistic()
    base.model.prior = priors.StandardLogistic()
    return base
