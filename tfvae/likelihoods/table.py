"""A likelihood of tables, whose columns are of several kinds."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd
from tensorflow_probability import layers as tfpl

from tfvae.component import FieldError
from tfvae.errors import InputError
from tfvae.likelihoods.base import _Likelihood, feature_layer, named_parameters
from tfvae.likelihoods.bernoulli import Bernoulli, ContinuousBernoulli
from tfvae.likelihoods.categorical import Categorical
from tfvae.likelihoods.counts import NegativeBinomial, Poisson
from tfvae.likelihoods.gaussian import Gaussian, GaussianIdentity
from tfvae.support import Support

_KINDS: dict[str, Callable[[], _Likelihood]] = {
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "gaussian": lambda: Gaussian(domain="real"),
    "gaussian_identity": lambda: GaussianIdentity(domain="real"),
    "negative_binomial": NegativeBinomial,
    "poisson": Poisson,
}
_EXPECTED = f"one of: {', '.join(_KINDS)}, or categorical:<number of codes, at least 2>"


@dataclasses.dataclass(kw_only=True, slots=True)
class Table(_Likelihood):
    """p(x|z) = prod_c p_c(x_c|z) over the columns c of a table, each of its own kind, for items `[columns]`.

    Attributes:
      columns: for each column `bernoulli` (0 or 1), `continuous_bernoulli` (numbers in [0, 1]), `gaussian`
        or `gaussian_identity` (any numbers), `poisson` or `negative_binomial` (counts), or
        `categorical:<C>` (codes 0 ... C - 1).
    """

    scale: ClassVar[str] = "none"

    columns: tuple[str, ...] = ()

    def validate(self) -> None:
        if not self.columns:
            raise FieldError("columns", self.columns, f"for each column of the table {_EXPECTED}")
        for column in self.columns:
            if _component(column) is None:
                raise FieldError("columns", column, _EXPECTED)

    def params_shape(self, item_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(the number of all columns' parameters,)."""
        return (sum(self._sizes(item_shape)),)

    def layer(self, item_shape: tuple[int, ...]) -> tfpl.DistributionLambda:
        """The `tfp.layers` layer; as a tensor it is its mean."""
        self._groups(item_shape)  # refuses now: inside the layer Keras would add words of its own
        return _Likelihood.layer(self, item_shape)

    def distribution(self, params: tf.Tensor, item_shape: tuple[int, ...]) -> tfd.Distribution:
        """p(x|z) of the parameters of each kind's columns, the kinds in the order of their first columns."""
        groups = self._groups(item_shape)
        pieces = tf.split(params, self._sizes(item_shape), axis=-1)
        parts = {
            kind: component.distribution(piece, (len(places),))
            for (kind, component, places), piece in zip(groups, pieces, strict=True)
        }
        return Columns(parts, places=[places for _, _, places in groups])

    def features(self, item_shape: tuple[int, ...]) -> Any:
        """What each column's own likelihood gives, flat: `[rows, numbers]`."""
        layers = [(component.features((len(at),)), at) for _, component, at in self._groups(item_shape)]

        def join(x: tf.Tensor) -> tf.Tensor:
            groups = [(layer, tf.gather(x, at, axis=1)) for layer, at in layers]
            parts = [part if layer is None else layer(part) for layer, part in groups]
            return tf.concat([tf.reshape(part, [tf.shape(x)[0], np.prod(part.shape[1:])]) for part in parts], axis=1)

        return feature_layer(join)

    def output_bias(self, mean: np.ndarray) -> np.ndarray:
        """What each column's own likelihood gives, flat."""
        return np.concatenate([component.output_bias(mean[at]) for _, component, at in self._groups(mean.shape)])

    def support(self, item_shape: tuple[int, ...]) -> Support:
        """That of each column."""
        limits = np.zeros((3, *item_shape))
        for _, component, at in self._groups(item_shape):
            support = component.support((len(at),))
            limits[:, at] = [[support.low], [support.high], [support.step]]
        low, high, step = limits
        return Support(low=low, high=high, step=step)

    def check(self, values: Any, *, field: str = "data") -> None:
        """Raises `InputError` that names the first bad column and its kind."""
        self._groups(values.shape[1:])
        for place, column in enumerate(self.columns):
            component = _component(column)
            assert component is not None
            hint = "name the kind of each column in model.likelihood.columns"
            support = dataclasses.replace(component.support(()), between="refused", hint=hint)
            support.check(values[:, place], field=f"{field}, column {place}", likelihood=column)

    def _groups(self, item_shape: tuple[int, ...]) -> list[tuple[str, _Likelihood, list[int]]]:
        """The kinds of columns: name, likelihood and places of each. Columns of one kind make one distribution."""
        if tuple(item_shape) != (len(self.columns),):
            raise InputError(
                f"model.likelihood.columns: received {len(self.columns)} columns, expected as many as the data has: "
                f"its items are {list(item_shape)}"
            )
        groups = []
        for kind in dict.fromkeys(self.columns):
            component = _component(kind)
            assert component is not None, kind  # see `validate`
            groups.append((kind, component, [place for place, other in enumerate(self.columns) if other == kind]))
        return groups

    def _sizes(self, item_shape: tuple[int, ...]) -> list[int]:
        return [component.params_per_dim * len(at) for _, component, at in self._groups(item_shape)]


