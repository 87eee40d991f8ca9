"""How the model's samples differ from the data: Frechet distance, precision and recall in a declared feature space."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae import random
from tfvae.data import DataSet, Split
from tfvae.evaluation.common import NotApplicable
from tfvae.evaluation.feature_space import Examples, feature_space, joined, one_thread, tested_and_training
from tfvae.likelihoods.counts import BagOfWords
from tfvae.reparameterization import draw_prior
from tfvae.rows import plain_rows
from tfvae.vae import VAE

MIN_EXAMPLES = 100  # fewer say little of a covariance

# x is drawn for this many rows at a time, so that it does not depend on how many are asked for.
_BLOCK = 500
_DISTANCE_ROWS = 1_000  # of a matrix of distances at once: bounds memory


def sample_quality(
    vae: VAE,
    dataset: DataSet,
    split: Split,
    *,
    seed: int = 0,
    max_examples: int = 5_000,
    max_train: int = 10_000,
    num_neighbours: int = 3,
    space: str = "auto",
    draws: bool | None = None,
    drawn: Callable[[int], np.ndarray] | None = None,
) -> dict[str, Any]:
    """Compares samples of the model with as many examples of a split, in a feature space that the result names.

    The Frechet distance here is no FID: that one has the features of another network. For scale it
    stands beside a reference, the same numbers of training examples in the place of samples.

    Args:
      vae: the model; a conditional one is given the labels of the split's examples.
      dataset: its training split gives the reference, and what a classifier learns from.
      split: the examples to compare with; of the training split other examples serve as reference.
      seed: of the samples.
      max_examples: of the split, and as many samples.
      max_train: examples for the classifier.
      num_neighbours: k of precision and recall.
      space: `classifier` (a small network of this project that has learned the labels), `posterior_mean` (this
        model's own codes) or `auto`: the classifier where labels are classes.
      draws: whether samples are draws from p(x|z), or its means; None: draws where any dimension of x is discrete, as
        0 and 1 are, else means.
      drawn: n to n samples, `[n, *item_shape]`, made in another way; None: from p(z) and p(x|z).

    Raises:
      NotApplicable: where the model cannot be sampled, or there are fewer than `MIN_EXAMPLES` examples.
      InputError: for a `space` that is none of these.

    Returns:
      `frechet_distance` (squared, in units of the features), `precision` and `recall` (shares, 0 to 1), the same with
      `reference_`, and what was compared: `num_examples` of each, `samples`, `feature_space`, `feature_size`.
    """
    tested, others = tested_and_training(dataset, split, max_tested=max_examples, max_training=max_examples + max_train)
    count = min(len(tested), len(others) // 2)
    if count < MIN_EXAMPLES:
        raise NotApplicable(
            f"{count} examples can be compared, of the {split.name} split and as many of the training split beside "
            f"those for a classifier; at least {MIN_EXAMPLES} are needed"
        )
    tested, reference, training = tested[:count], others[:count], others[count:][:max_train]
    draws = bool(np.any(np.asarray(vae.support.step) > 0)) if draws is None else draws
    labels = tested.labels if vae.num_labels else None
    x = draw_samples(vae, count, labels=labels, draws=draws, seed=seed) if drawn is None else drawn(count)
    bad = int(np.sum(~np.isfinite(x.reshape(count, -1)).all(axis=1)))
    if bad:
        raise NotApplicable(f"{bad} of {count} samples of the model are not finite")
    with one_thread():
        chosen = feature_space(vae, dataset, training, tested, space=space, seed=seed)
        features = chosen.features(joined(tested, Examples(x, tested.labels), reference))
        real, samples, other = np.split(features, 3)
        figures = {
            **_compared("", real, samples, num_neighbours),
            **_compared("reference_", real, other, num_neighbours),
        }
    where = "" if drawn else " at z ~ p(z)" + (", given the labels of the examples," if vae.num_labels else "")
    return {
        "split": split.name,
        "num_examples": count,
        "samples": ("draws from" if draws else "means of") + (" p(x|z, y)" if vae.num_labels else " p(x|z)")
        if drawn is None
        else "given",
        "feature_space": chosen.description,
        "feature_size": features.shape[1],
        **figures,
        "method": (
            f"{count} samples{where} against the "
            f"first {count} examples of the {split.name} split, and as reference {count} training examples against "
            "the same ones. The Frechet distance is the squared one of Gaussians fitted to the features; it is biased "
            "upwards by finite numbers, about as much as the reference. "
            f"Precision and recall by {num_neighbours} nearest neighbours (Kynkaanniemi et al. 2019)."
        ),
    }


def _compared(prefix: str, real: np.ndarray, samples: np.ndarray, num_neighbours: int) -> dict[str, float]:
    """Features `[n, size]` of real examples and of samples by all three figures."""
    precision, recall = precision_and_recall(real, samples, num_neighbours=num_neighbours)
    figures = {"frechet_distance": frechet_distance(real, samples), "precision": precision, "recall": recall}
    return {prefix + name: value for name, value in figures.items()}


def draw_samples(
    vae: VAE, count: int, *, labels: np.ndarray | None = None, draws: bool = True, seed: int = 0
) -> np.ndarray:
    """x ~ p(x|z), or the means of p(x|z) as `generate` of an export gives them, at z ~ p(z).

    Args:
      vae: the model.
      count: n; the first samples are the same however many are drawn.
      labels: integers `[n]`, of a conditional model.
      draws: whether x is drawn.
      seed: of the samples.

    Raises:
      NotApplicable: where p(z) or p(x|z) cannot be drawn from.

    Returns:
      float32 `[n, *item_shape]`.
    """
    if isinstance(_likelihood_at_zero(vae), BagOfWords):
        raise NotApplicable("the total of a bag of words is no part of the model, which so draws no bags")

    # Not under XLA, where TFP's samplers give other numbers from the same seed.
    @tf.function(autograph=False)
    def block(first: tf.Tensor, given: tf.Tensor | None) -> tf.Tensor:
        keys = random.row_keys(seed, random.PRIOR, rows=first + tf.range(_BLOCK, dtype=tf.int64))
        with plain_rows(_BLOCK, labels=given).current():
            likelihood = vae.decode(draw_prior(vae.prior, keys))
        key = tf.bitcast(random.fold_in(keys, random.EVALUATION)[0], tf.int32)
        return tf.cast(likelihood.sample(seed=key) if draws else likelihood.mean(), tf.float32)

    try:
        draw_prior(vae.prior, random.row_keys(seed, random.PRIOR, rows=tf.range(1)))
    except (TypeError, NotImplementedError) as error:
        raise NotApplicable(f"p(z) cannot be drawn from: {error}") from error
    found = []
    for first in range(0, count, _BLOCK):
        # Rows after the last repeat labels, and leave at the end.
        given = None if labels is None else tf.constant(np.resize(labels[first : first + _BLOCK], _BLOCK), tf.int64)
        try:
            found.append(block(tf.constant(first, tf.int64), given).numpy())
        except NotImplementedError as error:
            raise NotApplicable(f"p(x|z) cannot be drawn from: {error}") from error
    return np.concatenate(found)[:count]


def _likelihood_at_zero(vae: VAE) -> tfd.Distribution:
    with plain_rows(1, labels=tf.zeros([1], tf.int64)).current():
        return vae.decode(tf.zeros([1, vae.latent_size]))


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """The squared Frechet distance of the Gaussians with the moments of x and y (Dowson & Landau 1982).

    Args:
      x, y: float64 `[n, size]` and `[m, size]`, at least two rows each; covariances may be singular.

    Returns:
      at least 0, and 0 for equal moments, up to rounding.
    """
    gap = x.mean(axis=0) - y.mean(axis=0)
    root_x, root_y = _root(x), _root(y)
    # tr (S_x^1/2 S_y S_x^1/2)^1/2: the roots of the eigenvalues of the symmetric product are the singular values of
    # S_x^1/2 S_y^1/2, which are found without squaring, and so to twice the digits where covariances are singular.
    cross = np.linalg.svd(root_x @ root_y, compute_uv=False).sum()
    # |m_x - m_y|^2 + tr S_x + tr S_y - 2 tr (S_x^1/2 S_y S_x^1/2)^1/2
    return max(0.0, float(gap @ gap + np.sum(root_x**2) + np.sum(root_y**2) - 2.0 * cross))


def _root(x: np.ndarray) -> np.ndarray:
    """The symmetric root of the covariance of x `[n, size]`, `[size, size]`."""
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(x, rowvar=False)))
    # Rounding leaves eigenvalues of singular covariances a little below zero.
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def precision_and_recall(real: np.ndarray, samples: np.ndarray, *, num_neighbours: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkaanniemi et al. 2019, equations 1 and 2).

    The manifold of a set is the union of balls around its points, each reaching to the point's k-th nearest neighbour
    in the set. Precision is the share of samples in the manifold of the real ones, recall that of real ones in the
    manifold of the samples.

    Args:
      real, samples: float64 `[n, size]` and `[m, size]`, more than `num_neighbours` each.
      num_neighbours: k.
    """
    real_radii, sample_radii = (_radii(points, num_neighbours) for points in (real, samples))
    in_real = np.zeros(len(samples), bool)
    in_samples = []
    for start, distances in _distances(real, samples):
        in_real |= (distances <= real_radii[start : start + len(distances), None]).any(axis=0)
        in_samples.append((distances <= sample_radii).any(axis=1))
    return float(in_real.mean()), float(np.concatenate(in_samples).mean())


def _radii(points: np.ndarray, num_neighbours: int) -> np.ndarray:
    """The distance of each of `[n, size]` to its k-th nearest neighbour among the others, `[n]`."""
    # The nearest of all, at distance 0, is the point itself.
    parts = [np.partition(rows, num_neighbours, axis=1)[:, num_neighbours] for _, rows in _distances(points, points)]
    return np.concatenate(parts)


def _distances(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Rows of the matrix of distances of `[n, size]` and `[m, size]`: (number of the first, `[rows, m]`)."""
    # Not by |x|^2 - 2 x y + |y|^2, which is not 0 for equal points: digits drawn twice, or dead ReLUs.
    from scipy.spatial.distance import cdist  # slow to import

    for start in range(0, len(x), _DISTANCE_ROWS):
        yield start, cdist(x[start : start + _DISTANCE_ROWS], y)
