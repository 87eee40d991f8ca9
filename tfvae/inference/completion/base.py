"""What a method of completion is: from an observation to draws of z from p(z|y)."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfvae.errors import InputError
from tfvae.inference.completion.observations import Masked, Observation
from tfvae.inference.model import Model

ROWS_AT_ONCE = 800  # chains, or latents, that are decoded at once: bounds memory

METHODS: dict[str, type["Method"]] = {}


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is known.

    Attributes:
      model: p(x|z), p(z) and q(z|x).
      observation: p(y|x).
      y: what was observed, float32 `[n, *shape of y]`.
      labels: int64 `[n]`, of a conditional model.
      seed: of all that is drawn.
    """

    model: Model
    observation: Observation
    y: np.ndarray
    labels: np.ndarray | None = None
    seed: int = 0

    @functools.cached_property
    def guess(self) -> np.ndarray:
        """A first guess of x for the encoder, `[n, *item_shape]`."""
        return self.observation.guess(self.model, self.y, self.labels, seed=self.seed)

    def log_joint(self, y: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor:
        """log p(y|z) + log p(z), float32 `[rows]`, nats; differentiable in z."""
        return self.observation.log_likelihood(self.model, y, z, labels) + self.log_prior(z, labels)

    def log_prior(self, z: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor:
        """log p(z), float32 `[rows]`, nats."""
        shape = [tf.shape(z)[0], *self.model.item_shape]
        nothing = tf.zeros(shape)
        return self.model.tensors("log_joint", item=nothing, mask=tf.cast(nothing, tf.bool), z=z, labels=labels)[
            "log_prior"
        ]

    def require_mask(self, method: str) -> None:
        """Raises `InputError` for a method that completes what is behind a mask, and an observation that is none."""
        if not isinstance(self.observation, Masked):
            fit = [name for name, cls in METHODS.items() if not cls.needs_mask]
            raise InputError(
                f"--method: received {method}, which alternates between z and what is behind a mask, expected one of: "
                f"{', '.join(fit)}"
            )

    def by_blocks(
        self, function: Callable[..., Any], arrays: dict[str, np.ndarray], *, rows: int, progress: str = ""
    ) -> dict[str, np.ndarray]:
        """What a function of tensors gives for arrays of any number of rows, some at a time.

        Args:
          function: of the arrays' parts, and of y and labels beside them, by name -> tensors `[rows, ...]` by name.
            It is traced once: a last block is filled up with its last row.
          arrays: `[n, ...]` each, by name.
          rows: in a block.
          progress: the name of a bar on a terminal; empty: none.
        """
        given = {"y": self.y} | ({} if self.labels is None else {"labels": self.labels}) | arrays
        run = tf.function(function, autograph=False)
        found: dict[str, list[np.ndarray]] = {}
        for part, count in tqdm(
            list(_blocks(given, len(self.y), rows)), desc=progress, unit=" blocks", disable=None if progress else True
        ):
            for name, value in run(**({"labels": None} | part)).items():
                found.setdefault(name, []).append(value.numpy()[:count])
        return {name: np.concatenate(values) for name, values in found.items()}


def _blocks(arrays: dict[str, np.ndarray], count: int, rows: int) -> Iterator[tuple[dict[str, tf.Tensor], int]]:
    """Parts of equal size, and how many of their rows count."""
    rows = min(rows, count)
    for start in range(0, count, rows):
        places = np.minimum(np.arange(start, start + rows), count - 1)
        yield {name: tf.constant(value[places]) for name, value in arrays.items()}, min(rows, count - start)


@dataclasses.dataclass(frozen=True)
class Latents:
    """Draws z ~ p(z|y), of equal weight.

    Attributes:
      z: float32 `[num_samples, n, latent_size]`.
      diagnostics: of each row, `[n]`, by name.
    """

    z: np.ndarray
    diagnostics: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
    """A way to p(z|y); its fields are its settings, and its name is its own in snake case.

    Attributes:
      needs_mask: whether it is for observations that are masks only.
      num_samples: draws of z for each example.
    """

    name: ClassVar[str] = ""
    needs_mask: ClassVar[bool] = False

    num_samples: int = 200

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name:
            cls.name = name
            METHODS[name] = cls

    def latents(self, problem: Problem) -> Latents:
        """Draws from p(z|y).

        Raises:
          InputError: for an observation, or a model, that the method is not for.
        """
        raise NotImplementedError


def repeated(times: int, *values: tf.Tensor | None) -> list[tf.Tensor | None]:
    """Each row so many times in turn, `[rows, ...]` to `[rows * times, ...]`; None stays."""
    return [None if value is None else tf.repeat(value, times, axis=0) for value in values]


def by_sample(z: np.ndarray) -> np.ndarray:
    """`[n, chains, steps, latent_size]` to `[chains * steps, n, latent_size]`, in turn one of each chain."""
    return np.transpose(z, (2, 1, 0, 3)).reshape(-1, z.shape[0], z.shape[3])
