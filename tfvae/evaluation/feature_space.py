"""Where measures of representations and samples get their examples, and the features that samples are compared by."""

import contextlib
import dataclasses
import warnings
from collections.abc import Callable

import numpy as np

from tfvae.data import DataSet, Split
from tfvae.data.pipeline import Preparation
from tfvae.data.storage import Arrays
from tfvae.errors import InputError
from tfvae.evaluation.common import NotApplicable, encode_split
from tfvae.vae import VAE

SPACES = ("auto", "classifier", "posterior_mean")

_HIDDEN_UNITS = 64
_GRADIENT_STEPS = 2_000
_BATCH_SIZE = 200
# A pixel that one example in a thousand has would lie at 30 standard deviations where it is set.
_FARTHEST = 5.0


@dataclasses.dataclass(frozen=True)
class Examples:
    """Prepared examples, as a model sees them.

    Attributes:
      x: float32 `[n, *item_shape]`.
      labels: int64 `[n]`, or None.
    """

    x: np.ndarray
    labels: np.ndarray | None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, which: slice) -> "Examples":
        return Examples(self.x[which], None if self.labels is None else self.labels[which])

    @property
    def flat(self) -> np.ndarray:
        """x as vectors, float32 `[n, dimensions]`."""
        return self.x.reshape(len(self.x), -1)

    def posterior_means(self, vae: VAE, *, seed: int = 0) -> np.ndarray:
        """The mean of q(z|x) of each, float32 `[n, latent_size]`; `seed`: see `encode_split`.

        Raises:
          NotApplicable: where one is not finite.
        """
        storage, as_they_are = Arrays.build(self.x, self.labels), Preparation(scale="none")
        split = Split(name="test", source="examples", storage=storage, preparation=as_they_are, split_seed=0)
        means = encode_split(vae, split, seed=seed).mean
        bad = int(np.sum(~np.isfinite(means).all(axis=1)))
        if bad:
            raise NotApplicable(f"{bad} of {len(self)} codes are not finite")
        return means


def joined(*parts: Examples) -> Examples:
    """All of them, in order; labels where all have them."""
    labels = [part.labels for part in parts if part.labels is not None]
    x = np.concatenate([part.x for part in parts])
    return Examples(x, np.concatenate(labels) if len(labels) == len(parts) else None)


def one_thread() -> contextlib.AbstractContextManager:
    """One thread for NumPy's and scikit-learn's linear algebra.

    Small matrices wait for the threads of a busy machine, which took a training ten times as long; and sums do not
    depend on the number of cores.
    """
    from threadpoolctl import threadpool_limits  # a part of scikit-learn's installation

    return threadpool_limits(1)


def tested_and_training(
    dataset: DataSet, split: Split, *, max_tested: int, max_training: int
) -> tuple[Examples, Examples]:
    """The first examples of a split, and the first of the training split, none in both.

    Of the training split itself the first half at most is tested, and those after it are for training.

    Args:
      dataset: whose training split it is.
      split: the examples that are looked at.
      max_tested, max_training: how many at most.
    """
    # Public sets hide labels of theirs by -1.
    labelled = all(part.has_labels and part.storage.smallest_label() >= 0 for part in (dataset.train, split))

    def read(source: Split, count: int) -> Examples:
        found = source.examples(count, labels=labelled)
        return Examples(*found) if labelled else Examples(found, None)

    if split.name != dataset.train.name:
        return read(split, max_tested), read(dataset.train, max_training)
    count = min(max_tested, split.num_examples // 2)
    both = read(split, count + max_training)
    return both[:count], both[count:]


@dataclasses.dataclass(frozen=True)
class FeatureSpace:
    """Vectors that examples are compared by.

    Attributes:
      description: what they are, in words.
      features: examples -> float64 `[n, size]`.
    """

    description: str
    features: Callable[[Examples], np.ndarray]


def feature_space(
    vae: VAE, dataset: DataSet, training: Examples, tested: Examples, *, space: str = "auto", seed: int = 0
) -> FeatureSpace:
    """The space that is asked for; `auto`: that of the classifier where labels are classes, else the model's codes.

    Args:
      vae: the model.
      dataset: whose labels they are.
      training: what a classifier is trained on.
      tested: other examples, for its accuracy.
      space: one of `SPACES`.
      seed: see `encode_split`.

    Raises:
      InputError: for another `space`.
      NotApplicable: where the classifier is asked for and labels are no classes.
    """
    if space not in SPACES:
        raise InputError(f"space: received {space!r}, expected one of: {', '.join(SPACES)}")
    without = _why_no_classifier(dataset, training)
    if space == "classifier" and without:
        raise NotApplicable(f"a classifier has no feature space here: {without}")
    if space == "classifier" or (space == "auto" and not without):
        return classifier(training, tested)
    return FeatureSpace(
        f"posterior_mean: this model's own codes, {vae.latent_size} latents; "
        "numbers in it do not compare between models",
        lambda examples: examples.posterior_means(vae, seed=seed).astype(np.float64),
    )


def _why_no_classifier(dataset: DataSet, training: Examples) -> str:
    """Why labels cannot be learned as classes; empty where they can."""
    if training.labels is None:
        return f"{dataset.name} has no labels, or some below 0"
    if dataset.factor_names:
        return f"labels of {dataset.name} are places in a grid of factors, and no classes"
    if len(np.unique(training.labels)) < 2:
        return f"the {len(training)} training examples have fewer than two classes"
    return ""


def classifier(training: Examples, tested: Examples) -> FeatureSpace:
    """The hidden layer of a small network that has learned the labels.

    Its seed is fixed and it knows nothing of the model: numbers compare between all models of the same data, prepared
    in the same way. x is standardised by the training examples and cut off at 5 standard deviations.

    Args:
      training: labelled examples of at least two classes; the network learns them.
      tested: other labelled examples, for the accuracy that the description states.
    """
    # Slow to import, and of use to few measures.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(training.flat)

    def inputs(examples: Examples) -> np.ndarray:
        return np.clip(scaler.transform(examples.flat), -_FARTHEST, _FARTHEST)

    steps_per_epoch = -(-len(training) // _BATCH_SIZE)
    epochs = -(-_GRADIENT_STEPS // steps_per_epoch)
    network = MLPClassifier(
        (_HIDDEN_UNITS,),
        activation="relu",
        batch_size=min(_BATCH_SIZE, len(training)),
        max_iter=epochs,
        n_iter_no_change=epochs,
        random_state=0,
    )
    with warnings.catch_warnings():
        # It learns for a number of steps that is fixed beforehand, and is not meant to converge.
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(inputs(training), training.labels)
    accuracy = float(np.mean(network.predict(inputs(tested)) == tested.labels))

    def features(examples: Examples) -> np.ndarray:
        # h = max(0, W^T x + b)
        return np.maximum(inputs(examples) @ network.coefs_[0] + network.intercepts_[0], 0.0).astype(np.float64)

    return FeatureSpace(
        f"classifier: one hidden layer of {_HIDDEN_UNITS} ReLU units, learned from the labels of {len(training)} "
        f"training examples, test accuracy {accuracy:.3f}",
        features,
    )
