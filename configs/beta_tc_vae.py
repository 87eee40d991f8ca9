"""The beta-TC-VAE: the total correlation of the latents weighs beta = 3.

Origin: Chen et al. 2018, equation 4.
Command: python tools/train.py --config=configs/beta_tc_vae.py
On MNIST: python tools/train.py --config=configs/beta_tc_vae.py:mnist
"""

from tfvae import config, objectives


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("beta_tc_vae", data, beside=__file__)
    base.objective = objectives.BetaTCVAE(beta=3.0)
    return base
