"""Rows of pixels as a sequence, read and written by a recurrent network.

Origin: Bowman et al. 2016, section 3, without autoregression.
Command: python tools/train.py --config=configs/recurrent.py
On MNIST: python tools/train.py --config=configs/recurrent.py:mnist
"""

from tfvae import config, networks, objectives, schedules


def get_config(data: str = "digits") -> config.Config:
    base = config.variant("recurrent", data, beside=__file__)
    base.model.network = networks.Recurrent()
    # Without a warm-up the KL wins before such a network has learned to use z.
    base.objective = objectives.SGVB_B(kl_schedule=schedules.Linear(num_steps=600))
    base.training.num_epochs = 40 if data == "digits" else 10
    return base
