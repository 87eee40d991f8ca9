"""What simple classifiers read from the codes of a model, beside raw x and PCA."""

import math
import warnings
from typing import Any

import numpy as np

from tfvae.data import DataSet, Split
from tfvae.evaluation.common import NotApplicable
from tfvae.evaluation.feature_space import joined, one_thread, tested_and_training
from tfvae.vae import VAE

_SEEDS = 2**32  # of scikit-learn
# A linear probe of as many pixels as a large image has takes minutes; its first components tell nearly the same.
_MOST_PIXELS = 1_024
_COMPONENTS = 256

Pair = tuple[np.ndarray, np.ndarray]  # of training and tested examples


def representation(
    vae: VAE,
    dataset: DataSet,
    split: Split,
    *,
    seed: int = 0,
    max_train: int = 10_000,
    max_test: int = 5_000,
    num_neighbours: int = 5,
    max_iter: int = 500,
) -> dict[str, Any]:
    """The accuracy of a linear probe and of nearest neighbours on posterior means, pixels and PCA.

    Args:
      vae: the model.
      dataset: its training split is what both learn from.
      split: what they are tested on; of the training split the first half at most, and they learn from the others.
      seed: of the codes, where no closed form of q's mean is known, and of PCA.
      max_train, max_test: examples at most.
      num_neighbours: k.
      max_iter: iterations of the linear probe at most; the result says whether it has converged.

    Raises:
      NotApplicable: for data without labels, or with fewer than two classes, and for conditional models.

    Returns:
      `linear_probe` and `nearest_neighbours`: the accuracy (a share, 0 to 1) on `posterior_mean`, `pixels` and `pca`,
      each with its `_standard_error`, and of the linear probe `converged` for each; `majority`: `accuracy` of the most
      frequent class. Where the factors behind the data are known, all this for each factor by its name. Pixels of
      examples with more than 1,024 of them are their first 256 principal components.
    """
    if vae.num_labels:
        raise NotApplicable("the model is conditional: its code is that of x given the label, and need not tell it")
    tested, training = tested_and_training(dataset, split, max_tested=max_test, max_training=max_train)
    if training.labels is None or tested.labels is None:
        raise NotApplicable(f"{dataset.name} has no labels, or some below 0")
    if len(tested) < 1 or len(training) <= num_neighbours:
        raise NotApplicable(
            f"{len(training)} examples to learn from and {len(tested)} to test on; more than {num_neighbours} and at "
            "least one are needed"
        )
    targets = _targets(dataset, training.labels, tested.labels)
    if not targets:
        raise NotApplicable(f"the {len(training)} training examples have fewer than two classes")
    pixels, dimensions = (training.flat, tested.flat), training.flat.shape[1]
    codes = joined(training, tested).posterior_means(vae, seed=seed)
    probes, votes, majority = {}, {}, {}
    with one_thread():
        features = {
            "posterior_mean": (codes[: len(training)], codes[len(training) :]),
            "pixels": pixels if dimensions <= _MOST_PIXELS else _pca(pixels, _COMPONENTS, seed),
            "pca": _pca(pixels, vae.latent_size, seed),
        }
        neighbours = {name: _neighbours(pair, num_neighbours) for name, pair in features.items()}
        for name, (learned, true) in targets.items():
            fitted = {which: _linear_probe(pair, learned, max_iter) for which, pair in features.items()}
            probes[name] = _accuracies({which: said for which, (said, _) in fitted.items()}, true)
            probes[name]["converged"] = {which: converged for which, (_, converged) in fitted.items()}
            votes[name] = _accuracies({which: _vote(learned[near]) for which, near in neighbours.items()}, true)
            majority[name] = _accuracies({"accuracy": _vote(learned[None])}, true)
    where = "those after them in" if split.name == dataset.train.name else "the first of"
    x = "x as the model sees it"
    if dimensions > _MOST_PIXELS:
        components = features["pixels"][0].shape[1]
        x = f"the first {components} principal components of {x}, in place of its {dimensions} values"
    # Labels that are classes stand alone below, factors by their names.
    return {
        "split": split.name,
        "num_train": len(training),
        "num_test": len(tested),
        "num_neighbours": num_neighbours,
        "pixels_size": features["pixels"][0].shape[1],
        "pca_size": features["pca"][0].shape[1],
        "linear_probe": probes.get("", probes),
        "nearest_neighbours": votes.get("", votes),
        "majority": majority.get("", majority),
        "method": (
            f"Accuracy on the first {len(tested)} examples of the {split.name} split, learned from {len(training)} "
            f"examples, {where} the train split: logistic regression (L2, C = 1) on standardised features, and votes "
            f"of the {num_neighbours} nearest neighbours by Euclidean distance of features as they are. Pixels "
            f"are {x}; standard errors are binomial."
        ),
    }


def _targets(dataset: DataSet, learned: np.ndarray, true: np.ndarray) -> dict[str, Pair]:
    """What is to be told, by its name ("" for a label): integers `[n]` each; what is constant is left out."""
    if not dataset.factor_names:
        found = {"": (learned, true)}
    else:
        columns = [dataset.factors(labels).T for labels in (learned, true)]
        found = dict(zip(dataset.factor_names, zip(*columns, strict=True), strict=True))
    return {name: pair for name, pair in found.items() if len(np.unique(pair[0])) > 1}


def _pca(pixels: Pair, size: int, seed: int) -> Pair:
    """The first `size` principal components of the training examples, or as many as there are."""
    from sklearn.decomposition import PCA  # slow to import, as is all of scikit-learn

    training, tested = pixels
    model = PCA(min(size, *training.shape), random_state=seed % _SEEDS).fit(training)
    return model.transform(training), model.transform(tested)


def _linear_probe(features: Pair, learned: np.ndarray, max_iter: int) -> tuple[np.ndarray, bool]:
    """What logistic regression says of the tested examples, `[n]`, and whether it has converged."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=max_iter))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ConvergenceWarning)
        probe.fit(features[0], learned)
    return probe.predict(features[1]), not any(issubclass(one.category, ConvergenceWarning) for one in told)


def _neighbours(features: Pair, count: int) -> np.ndarray:
    """The places of the training examples that are nearest to each of the tested ones, `[n, count]`."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=count).fit(features[0]).kneighbors(features[1], return_distance=False)


def _vote(labels: np.ndarray) -> np.ndarray:
    """The most frequent of integers in each row of `[n, voters]`, `[n]`; of several the smallest."""
    return np.array([np.bincount(row).argmax() for row in labels])


def _accuracies(said: dict[str, np.ndarray], true: np.ndarray) -> dict[str, Any]:
    """The share of `true` `[n]` that is said, with the error of a binomial share."""
    found: dict[str, Any] = {}
    for name, labels in said.items():
        share = float(np.mean(labels == true))
        # sqrt(p (1 - p) / n)
        found |= {name: share, f"{name}_standard_error": math.sqrt(share * (1.0 - share) / len(true))}
    return found
