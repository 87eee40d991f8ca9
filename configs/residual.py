"""A residual convolutional network.

Origin: He et al. 2016, section 3, as the networks of a VAE.
Command: python tools/train.py --config=configs/residual.py
On MNIST: python tools/train.py --config=configs/residual.py:mnist
"""

from tfvae import config, networks, objectives, schedules


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("residual", data, beside=__file__)
    base.model.network = networks.ResidualConvolutional()
    # Without a warm-up the KL wins before such a network has learned to use z.
    base.objective = objectives.SGVB_B(kl_schedule=schedules.Linear(num_steps=600))
    base.training.num_epochs = 60 if data == "digits" else 10
    return base
