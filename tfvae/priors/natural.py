"""Priors with nothing to learn: the standard normal, and the natural prior of each other family of posteriors."""

import dataclasses
from typing import ClassVar

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae.component import bounded
from tfvae.kinds import Prior


@dataclasses.dataclass(kw_only=True, slots=True)
class StandardNormal(Prior):
    """p(z) = N(0, I) (Kingma & Welling 2013, section 3)."""

    def build(self, latent_size: int) -> tfd.Distribution:
        """The distribution of z, `[latent_size]`."""
        return standard_normal(latent_size)


@dataclasses.dataclass(kw_only=True, slots=True)
class StandardLaplace(Prior):
    """p(z) = prod_j Laplace(z_j; 0, 1)."""

    def build(self, latent_size: int) -> tfd.Distribution:
        """The distribution of z, `[latent_size]`."""
        return _independent(tfd.Laplace, latent_size, 0.0, 1.0)


@dataclasses.dataclass(kw_only=True, slots=True)
class StandardLogistic(Prior):
    """p(z) = prod_j Logistic(z_j; 0, 1)."""

    def build(self, latent_size: int) -> tfd.Distribution:
        """The distribution of z, `[latent_size]`."""
        return _independent(tfd.Logistic, latent_size, 0.0, 1.0)


@dataclasses.dataclass(kw_only=True, slots=True)
class StandardStudentT(Prior):
    """p(z) = prod_j t(z_j; nu).

    Attributes:
      degrees_of_freedom: nu; above 2, where the variance exists.
    """

    degrees_of_freedom: float = bounded(5.0, low=2.0, open_low=True)

    def build(self, latent_size: int) -> tfd.Distribution:
        """The distribution of z, `[latent_size]`."""
        return _independent(tfd.StudentT, latent_size, self.degrees_of_freedom, 0.0, 1.0)


@dataclasses.dataclass(kw_only=True, slots=True)
class StandardGumbel(Prior):
    """p(z) = prod_j Gumbel(z_j; 0, 1), of largest values."""

    def build(self, latent_size: int) -> tfd.Distribution:
        """The distribution of z, `[latent_size]`."""
        return _independent(tfd.Gumbel, latent_size, 0.0, 1.0)


@dataclasses.dataclass(kw_only=True, slots=True)
class StandardLogNormal(Prior):
    """p(z) = prod_j LogNormal(z_j; 0, 1)."""

    support: ClassVar[str] = "positive"

    def build(self, latent_size: int) -> tfd.Distribution:
        """The distribution of z, `[latent_size]`."""
        return _independent(tfd.LogNormal, latent_size, 0.0, 1.0)


@dataclasses.dataclass(kw_only=True, slots=True)
class Exponential(Prior):
    """p(z) = prod_j rate exp(-rate z_j)."""

    support: ClassVar[str] = "positive"

    rate: float = bounded(1.0, low=0.0, open_low=True)

    def build(self, latent_size: int) -> tfd.Distribution:
        """The distribution of z, `[latent_size]`."""
        return _independent(tfd.Exponential, latent_size, self.rate)


@dataclasses.dataclass(kw_only=True, slots=True)
class Gamma(Prior):
    """p(z) = prod_j Gamma(z_j; concentration, rate)."""

    support: ClassVar[str] = "positive"

    concentration: float = bounded(1.0, low=0.05, high=1e3)
    rate: float = bounded(1.0, low=0.0, open_low=True)

    def build(self, latent_size: int) -> tfd.Distribution:
        """The distribution of z, `[latent_size]`."""
        return _independent(tfd.Gamma, latent_size, self.concentration, self.rate)


@dataclasses.dataclass(kw_only=True, slots=True)
class Weibull(Prior):
    """p(z) = prod_j Weibull(z_j; concentration, scale).

    Attributes:
      concentration: at most 3: the KL holds moments of that order, which overflow for a wide posterior.
    """

    support: ClassVar[str] = "positive"

    concentration: float = bounded(1.0, low=0.2, high=3.0)
    scale: float = bounded(1.0, low=0.0, open_low=True)

    def build(self, latent_size: int) -> tfd.Distribution:
        """The distribution of z, `[latent_size]`."""
        return _independent(tfd.Weibull, latent_size, self.concentration, self.scale)


@dataclasses.dataclass(kw_only=True, slots=True)
class StandardUniform(Prior):
    """p(z) = 1 on (0, 1)^size."""

    support: ClassVar[str] = "unit"

    def build(self, latent_size: int) -> tfd.Distribution:
        """The distribution of z, `[latent_size]`."""
        return _independent(tfd.Uniform, latent_size, 0.0, 1.0)


@dataclasses.dataclass(kw_only=True, slots=True)
class Beta(Prior):
    """p(z) = prod_j Beta(z_j; concentration1, concentration0); Beta(1, alpha) is that of stick-breaking.

    The KL of a Kumaraswamy posterior to it is an infinite series: it is estimated from draws.
    """

    support: ClassVar[str] = "unit"

    concentration1: float = bounded(1.0, low=0.1, high=1e3)
    concentration0: float = bounded(1.0, low=0.1, high=1e3)

    def build(self, latent_size: int) -> tfd.Distribution:
        """The distribution of z, `[latent_size]`."""
        return _independent(tfd.Beta, latent_size, self.concentration1, self.concentration0)


@dataclasses.dataclass(kw_only=True, slots=True)
class SymmetricDirichlet(Prior):
    """p(z) = Dirichlet(z; concentration, ..., concentration); 1 is uniform on the simplex."""

    support: ClassVar[str] = "simplex"

    concentration: float = bounded(1.0, low=0.05, high=1e3)

    def build(self, latent_size: int) -> tfd.Distribution:
        """The distribution of z, `[latent_size]`."""
        return tfd.Dirichlet(tf.fill([latent_size], tf.constant(self.concentration, tf.float32)))


def _independent(family: type, latent_size: int, *parameters: float) -> tfd.Distribution:
    """The same distribution in each of `latent_size` dimensions."""
    tensors = [tf.fill([latent_size], tf.constant(parameter, tf.float32)) for parameter in parameters]
    return tfd.Independent(family(*tensors), reinterpreted_batch_ndims=1)


def standard_normal(latent_size: int) -> tfd.Distribution:
    """N(0, I) over `[latent_size]`."""
    return _independent(tfd.Normal, latent_size, 0.0, 1.0)
