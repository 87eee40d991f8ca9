import dataclasses
import importlib
import json
import math
import warnings

import numpy as np
import pytest
import tf_keras
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests import linear_gaussian
from tests.helpers import small_vae
from tfvae import VAE, config, data, likelihoods, networks, posteriors, priors
from tfvae.build import build_vae
from tfvae.config import DataConfig
from tfvae.data import DataSet, Split
from tfvae.data.pipeline import Preparation
from tfvae.data.storage import Arrays
from tfvae.evaluation.common import NotApplicable, encode_split
from tfvae.evaluation.feature_space import Examples
from tfvae.evaluation.representation import representation

module = importlib.import_module("tfvae.evaluation.representation")
FEATURES = ("posterior_mean", "pixels", "pca")


@pytest.fixture(autouse=True)
def without_xla(monkeypatch):
    """Compiling takes seconds each time."""
    monkeypatch.setattr(VAE, "use_jit", lambda self, jit_compile: False)


@pytest.fixture(autouse=True)
def without_warnings():
    """None may come out, not even of scikit-learn's own lines."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def a_dataset(train, test, **fields):
    """Of (x, labels), or x alone without labels; the validation split is the test split."""
    train, test = (part if isinstance(part, tuple) else (part, None) for part in (train, test))

    def split(name, x, labels):
        storage = Arrays.build(np.asarray(x, np.float32), labels)
        as_they_are = Preparation(scale="none")
        return Split(name=name, source="made", storage=storage, preparation=as_they_are, split_seed=0)

    parts = {"train": train, "validation": test, "test": test}
    splits = {name: split(name, *part) for name, part in parts.items()}
    common = {"name": "made", "item_shape": train[0].shape[1:], "num_levels": None, "label_names": ()}
    return DataSet(**common | fields, **splits)


# x = W z + u: u is orthogonal to W, is large, and tells nothing of the class, which is the corner that z lies in.
NUISANCE = np.linalg.svd(linear_gaussian.W)[0][:, linear_gaussian.LATENT :]


def corners(count, seed, *, scale=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, count)
    z = 3.0 * np.stack([labels // 2, labels % 2], axis=1) - 1.5 + 0.3 * rng.normal(size=(count, 2))
    u = scale * 20.0 * rng.normal(size=(count, NUISANCE.shape[1]))
    return (z @ linear_gaussian.W.T + linear_gaussian.B + u @ NUISANCE.T).astype(np.float32), labels


@dataclasses.dataclass
class Known:
    """What a measure needs of a model whose posterior means are a known linear function of x."""

    gain: np.ndarray = dataclasses.field(default_factory=lambda: linear_gaussian.GAIN)
    num_labels: int = 0
    latent_size: int = linear_gaussian.LATENT


@pytest.fixture
def known(monkeypatch):
    """The class `Known`, for tests that are not about encoders: to trace one takes a second."""

    def means(self, vae, *, seed=0):
        return ((self.flat - linear_gaussian.B) @ vae.gain.T).astype(np.float32)

    monkeypatch.setattr(Examples, "posterior_means", means)
    return Known


@pytest.fixture(scope="module")
def found():
    """The model's code is z, from which all can be read; PCA of its size sees the nuisance."""
    dataset = a_dataset(corners(300, 0), corners(150, 1))
    return representation(linear_gaussian.make_vae(), dataset, dataset.test)


def test_what_a_code_keeps_is_told_beside_pixels_and_pca(found):
    probe, votes, majority = found["linear_probe"], found["nearest_neighbours"], found["majority"]
    assert probe["posterior_mean"] == 1.0 and votes["posterior_mean"] == 1.0
    assert probe["pixels"] > 0.95  # linear in x, but far from its nearest neighbours
    assert all(value < 0.45 for value in (votes["pixels"], probe["pca"], votes["pca"], majority["accuracy"]))


def test_it_says_what_and_how_many(found):
    assert json.loads(json.dumps(found)) == found
    assert (found["split"], found["num_train"], found["num_test"]) == ("test", 300, 150)
    assert (found["num_neighbours"], found["pca_size"]) == (5, 2)
    assert "150 examples of the test split" in found["method"] and "300 examples" in found["method"]
    assert found["linear_probe"]["converged"] == dict.fromkeys(FEATURES, True)


