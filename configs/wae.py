"""The Wasserstein autoencoder with an MMD, which has no KL at all.

Origin: Tolstikhin et al. 2018, algorithm 2.
Command: python tools/train.py --config=configs/wae.py
On MNIST: python tools/train.py --config=configs/wae.py:mnist
"""

from tfvae import config, objectives


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("wae", data, beside=__file__)
    base.objective = objectives.InfoVAE(alpha=1.0, scale=10.0)
    return base
