"""The beta-VAE, beta = 2.

Origin: Higgins et al. 2017, equation 4.
Command: python tools/train.py --config=configs/beta_vae.py
On MNIST: python tools/train.py --config=configs/beta_vae.py:mnist
"""

from tfvae import config, objectives


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("beta_vae", data, beside=__file__)
    base.objective = objectives.SGVB_B(kl_weight=2.0)
    return base