def test_standard_errors_are_binomial(found):
    assert found["linear_probe"]["posterior_mean_standard_error"] == 0.0
    for part in (found["linear_probe"], found["nearest_neighbours"], found["majority"]):
        for name in set(part) & {*FEATURES, "accuracy"}:
            error = math.sqrt(part[name] * (1 - part[name]) / 150)
            assert part[f"{name}_standard_error"] == pytest.approx(error)


def test_a_code_that_keeps_nothing_is_worth_the_majority(known):
    dataset = a_dataset(corners(200, 0), corners(100, 1))
    blind = known(gain=np.zeros_like(linear_gaussian.GAIN))
    found = representation(blind, dataset, dataset.test)
    assert found["linear_probe"]["posterior_mean"] == found["majority"]["accuracy"]
    most = np.bincount(corners(200, 0)[1]).argmax()
    assert found["majority"]["accuracy"] == np.mean(corners(100, 1)[1] == most)


def test_features_are_standardised_for_the_probe_and_not_for_neighbours(known):
    """Half of what the class is lies in a latent of a hundred-thousandth of the other's scale."""
    dataset = a_dataset(corners(300, 0), corners(150, 1))
    found = representation(known(gain=linear_gaussian.GAIN * [[1.0], [1e-5]]), dataset, dataset.test)
    assert found["linear_probe"]["posterior_mean"] == 1.0
    assert found["nearest_neighbours"]["posterior_mean"] < 0.8


def test_the_numbers_on_the_digits_are_those_of_scikit_learn():
    dataset = data.load(DataConfig(source="digits", binarization="static"))
    vae = small_vae(dataset.item_shape)
    found = representation(vae, dataset, dataset.test, max_train=200, max_test=90)
    (train, learned), (test, true) = (part.examples(n, labels=True) for part, n in
                                      ((dataset.train, 200), (dataset.test, 90)))  # fmt: skip
    codes = [encode_split(vae, part).mean[:n] for part, n in ((dataset.train, 200), (dataset.test, 90))]
    for name, (a, b) in {"pixels": (train.reshape(200, -1), test.reshape(90, -1)), "posterior_mean": codes}.items():
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(a, learned)
        # A code near a border may fall on either side of it by rounding.
        assert found["linear_probe"][name] == pytest.approx(probe.score(b, true), abs=1.5 / 90)
        votes = KNeighborsClassifier(5).fit(a, learned)
        assert found["nearest_neighbours"][name] == pytest.approx(votes.score(b, true), abs=1.5 / 90)
    assert (found["num_train"], found["num_test"]) == (200, 90)
    assert found["linear_probe"]["pixels"] > found["majority"]["accuracy"] + 0.3


def test_examples_beyond_the_caps_count_nothing(known):
    (x, labels), (y, true) = corners(120, 0), corners(80, 1)
    whole = a_dataset((x, labels), (y, true))
    cut = a_dataset((x[:60], labels[:60]), (y[:50], true[:50]))
    found = [representation(known(), part, part.test, max_train=60, max_test=50) for part in (whole, cut)]
    assert found[0] == found[1]


def test_of_the_training_split_no_example_is_learned_and_tested(known):
    """Labels without any rule: what was learned would be told again by its nearest neighbour, itself."""
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(401, 5)), rng.integers(0, 4, 401)
    dataset = a_dataset((x, labels), (x, labels))
    vae = known()
    found = representation(vae, dataset, dataset.train, num_neighbours=1)
    assert (found["num_test"], found["num_train"]) == (200, 201)
    assert all(found["nearest_neighbours"][name] < 0.4 for name in FEATURES)
    assert "those after them in the train split" in found["method"]
    # The same by another name, to see that this would be found.
    again = representation(vae, dataset, dataset.test, num_neighbours=1)
    assert all(again["nearest_neighbours"][name] == 1.0 for name in FEATURES)
    few = representation(vae, dataset, dataset.train, max_train=30, max_test=40)
    assert (few["num_test"], few["num_train"]) == (40, 30)


