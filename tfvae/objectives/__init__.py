"""Objectives: a loss per example from a model and a batch, in nats.

The loss of a batch is the weighted mean of `Terms.loss`, so an objective over the whole
batch (a total correlation, an MMD) still gives a number for each example.
"""

from tfvae.component import unknown_part
from tfvae.kinds import Objective
from tfvae.objectives.base import Terms
from tfvae.objectives.importance import IWAE
from tfvae.objectives.mmd import InfoVAE, mmd
from tfvae.objectives.parameters import MAP, FullVB
from tfvae.objectives.rate import Capacity, FreeBits
from tfvae.objectives.sgvb import SGVB_A, SGVB_B
from tfvae.objectives.total_correlation import BetaTCVAE, decompose

__all__ = [
    "IWAE",
    "MAP",
    "SGVB_A",
    "SGVB_B",
    "BetaTCVAE",
    "Capacity",
    "FreeBits",
    "FullVB",
    "InfoVAE",
    "Terms",
    "decompose",
    "mmd",
]

__getattr__ = unknown_part(Objective, __name__)
