"""Likelihoods p(x|z): `tfp.layers` over the decoder's parameters.

The decoder's network gives `params_per_dim` numbers for each dimension of x, each kind
of parameter in one piece: all means, then all raw scales.
"""

from tfvae.component import unknown_part
from tfvae.kinds import Likelihood
from tfvae.likelihoods.autoregressive import AutoregressiveBernoulli
from tfvae.likelihoods.base import named_parameters
from tfvae.likelihoods.bernoulli import Bernoulli, ContinuousBernoulli
from tfvae.likelihoods.categorical import Categorical
from tfvae.likelihoods.counts import Multinomial, NegativeBinomial, Poisson
from tfvae.likelihoods.dimensions import draw, log_prob_of_observed
from tfvae.likelihoods.gaussian import Gaussian, GaussianIdentity, GaussianShared
from tfvae.likelihoods.logistic import DiscretizedLogistic
from tfvae.likelihoods.table import Table

__all__ = [
    "AutoregressiveBernoulli", "Bernoulli", "Categorical", "ContinuousBernoulli", "DiscretizedLogistic", "Gaussian",
    "GaussianIdentity", "GaussianShared", "Multinomial", "NegativeBinomial", "Poisson", "Table", "draw",
    "log_prob_of_observed", "named_parameters",
]  # fmt: skip

__getattr__ = unknown_part(Likelihood, __name__)