def test_factors_are_told_one_by_one(known):
    rng = np.random.default_rng(0)

    def part(count, seed):
        x, corner = corners(count, seed)
        row, column = corner // 2, corner % 2
        # The first factor has one value, the second is the code's first half, the last cannot be seen.
        grid = (np.zeros_like(row), row, column, rng.integers(0, 3, count))
        return x, np.ravel_multi_index(grid, (1, 2, 2, 3))

    names = ("floor", "row", "column", "noise")
    dataset = a_dataset(part(300, 0), part(150, 1), factor_names=names, factor_sizes=(1, 2, 2, 3))
    # Of z this code has the first number only.
    half = linear_gaussian.GAIN * [[1.0], [0.0]]
    found = representation(known(gain=half), dataset, dataset.test)
    for kind in ("linear_probe", "nearest_neighbours", "majority"):
        assert list(found[kind]) == ["row", "column", "noise"]
    for kind in ("linear_probe", "nearest_neighbours"):
        assert found[kind]["row"]["posterior_mean"] == 1.0
        assert found[kind]["column"]["posterior_mean"] < 0.8 and found[kind]["noise"]["posterior_mean"] < 0.5
    assert found["linear_probe"]["column"]["pixels"] > 0.95
    assert found["majority"]["noise"]["accuracy"] < 0.5 and set(found["linear_probe"]["row"]["converged"]) == {
        *FEATURES
    }
    assert json.loads(json.dumps(found)) == found


def test_a_probe_that_has_not_converged_says_so(known):
    dataset = a_dataset(corners(200, 0), corners(100, 1))
    found = representation(known(), dataset, dataset.test, max_iter=1)
    assert found["linear_probe"]["converged"] == dict.fromkeys(FEATURES, False)


def test_large_images_are_their_first_components(known, monkeypatch):
    x, labels = corners(200, 0, scale=0.01)
    dataset = a_dataset((x, labels), (x[:100], labels[:100]))
    small = representation(known(), dataset, dataset.test)
    assert small["pixels_size"] == 5 and "Pixels are x as the model sees it;" in small["method"]
    monkeypatch.setattr(module, "_MOST_PIXELS", 4)
    monkeypatch.setattr(module, "_COMPONENTS", 3)
    large = representation(known(), dataset, dataset.test)
    assert large["pixels_size"] == 3 and "the first 3 principal components of x" in large["method"]
    assert large["linear_probe"]["pixels"] > 0.95


def test_more_latents_than_examples_or_dimensions():
    rng = np.random.default_rng(0)
    dataset = a_dataset((rng.random((8, 3, 2)), np.arange(8) % 2), (rng.random((5, 3, 2)), np.arange(5) % 2))
    found = representation(small_vae((3, 2), latent_size=9), dataset, dataset.test, seed=2**40 + 1)
    assert found["pca_size"] == 6


def test_where_it_cannot_be_had():
    vae, (x, labels) = linear_gaussian.make_vae(), corners(20, 0)
    for train, reason in (
        (x, "no labels"),
        ((x, labels - 1), "below 0"),
        ((x, 0 * labels), "the 20 training examples have fewer than two classes"),
        ((x[:5], labels[:5]), "5 examples to learn from"),
    ):
        dataset = a_dataset(train, x if train is x else (x, labels))
        with pytest.raises(NotApplicable, match=reason):
            representation(vae, dataset, dataset.test)
    dataset = a_dataset((x, labels), (x * np.nan, labels))
    with pytest.raises(NotApplicable, match="20 of 40 codes are not finite"):
        representation(vae, dataset, dataset.test)
    dataset = a_dataset((x, labels), (x, labels))
    with pytest.raises(NotApplicable, match="conditional"):
        representation(conditional_vae((5,)), dataset, dataset.test)


def conditional_vae(item_shape, *, num_labels=4):
    """A small one of bits."""
    tf_keras.utils.set_random_seed(0)
    parts = config.ModelConfig(
        latent_size=2,
        posterior=posteriors.Normal(),
        prior=priors.StandardNormal(),
        likelihood=likelihoods.Bernoulli(),
        network=networks.MLP(hidden=(8,)),
        conditional=True,
    )
    return build_vae(parts, item_shape, num_labels=num_labels)
