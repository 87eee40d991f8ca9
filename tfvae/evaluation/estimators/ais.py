"""Annealed importance sampling, and bidirectional Monte Carlo, which adds the chain that runs back."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tfvae.component import bounded, choice
from tfvae.evaluation import annealing
from tfvae.evaluation.common import standard_error
from tfvae.evaluation.estimators import base
from tfvae.evaluation.estimators.base import Columns, Estimator, average
from tfvae.evaluation.estimators.importance import Importance, degenerated
from tfvae.evaluation.latent_space import LatentSpace
from tfvae.vae import VAE

# A block of rows shares the draws of TFP's samplers: small, so that a run shows progress and loses little.
_ROWS = 50

# Of the warm-up, whose step sizes need no more.
_WARM_UP_CHAINS = 4

# Columns of the other estimators on the examples of `BDMC`.
_SHARED = ("log_likelihood", "monte_carlo_variance", "effective_sample_size")

# Errors outside the bracket that are no chance any more.
_FAR = 4.0


@dataclasses.dataclass(kw_only=True, slots=True)
class _Annealed(Estimator):
    """Settings of chains that anneal from a density that can be drawn from to p(z|x).

    Attributes:
      num_chains: for each example.
      num_temperatures: T, densities after the first.
      num_leapfrog_steps: of one transition of Hamiltonian Monte Carlo.
      start: where chains begin: `prior`, p(z), or `posterior`, the encoder's q(z|x).
    """

    num_chains: int = bounded(8, low=1)
    num_temperatures: int = bounded(200, low=1)
    num_leapfrog_steps: int = bounded(5, low=1)
    start: str = choice("prior", "posterior")

    def rows_at_once(self, vae: VAE) -> int:
        """Examples in a batch."""
        return max(1, min(_ROWS, base.DECODES_AT_ONCE // self.num_chains))

    @property
    def _how(self) -> str:
        start = {"prior": "the prior", "posterior": "the encoder's posterior"}[self.start]
        return (
            f"{self.num_chains} chains for each example, {self.num_temperatures} temperatures from {start} to the "
            f"true posterior, Hamiltonian Monte Carlo with {self.num_leapfrog_steps} leapfrog steps, step sizes "
            "adapted for each example in a warm-up run of their own"
        )

    def _path(self, vae: VAE, x: tf.Tensor) -> annealing.Path:
        start = vae.prior if self.start == "prior" else vae.encode(x)
        return annealing.Path(vae, x, LatentSpace.of(vae.prior), start, self.num_leapfrog_steps)

    @staticmethod
    def _draws(path: annealing.Path, keys: tf.Tensor, use: int, count: int) -> tf.Tensor:
        """y ~ f_0, `[count, rows, size of y]`."""
        if path.start is path.vae.prior:
            z = base.prior_draws(path.vae, keys, use, count)
        else:
            z = base.posterior_draws(path.vae, path.start, keys, use, count)
        return path.space.y(z)

    def _step_sizes(self, path: annealing.Path, keys: tf.Tensor) -> tf.Tensor:
        y = self._draws(path, keys, base.WARM_UP, _WARM_UP_CHAINS)
        return annealing.warm_up(path, y, self._betas, base.chain_seed(keys, base.WARM_UP))

    def _forward(
        self, path: annealing.Path, keys: tf.Tensor, step_sizes: tf.Tensor, uses: tuple[int, int]
    ) -> dict[str, tf.Tensor]:
        """A lower bound for each example, and what tells of its quality."""
        y = self._draws(path, keys, uses[0], self.num_chains)
        log_weights, accepted = annealing.anneal(path, y, self._betas, step_sizes, base.chain_seed(keys, uses[1]))
        return _bound(log_weights) | {"acceptance": tf.cast(accepted, tf.float64)}

    @property
    def _betas(self) -> np.ndarray:
        return annealing.inverse_temperatures(self.num_temperatures)

    def summary(self, columns: Columns) -> dict[str, Any]:
        """Means of the acceptance of transitions and the median of the effective number of chains."""
        return {
            "acceptance": float(columns["acceptance"].mean()),
            "effective_sample_size": float(np.median(columns["effective_sample_size"])),
        }

    def warnings(self, vae: VAE, columns: Columns) -> list[str]:
        """Says where transitions are refused or one chain decides."""
        found, total = [], len(columns["acceptance"])
        stuck = int((columns["acceptance"] < 0.2).sum())
        if stuck:
            found.append(f"fewer than 20 % of the transitions were accepted for {stuck} of {total} examples")
        alone = int((columns["effective_sample_size"] < min(2.0, 0.75 * self.num_chains)).sum())
        if alone > 0.05 * total and self.num_chains > 1:
            found.append(
                f"one of {self.num_chains} chains has most of the weight for {alone} of {total} examples: take more "
                "temperatures"
            )
        return found


@dataclasses.dataclass(kw_only=True, slots=True)
class AIS(_Annealed):
    """Annealed importance sampling: a lower bound of log p(x) in expectation (Neal 2001; Wu et al. 2017, section 3)."""

    @property
    def method(self) -> str:
        """How the numbers are made."""
        return f"Annealed importance sampling (Neal 2001; Wu et al. 2017): {self._how}; a lower bound in expectation."

    def estimate(self, vae: VAE, x: tf.Tensor, keys: tf.Tensor, z: tf.Tensor | None) -> dict[str, tf.Tensor]:
        """Columns `log_likelihood`, `effective_sample_size` (of the chains) and `acceptance`."""
        path = self._path(vae, x)
        return self._forward(path, keys, self._step_sizes(path, keys), (base.START, base.CHAINS))


@dataclasses.dataclass(kw_only=True, slots=True)
class BDMC(_Annealed):
    """Bidirectional Monte Carlo: bounds from both sides (Grosse et al. 2015, section 4; Wu et al. 2017, section 4).

    Chains that run back begin from an exact draw of p(z|x), which only data simulated from the model have: the z
    that x was made of. So it tells how good estimators are on such data, and with it, about how good on others.
    It also gives `importance` and another run of `ais` on the same examples.

    Attributes:
      num_samples: K of the importance sampling beside it.
      max_examples: simulated examples: as many as the split has, but at most so many.
    """

    simulates: ClassVar[bool] = True

    num_samples: int = bounded(5_000, low=1)
    max_examples: int = bounded(200, low=1)

    @property
    def method(self) -> str:
        """How the numbers are made."""
        return (
            "Bidirectional Monte Carlo (Grosse et al. 2015) on examples simulated from the model, not those of the "
            f"split: {self._how}; forward chains give the lower bound, chains back from the z of each example the "
            "upper one, and log_likelihood is half way between them. Beside it, on the same examples, importance "
            f"sampling with K = {self.num_samples} and annealed importance sampling with other draws."
        )

    def estimate(self, vae: VAE, x: tf.Tensor, keys: tf.Tensor, z: tf.Tensor | None) -> dict[str, tf.Tensor]:
        """Columns `lower_bound`, `upper_bound`, `log_likelihood` half way, and those of `importance` and `ais`."""
        path = self._path(vae, x)
        step_sizes = self._step_sizes(path, keys)
        forward = self._forward(path, keys, step_sizes, (base.START, base.CHAINS))
        again = self._forward(path, keys, step_sizes, (base.SECOND_START, base.SECOND_CHAINS))
        y = tf.tile(path.space.y(z)[None], [self.num_chains, 1, 1])
        # All reversed: each weight is an unbiased estimate of 1 / p(x), so minus its log is one from above.
        log_inverse, _ = annealing.anneal(
            path, y, self._betas[::-1], step_sizes[::-1], base.chain_seed(keys, base.BACKWARD)
        )
        backward = _bound(log_inverse)
        lower, upper = forward["log_likelihood"], -backward["log_likelihood"]
        importance = Importance(num_samples=self.num_samples).estimate(vae, x, keys, None)
        return {
            "log_likelihood": 0.5 * (lower + upper),
            "monte_carlo_variance": 0.25 * (forward["monte_carlo_variance"] + backward["monte_carlo_variance"]),
            "lower_bound": lower,
            "lower_bound_variance": forward["monte_carlo_variance"],
            "upper_bound": upper,
            "upper_bound_variance": backward["monte_carlo_variance"],
            "effective_sample_size": forward["effective_sample_size"],
            "acceptance": forward["acceptance"],
            "effective_sample_size_backward": backward["effective_sample_size"],
            **{f"{name}_importance": importance[name] for name in _SHARED},
            **{f"{name}_ais": again[name] for name in _SHARED},
        }

    def summary(self, columns: Columns) -> dict[str, Any]:
        """The two bounds with their errors, the gap between them, and the other estimators on the same examples."""
        bounds: dict[str, Any] = {}
        for name in ("lower_bound", "upper_bound"):
            bounds |= average(columns, name, f"{name}_variance")
        return {
            **bounds,
            "gap": bounds["upper_bound"] - bounds["lower_bound"],
            "gap_standard_error": standard_error(columns["upper_bound"] - columns["lower_bound"]),
            "gap_monte_carlo_error": _joint_error(bounds, "lower_bound", "upper_bound"),
            **_Annealed.summary(self, columns),
            **{tag: _other(columns, tag) for tag in ("importance", "ais")},
        }

    def warnings(self, vae: VAE, columns: Columns) -> list[str]:
        """Those of its parts, and where an estimator that must lie in the bracket does not."""
        back = {**columns, "effective_sample_size": columns["effective_sample_size_backward"]}
        found = [
            *_Annealed.warnings(self, vae, columns),
            *(f"chains back: {text}" for text in _Annealed.warnings(self, vae, back) if "weight" in text),
            *(
                f"importance: {text}"
                for text in degenerated(columns["effective_sample_size_importance"], self.num_samples)
            ),
        ]
        summary = self.summary(columns)
        for tag in ("importance", "ais"):
            for bound, sign in (("lower_bound", 1.0), ("upper_bound", -1.0)):
                outside = sign * (summary[bound] - summary[tag]["log_likelihood"])
                errors = np.stack([columns[f"{bound}_variance"], columns[f"monte_carlo_variance_{tag}"]])
                error = float(np.sqrt(np.nansum(errors)) / errors.shape[1])
                # One sample has no error: how far it may lie outside is not known.
                if not np.isnan(errors).all(axis=1).any() and outside > _FAR * error:
                    found.append(
                        f"{tag} lies {outside:.3g} nats outside the bracket, beyond its {bound}, where the error is "
                        f"{error:.2g}: take more temperatures or chains"
                    )
        return found


def _joint_error(found: dict[str, Any], *names: str) -> float | None:
    """The Monte Carlo error of a difference of independent figures; None where one is unknown."""
    errors = [found[f"{name}_monte_carlo_error"] for name in names]
    return None if None in errors else float(np.sqrt(np.sum(np.square(errors))))


def _bound(log_weights: tf.Tensor) -> dict[str, tf.Tensor]:
    """The log of the mean weight of the chains `[num_chains, rows]`, and its error."""
    effective = base.effective_sample_size(log_weights)
    return {
        "log_likelihood": base.log_mean(log_weights),
        "effective_sample_size": effective,
        "monte_carlo_variance": base.variance_of_log_mean(effective, int(log_weights.shape[0])),
    }


def _other(columns: Columns, tag: str) -> dict[str, Any]:
    """What another estimator found on the same examples."""
    names = ("log_likelihood", "monte_carlo_variance")
    return average({name: columns[f"{name}_{tag}"] for name in names})
