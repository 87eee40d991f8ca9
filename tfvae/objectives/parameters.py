"""Objectives that also take a prior over the generative parameters theta. Each holds another objective."""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae.component import bounded, choice
from tfvae.errors import InputError
from tfvae.kinds import Objective
from tfvae.networks import has_variational_layers, weight_divergence
from tfvae.objectives.base import Terms, num_examples
from tfvae.objectives.importance import IWAE
from tfvae.objectives.sgvb import SGVB_B
from tfvae.rows import Rows


@dataclasses.dataclass(kw_only=True, slots=True)
class _WithParameters(Objective):
    """Another objective, and what theta costs, in nats, as the share of one of N examples.

    Attributes:
      objective: the other one.

    A row's weight (`sample_weight`) weighs its share of theta's cost too.
    """

    objective: Objective = dataclasses.field(default_factory=SGVB_B)

    @property
    def regularizes(self) -> bool:  # type: ignore[override]
        """As the other objective."""
        return self.objective.regularizes

    @property
    def num_samples(self) -> int:  # type: ignore[override]
        """As the other objective."""
        return self.objective.num_samples

    def weight_at(self, step: Any) -> Any:
        """As the other objective."""
        return self.objective.weight_at(step)

    def check(self, vae: Any) -> None:
        """As the other objective, and that the size of the data set is known."""
        num_examples(self, vae)
        self.objective.check(vae)

    def quality(self, logs: Any) -> float:
        """As the other objective; where that goes by its loss, what theta costs is in it."""
        return self.objective.quality(logs)

    def terms(self, vae: Any, x: tf.Tensor, rows: Rows) -> Terms:
        """The terms of each example of x `[rows, *item_shape]`."""
        size = num_examples(self, vae)
        terms = self.objective.terms(vae, x, rows)
        # The loss of one example stands for 1/N of that of the data set, so theta's cost is divided by N.
        return dataclasses.replace(terms, loss=terms.loss + self.cost(vae) / size)

    def cost(self, vae: Any) -> tf.Tensor:
        """What theta costs: a float32 scalar, nats."""
        raise NotImplementedError


@dataclasses.dataclass(kw_only=True, slots=True)
class MAP(_WithParameters):
    """Maximum a posteriori theta: the other loss - 1/N log p(theta) (Kingma & Welling 2013, section 2.1).

    theta are the trainable variables of the decoder and the prior. The density is normalised, so that
    the loss is that of a joint distribution.

    Attributes:
      objective: the other one.
      family: p(theta), independent and of mean 0: `normal` is weight decay, `laplace` its L1 form.
      scale: the normal's standard deviation, or the Laplace distribution's scale.
    """

    family: str = choice("normal", "laplace")
    scale: float = bounded(1.0, low=0.0, open_low=True)

    def cost(self, vae: Any) -> tf.Tensor:
        """-log p(theta)."""
        prior = (tfd.Normal if self.family == "normal" else tfd.Laplace)(0.0, self.scale)
        log_probs = [tf.reduce_sum(prior.log_prob(tf.cast(theta, tf.float32))) for theta in _generative_variables(vae)]
        return -tf.add_n(log_probs)


@dataclasses.dataclass(kw_only=True, slots=True)
class FullVB(_WithParameters):
    """A posterior over theta too: the other loss + 1/N KL(q(theta) || p(theta)) (Kingma & Welling 2013, appendix F).

    theta are the weights of the decoder's variational layers, drawn for each example and draw of z. The ELBO
    among the terms is that given theta, without its cost; evaluation and export take the means of theta.
    """

    weighs_parameters: ClassVar[bool] = True

    def check(self, vae: Any) -> None:
        """Refuses a decoder of plain weights, and a bound with the mean over draws inside the logarithm."""
        _WithParameters.check(self, vae)
        if not has_variational_layers(vae.decoder):
            raise InputError(
                f"objective: received {self.tag} for a decoder of plain weights, expected variational layers, such as "
                "those of the network bayesian_mlp"
            )
        # With a theta for each draw, log 1/K sum_k p(x | z_k, theta_k) would average over theta inside the logarithm,
        # for each example by itself: no bound of log p(X).
        if isinstance(self.objective, IWAE) and self.objective.num_samples > 1:
            raise InputError(
                f"objective.objective: received {self.objective.tag} with num_samples = {self.objective.num_samples} "
                f"inside {self.tag}, expected num_samples = 1, or an ELBO"
            )

    def cost(self, vae: Any) -> tf.Tensor:
        """KL(q(theta) || p(theta))."""
        return weight_divergence(vae.decoder)


def _generative_variables(vae: Any) -> list[tf.Variable]:
    found = {v.ref(): v for v in (*vae.decoder.trainable_variables, *vae.prior.trainable_variables)}
    return list(found.values())
