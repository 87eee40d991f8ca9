"""A posterior over the decoder's weights too; figures are those at their means.

Origin: Kingma & Welling 2013, appendix F, by local reparameterization (Kingma et al. 2015).
Command: python tools/train.py --config=configs/full_vb.py
On MNIST: python tools/train.py --config=configs/full_vb.py:mnist
"""

from tfvae import config, networks, objectives


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("full_vb", data, beside=__file__)
    network = base.model.network
    base.model.network = networks.BayesianMLP(hidden=network.hidden, activation=network.activation)
    base.objective = objectives.FullVB()
    return base
