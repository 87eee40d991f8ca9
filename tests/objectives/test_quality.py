"""What the best checkpoint goes by."""

import pytest

from tfvae.baselines import Autoencoder, WakeSleep
from tfvae.objectives import IWAE, MAP, SGVB_A, SGVB_B, BetaTCVAE, Capacity, FreeBits, FullVB, InfoVAE
from tfvae.schedules import Linear

LOGS = {"loss": 7.0, "elbo": -13.0, "rate": 3.0, "distortion": 10.0}


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (SGVB_A(), -13.0),
        (SGVB_B(), -13.0),
        # Not the loss, which a schedule that rises makes worse by itself.
        (SGVB_B(kl_weight=2.0, kl_schedule=Linear(num_steps=10)), -16.0),
        (SGVB_B(kl_weight=0.0), -10.0),
        (Capacity(gamma=10.0, capacity=5.0), -30.0),
        (FreeBits(), -7.0),
        (IWAE(), -7.0),
        (BetaTCVAE(), -7.0),
        (InfoVAE(), -7.0),
        (MAP(objective=IWAE()), -7.0),
        (FullVB(), -13.0),
        (Autoencoder(), -7.0),
        (WakeSleep(), -13.0),
    ],
    ids=lambda value: getattr(value, "tag", ""),
)
def test_quality(objective, expected):
    assert objective.quality(LOGS) == pytest.approx(expected)
