"""The SGVB estimators of the ELBO (Kingma & Welling 2013, section 2.3).

Both estimate, for each example, equation 8 divided by N.
"""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tfvae.component import bounded
from tfvae.errors import InputError
from tfvae.kinds import Objective
from tfvae.objectives.base import Terms, reconstruct
from tfvae.rows import Rows
from tfvae.schedules import Constant, Schedule


@dataclasses.dataclass(kw_only=True, slots=True)
class SGVB_A(Objective):  # noqa: N801, the paper's name
    """SGVB estimator A: rate and distortion are both sampled (Kingma & Welling 2013, equation 6).

    Needs no closed form of the KL, and varies more than `SGVB_B` for that.

    Attributes:
      num_samples: L, draws of z for each example.
    """

    regularizes: ClassVar[bool] = False

    num_samples: int = bounded(1, low=1)

    def terms(self, vae: Any, x: tf.Tensor, rows: Rows) -> Terms:
        """The terms of each example of x `[rows, *item_shape]`."""
        draws, distortion = reconstruct(vae, x, rows, self.num_samples)
        # 1/L sum_l log q(z_l | x) - log p(z_l)
        rate = tf.reduce_mean(draws.log_ratio(vae.prior), axis=0)
        return Terms(loss=distortion + rate, distortion=distortion, rate=rate)


@dataclasses.dataclass(kw_only=True, slots=True)
class SGVB_B(Objective):  # noqa: N801, the paper's name
    """SGVB estimator B: analytic KL, sampled distortion (Kingma & Welling 2013, equation 7).

    The KL enters the loss through the activity regularizer of the posterior layer and
    nowhere else. With `kl_weight` this is the beta-VAE (Higgins et al. 2017, equation 4), with
    `kl_schedule` KL annealing (Bowman et al. 2016; cyclic: Fu et al. 2019).

    Attributes:
      num_samples: L, draws of z for each example.
      kl_weight: beta, factor of the rate, times `kl_schedule`; 1 for the ELBO.
    """

    num_samples: int = bounded(1, low=1)
    kl_weight: float = bounded(1.0, low=0.0)
    kl_schedule: Schedule = dataclasses.field(default_factory=Constant)

    def weight_at(self, step: tf.Tensor) -> tf.Tensor:
        """`kl_weight` times its schedule."""
        return self.kl_weight * self.kl_schedule.factor(step)

    def quality(self, logs: Any) -> float:
        """Minus the loss at the full weight, whatever the schedule says of it."""
        return -float(logs["distortion"]) - self.kl_weight * float(logs["rate"])

    def terms(self, vae: Any, x: tf.Tensor, rows: Rows) -> Terms:
        """The terms of each example of x `[rows, *item_shape]`."""
        _, distortion = reconstruct(vae, x, rows, self.num_samples)
        if rows.rate is None:
            raise InputError(
                "the encoder's posterior layer carries no tfvae.KLRegularizer, expected its "
                "activity_regularizer to be left free for tfvae.VAE to set"
            )
        return Terms(loss=distortion, distortion=distortion, rate=rows.rate)