def _component(column: str) -> _Likelihood | None:
    """The likelihood that a column's name stands for; None for a name that stands for none."""
    kind, _, size = column.partition(":")
    if kind == "categorical" and size.isdecimal() and int(size) >= 2:
        return Categorical(num_categories=int(size))
    return _KINDS[column]() if column in _KINDS else None


class Columns(tfd.Distribution):
    """Independent distributions over the columns of a vector.

    Args:
      parts: name -> distribution of event shape `[n]`, all of one batch shape.
      places: for each part its n columns.
    """

    def __init__(self, parts: dict[str, tfd.Distribution], *, places: list[list[int]], name: str = "Columns") -> None:
        parameters = dict(locals())
        self.parts, self._places = dict(parts), places
        joined = [place for part in places for place in part]
        self._size, self._order = len(joined), list(np.argsort(joined))
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=False,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: int | None = None) -> dict[str, Any]:
        return {}  # they are the parts' own

    def _batch_shape(self) -> tf.TensorShape:
        return next(iter(self.parts.values())).batch_shape

    def _batch_shape_tensor(self) -> tf.Tensor:
        return next(iter(self.parts.values())).batch_shape_tensor()

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([self._size])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([self._size], tf.int32)

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        return sum(part.log_prob(tf.gather(x, places, axis=-1)) for part, places in self.by_place())

    def _mean(self) -> tf.Tensor:
        return self.joined([part.mean() for part in self.parts.values()])

    def _variance(self) -> tf.Tensor:
        return self.joined([part.variance() for part in self.parts.values()])

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        seeds = tfp.random.split_seed(seed, n=len(self.parts), salt="columns")
        return self.joined([part.sample(n, seed=s) for part, s in zip(self.parts.values(), seeds, strict=True)])

    def by_place(self) -> list[tuple[tfd.Distribution, list[int]]]:
        """Each part with the columns it is of."""
        return list(zip(self.parts.values(), self._places, strict=True))

    def joined(self, values: list[tf.Tensor]) -> tf.Tensor:
        """Numbers of all parts, each in its column."""
        return tf.gather(tf.concat(values, axis=-1), self._order, axis=-1)


@named_parameters.register(Columns)
def _(likelihood: Columns) -> dict[str, tf.Tensor]:
    """Those of each kind's columns, such as `gaussian_loc`, `[rows, columns of the kind]`."""
    return {
        f"{kind.replace(':', '_')}_{name}": value
        for kind, part in likelihood.parts.items()
        for name, value in named_parameters(part).items()
    }
