"""An inverse autoregressive flow as posterior.

Origin: Kingma et al. 2016, section 3.
Command: python tools/train.py --config=configs/iaf.py
On MNIST: python tools/train.py --config=configs/iaf.py:mnist
"""

from tfvae import config, posteriors


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("iaf", data, beside=__file__)
    base.model.posterior = posteriors.InverseAutoregressiveFlow()
    return base
