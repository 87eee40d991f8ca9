"""The InfoVAE: less KL, and an MMD between the aggregate posterior and the prior.

Origin: Zhao et al. 2019.
Command: python tools/train.py --config=configs/info_vae.py
On MNIST: python tools/train.py --config=configs/info_vae.py:mnist
"""

from tfvae import config, objectives


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("info_vae", data, beside=__file__)
    base.objective = objectives.InfoVAE(alpha=0.5, scale=10.0)
    return base
