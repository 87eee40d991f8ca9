"""What completes binary images without a VAE: means, neighbours, a normal distribution, its components, a filter."""

import dataclasses

import numpy as np
import scipy.ndimage

PARTS = ("half", "quadrant", "lower_half", "noise", "super_resolution")
NUM_COMPONENTS = 50  # of the PCA with a cut-off; its noise is what is left
_CLIPS = (0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3)  # margins from 0 and 1 that are tried
_TUNED_ON = 100  # training images, of which baselines then do not learn
_RIDGE = 1e-3  # added to the variance of each pixel


@dataclasses.dataclass(frozen=True)
class Problem:
    """What was observed.

    Attributes:
      part: one of `PARTS`.
      x: the truth, `[n, 28, 28, 1]`.
      y: what was observed: `[n, ...]`, NaN where nothing was.
      missing: bool `[n, 28, 28, 1]`.
      shown: y of the shape of x.
      sigma, factor: of the noise and the downsampling.
    """

    part: str
    x: np.ndarray
    y: np.ndarray
    missing: np.ndarray
    shown: np.ndarray
    sigma: float
    factor: int

    def again(self, x: np.ndarray) -> "Problem":
        """The same of other images: their masks are the first ones of these."""
        n, missing = len(x), self.missing[: len(x)]
        if self.part == "noise":
            y = shown = x + self.sigma * np.random.default_rng(0).standard_normal(x.shape)
        elif self.part == "super_resolution":
            f = self.factor
            y = x.reshape(n, 28 // f, f, 28 // f, f, 1).mean(axis=(2, 4))
            shown = y.repeat(f, axis=1).repeat(f, axis=2)
        else:
            y = shown = np.where(missing, np.nan, x)
        return Problem(self.part, x, y, missing, shown, self.sigma, f if self.part == "super_resolution" else 1)


def baselines(problem: Problem, training: np.ndarray) -> dict[str, tuple[np.ndarray, float]]:
    """The means of each baseline, `[n, 28, 28, 1]`, and the margin from 0 and 1 that suits training images best."""
    tuning, learned = training[:_TUNED_ON], training[_TUNED_ON:]
    count = min(len(tuning), len(problem.x))
    held_out = problem.again(tuning[:count])
    functions = {"mean": _mean, "nearest neighbour": _nearest, "normal": _normal, "pca": _components}
    if problem.part == "noise":
        functions["median filter"] = _median
    if problem.part == "super_resolution":
        functions["bicubic"] = _bicubic
    found = {}
    for name, function in functions.items():
        before = function(held_out, learned)
        tried = [bernoulli_log_likelihood(before, held_out.x, held_out.missing, clip).mean() for clip in _CLIPS]
        found[name] = np.clip(function(problem, learned), 0.0, 1.0), _CLIPS[int(np.argmax(tried))]
    return found


def bernoulli_log_likelihood(mean: np.ndarray, x: np.ndarray, missing: np.ndarray, clip: float) -> np.ndarray:
    """sum over missing numbers of log Bernoulli(x; mean in [clip, 1 - clip]), `[n]`, nats."""
    p = np.clip(mean, clip, 1.0 - clip).astype(np.float64)
    each = np.where(x > 0.5, np.log(p), np.log1p(-p))
    return np.where(missing, each, 0.0).reshape(len(x), -1).sum(axis=1)


def _mean(problem: Problem, training: np.ndarray) -> np.ndarray:
    return np.broadcast_to(training.mean(axis=0), problem.x.shape)


def _operator(problem: Problem, row: int) -> tuple[np.ndarray, np.ndarray, float]:
    """y = A x + noise of one image: A `[m, 784]`, y `[m]`, and the variance of the noise."""
    if problem.part == "noise":
        return np.eye(784), problem.y[row].ravel(), problem.sigma**2
    if problem.part == "super_resolution":
        f, side = problem.factor, 28 // problem.factor
        place = np.arange(784).reshape(28, 28)
        blocks = place.reshape(side, f, side, f).transpose(0, 2, 1, 3).reshape(-1, f * f)
        matrix = np.zeros((len(blocks), 784))
        np.put_along_axis(matrix, blocks, 1.0 / f**2, axis=1)
        return matrix, problem.y[row].ravel(), 1e-6
    seen = ~problem.missing[row].ravel()
    return np.eye(784)[seen], problem.y[row].ravel()[seen], 0.0


def _nearest(problem: Problem, training: np.ndarray) -> np.ndarray:
    flat, found = training.reshape(len(training), -1).astype(np.float32), np.empty_like(problem.x)
    projected = None
    for row in range(len(problem.x)):
        matrix, y, _ = _operator(problem, row)
        if problem.part == "super_resolution":
            projected = flat @ matrix.T.astype(np.float32) if projected is None else projected
            seen = projected
        else:
            seen = flat if problem.part == "noise" else flat[:, ~problem.missing[row].ravel()]
        distance = (seen**2).sum(axis=1) - 2 * seen @ y.astype(np.float32)
        found[row] = training[np.argmin(distance)]
    return found


def _conditional(problem: Problem, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """E[x|y] of x ~ N(mean, covariance): mean + C A^T (A C A^T + s^2 I)^-1 (y - A mean)."""
    found, gain, before = np.empty((len(problem.x), 784)), None, None
    for row in range(len(problem.x)):
        matrix, y, noise = _operator(problem, row)
        if before is None or before.shape != matrix.shape or not np.array_equal(before, matrix):
            # Rows of the identity choose columns: quicker than the product.
            seen = matrix.argmax(axis=1) if problem.part not in ("noise", "super_resolution") else None
            cross = covariance @ matrix.T if seen is None else covariance[:, seen]
            inner = matrix @ cross if seen is None else cross[seen]
            gain = np.linalg.solve(inner + noise * np.eye(len(y)), cross.T).T
            before = matrix
        assert gain is not None
        found[row] = mean + gain @ (y - matrix @ mean)
    return found.reshape(problem.x.shape)


def _normal(problem: Problem, training: np.ndarray) -> np.ndarray:
    flat = training.reshape(len(training), -1).astype(np.float64)
    return _conditional(problem, flat.mean(axis=0), np.cov(flat.T) + _RIDGE * np.eye(784))


def _components(problem: Problem, training: np.ndarray) -> np.ndarray:
    """Probabilistic PCA (Tipping & Bishop 1999): the first components, and noise of one variance."""
    flat = training.reshape(len(training), -1).astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(flat.T))
    kept, noise = vectors[:, -NUM_COMPONENTS:], values[:-NUM_COMPONENTS].mean()
    covariance = (kept * (values[-NUM_COMPONENTS:] - noise)) @ kept.T + noise * np.eye(784)
    return _conditional(problem, flat.mean(axis=0), covariance)


def _median(problem: Problem, training: np.ndarray) -> np.ndarray:
    return np.stack([scipy.ndimage.median_filter(image[..., 0], size=3)[..., None] for image in problem.y])


def _bicubic(problem: Problem, training: np.ndarray) -> np.ndarray:
    zoom = lambda image: scipy.ndimage.zoom(image[..., 0], problem.factor, order=3, mode="nearest", grid_mode=True)  # noqa: E731
    return np.stack([zoom(image)[..., None] for image in problem.y])
