"""Objectives that also take a prior over the generative parameters theta. Each holds another objective."""

import dataclasses
from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae.component import bounded, choice
from tfvae.errors import InputError
from tfvae.kinds import Objective
from tfvae.networks import VariationalDense, weight_divergence
from tfvae.objectives.base import Terms, num_examples
from tfvae.objectives.sgvb import SGVB_B
from tfvae.rows import Rows


@dataclasses.dataclass(kw_only=True, slots=True)
class _WithParameters(Objective):
    """Another objective, and what theta costs, in nats, as the share of one of N examples.

    Attributes:
      objective: the other one.
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

    def quality(self, logs: Any) -> float:
        """As the other objective."""
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
        if _has_posterior_over_weights(vae.decoder):
            raise InputError(
                f"{self.tag}: received a decoder with variational layers, expected one of plain weights: "
                "full_vb counts the prior of variational ones"
            )
        prior = (tfd.Normal if self.family == "normal" else tfd.Laplace)(0.0, self.scale)
        log_probs = [tf.reduce_sum(prior.log_prob(tf.cast(theta, tf.float32))) for theta in _generative_variables(vae)]
        return -tf.add_n(log_probs)


@dataclasses.dataclass(kw_only=True, slots=True)
class FullVB(_WithParameters):
    """A posterior over theta too: the other loss + 1/N KL(q(theta) || p(theta)) (Kingma & Welling 2013, appendix F).

    theta are the weights of the decoder's variational layers, drawn for each example. The ELBO among the
    terms is that given the draw, without the cost of theta.
    """

    def cost(self, vae: Any) -> tf.Tensor:
        """KL(q(theta) || p(theta))."""
        if not _has_posterior_over_weights(vae.decoder):
            raise InputError(
                f"{self.tag}: received a decoder without variational layers, expected some, such as those of "
                "the network bayesian_mlp"
            )
        return weight_divergence(vae.decoder)


def _has_posterior_over_weights(model: Any) -> bool:
    return any(isinstance(layer, VariationalDense) for layer in model._flatten_layers())


def _generative_variables(vae: Any) -> list[tf.Variable]:
    found = {v.ref(): v for v in (*vae.decoder.trainable_variables, *vae.prior.trainable_variables)}
    return list(found.values())
