"""The factorised posteriors, their natural priors, and their densities as SciPy or the formula has them."""

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy.special
import scipy.stats
import tensorflow as tf
import tf_keras

from tfvae import posteriors, priors
from tfvae.regularizers import plain


def softplus(x):
    return np.logaddexp(x, 0.0)


def clamp(x, limit):
    return limit * np.tanh(x / limit)


class KumaraswamyReference:
    """The density a b z^(a - 1) (1 - z^a)^(b - 1)."""

    def __init__(self, a, b):
        self.a, self.b = a, b

    def logpdf(self, z):
        return np.log(self.a * self.b) + (self.a - 1) * np.log(z) + (self.b - 1) * np.log1p(-(z**self.a))

    def cdf(self, z):
        return 1 - (1 - z**self.a) ** self.b

    def sf(self, z):
        return (1 - z**self.a) ** self.b

    def moment(self, n):
        return self.b * scipy.special.beta(1 + n / self.a, self.b)

    def mean(self):
        return self.moment(1)

    def std(self):
        return np.sqrt(self.moment(2) - self.moment(1) ** 2)


@dataclasses.dataclass
class Family:
    """A posterior, the priors of its support, and its reference as a function of the raw parameters.

    Attributes:
      mean_log: E log z of raw parameters; None where z can be negative.
    """

    posterior: posteriors.Normal
    priors: tuple
    reference: Callable
    mean_log: Callable | None = None

    @property
    def raw_params(self):
        return self.posterior.params_size(1)


def shape(raw, floor):
    return clamp(softplus(raw), 1000) + floor


EULER = np.euler_gamma
FAMILIES = [
    Family(
        posteriors.Laplace(scale_floor=0.1),
        (priors.StandardLaplace(), priors.StandardNormal()),
        lambda loc, raw: scipy.stats.laplace(loc, softplus(raw) + 0.1),
    ),
    Family(
        posteriors.Logistic(scale_floor=0.1),
        (priors.StandardLogistic(), priors.StandardNormal()),
        lambda loc, raw: scipy.stats.logistic(loc, softplus(raw) + 0.1),
    ),
    Family(
        posteriors.StudentT(degrees_of_freedom=6.5, scale_floor=0.1),
        (priors.StandardStudentT(degrees_of_freedom=4.0), priors.StandardNormal()),
        lambda loc, raw: scipy.stats.t(6.5, loc, softplus(raw) + 0.1),
    ),
    Family(
        posteriors.Gumbel(scale_floor=0.1),
        (priors.StandardGumbel(), priors.StandardNormal()),
        lambda loc, raw: scipy.stats.gumbel_r(clamp(loc, 20), clamp(softplus(raw) + 0.1, 10)),
    ),
    Family(
        posteriors.Weibull(concentration_floor=0.3, scale_floor=0.1),
        (priors.Weibull(concentration=1.5, scale=2.0), priors.Gamma(concentration=2.0, rate=0.5),
         priors.Exponential(rate=0.7), priors.StandardLogNormal()),
        lambda k, raw: scipy.stats.weibull_min(shape(k, 0.3), scale=softplus(raw) + 0.1),
        lambda k, raw: np.log(softplus(raw) + 0.1) - EULER / shape(k, 0.3),
    ),
    Family(
        posteriors.Exponential(rate_floor=0.1),
        (priors.Exponential(rate=0.7), priors.Gamma(concentration=2.0, rate=0.5), priors.StandardLogNormal()),
        lambda raw: scipy.stats.expon(scale=1 / (softplus(raw) + 0.1)),
        lambda raw: -EULER - np.log(softplus(raw) + 0.1),
    ),
    Family(
        posteriors.Kumaraswamy(concentration_floor=0.2),
        (priors.StandardUniform(), priors.Beta(concentration1=2.0, concentration0=3.0)),
        lambda a, b: KumaraswamyReference(shape(a, 0.2), shape(b, 0.2)),
        lambda a, b: -(scipy.special.digamma(shape(b, 0.2) + 1) + EULER) / shape(a, 0.2),
    ),
    Family(
        posteriors.LogNormal(scale_floor=0.1),
        (priors.StandardLogNormal(), priors.Gamma(concentration=2.0, rate=0.5), priors.Exponential(rate=0.7)),
        lambda loc, raw: scipy.stats.lognorm(clamp(softplus(raw) + 0.1, 5), scale=np.exp(clamp(loc, 10))),
        lambda loc, raw: clamp(loc, 10),
    ),
    Family(
        posteriors.Gamma(concentration_floor=0.2, rate_floor=0.1),
        (priors.Gamma(concentration=2.0, rate=0.5), priors.Exponential(rate=0.7), priors.StandardLogNormal()),
        lambda a, rate: scipy.stats.gamma(shape(a, 0.2), scale=1 / (softplus(rate) + 0.1)),
        lambda a, rate: scipy.special.digamma(shape(a, 0.2)) - np.log(softplus(rate) + 0.1),
    ),
]  # fmt: skip
OTHERS = [
    (posteriors.Dirichlet(), (priors.SymmetricDirichlet(concentration=0.7),)),
    (posteriors.InverseAutoregressiveFlow(), (priors.StandardNormal(),)),
    (posteriors.CouplingFlow(num_flows=2), (priors.StandardNormal(),)),
]
PAIRS = [(f.posterior, prior) for f in FAMILIES for prior in f.priors] + [(q, p) for q, ps in OTHERS for p in ps]
NATURAL = [(f.posterior, f.priors[0]) for f in FAMILIES] + [(q, ps[0]) for q, ps in OTHERS]


def by_tags(pair):
    """The name of a test of a posterior and a prior."""
    return f"{pair[0].tag}-{pair[1].tag}"


def posterior_of(component, size):
    """The distribution over `size` latents as a function of the parameters; one layer for all calls."""
    tf_keras.utils.set_random_seed(0)
    made = component.layer(size, None)
    return lambda params: plain(made(tf.convert_to_tensor(params, tf.float32)))
