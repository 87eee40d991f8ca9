import importlib
import json
import warnings

import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tests import linear_gaussian
from tests.evaluation.test_representation import a_dataset, conditional_vae
from tests.helpers import small_vae
from tfvae import VAE, data, likelihoods, random
from tfvae.config import DataConfig
from tfvae.errors import InputError
from tfvae.evaluation import feature_space
from tfvae.evaluation.common import NotApplicable
from tfvae.evaluation.feature_space import Examples, classifier
from tfvae.evaluation.sample_quality import draw_samples, frechet_distance, precision_and_recall, sample_quality
from tfvae.reparameterization import draw_prior

module = importlib.import_module("tfvae.evaluation.sample_quality")
FIGURES = ("frechet_distance", "precision", "recall")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Compiling takes seconds each time, and so does a classifier that learns all it can."""
    monkeypatch.setattr(VAE, "use_jit", lambda self, jit_compile: False)
    monkeypatch.setattr(feature_space, "_GRADIENT_STEPS", 100)


@pytest.fixture(autouse=True)
def without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# The Frechet distance ------------------------------------------------------------


def cloud(mean, covariance_root, *, count=500, seed=0):
    """Points whose mean and covariance are these exactly."""
    size = len(mean)
    x = np.random.default_rng(seed).normal(size=(count, size))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False).reshape(size, size))).T
    return np.asarray(mean) + x @ np.asarray(covariance_root).T


def test_a_shift_is_its_square():
    x = np.random.default_rng(0).normal(size=(300, 4)) @ np.random.default_rng(1).normal(size=(4, 4))
    shift = np.array([1.0, -2.0, 0.5, 0.0])
    assert frechet_distance(x, x + shift) == pytest.approx(shift @ shift)


@pytest.mark.parametrize("size", [1, 3])
def test_diagonal_covariances(size):
    a, b = np.array([1.0, 2.0, 0.3])[:size], np.array([0.5, 3.0, 0.0])[:size]
    x, y = cloud(np.zeros(size), np.diag(a), seed=0), cloud(np.full(size, 2.0), np.diag(b), seed=1, count=200)
    # |m_x - m_y|^2 + sum_j (a_j - b_j)^2
    assert frechet_distance(x, y) == pytest.approx(4.0 * size + np.sum((a - b) ** 2))


def test_covariances_that_do_not_commute():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 4)) @ rng.normal(size=(4, 4)), 1.0 + rng.normal(size=(70, 4)) @ rng.normal(size=(4, 4))
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    gap = x.mean(axis=0) - y.mean(axis=0)
    expected = gap @ gap + np.trace(a + b - 2.0 * scipy.linalg.sqrtm(a @ b).real)
    assert frechet_distance(x, y) == pytest.approx(expected)
    assert frechet_distance(y, x) == pytest.approx(expected)


@pytest.mark.parametrize("rank", [1, 3, 40])
def test_a_set_is_at_no_distance_from_itself_even_with_a_singular_covariance(rank):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, rank)) @ (10.0 * rng.normal(size=(rank, 40)))
    assert 0.0 <= frechet_distance(x, x[::-1]) < 1e-9 * np.trace(np.cov(x, rowvar=False))
    assert frechet_distance(x, np.repeat(x[:1], 5, axis=0)) > 1.0


def test_rounding_leaves_no_distance_below_zero():
    rng = np.random.default_rng(0)
    assert all(frechet_distance(x, x) >= 0.0 for x in (rng.normal(size=(40, 6)) for _ in range(50)))


# Precision and recall ------------------------------------------------------------


def normal(count, seed, size=3):
    return np.random.default_rng(seed).normal(size=(count, size))


def by_definition(real, samples, k):
    """Kynkaanniemi et al. 2019, equations 1 and 2, point by point."""

    def inside(point, manifold):
        for i, center in enumerate(manifold):
            others = np.delete(manifold, i, axis=0)
            if np.linalg.norm(point - center) <= np.sort(np.linalg.norm(others - center, axis=1))[k - 1]:
                return True
        return False

    return (
        np.mean([inside(point, real) for point in samples]),
        np.mean([inside(point, samples) for point in real]),
    )


@pytest.mark.parametrize("k", [1, 3])
def test_they_are_the_definition(k, monkeypatch):
    real, samples = normal(40, 0), 0.3 + 0.7 * normal(31, 1)
    expected = by_definition(real, samples, k)
    assert 0.2 < expected[0] != expected[1] < 0.9
    assert precision_and_recall(real, samples, num_neighbours=k) == pytest.approx(expected)
    monkeypatch.setattr(module, "_DISTANCE_ROWS", 7)
    assert precision_and_recall(real, samples, num_neighbours=k) == pytest.approx(expected)


def test_equal_distributions_have_both():
    assert min(precision_and_recall(normal(800, 0, 2), normal(800, 1, 2))) > 0.9
    # Points many times over, whose balls have no radius: each still lies in its own.
    points = np.repeat(normal(20, 0), 6, axis=0)
    assert precision_and_recall(points, points) == (1.0, 1.0)


def test_one_mode_of_two_has_precision_and_no_recall():
    modes = normal(400, 0) + np.where(np.arange(400) % 2, 50.0, 0.0)[:, None]
    precision, recall = precision_and_recall(modes, 0.5 * normal(400, 1))
    assert precision > 0.95 and 0.1 < recall < 0.5
    swapped = precision_and_recall(0.5 * normal(400, 1), modes)
    assert swapped == (recall, precision)


def test_samples_far_away_have_neither():
    assert precision_and_recall(normal(50, 0), normal(60, 1) + 100.0) == (0.0, 0.0)


# Samples -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vae():
    """A decoder that depends on z much."""
    made = small_vae()
    made.decoder.set_weights([3.0 * weight for weight in made.decoder.get_weights()])
    return made


def test_samples_of_bits_are_bits_and_depend_on_their_place_alone(vae):
    x = draw_samples(vae, 501)
    assert x.shape == (501, 6, 5, 1) and x.dtype == np.float32 and set(np.unique(x)) == {0.0, 1.0}
    np.testing.assert_array_equal(draw_samples(vae, 20), x[:20])
    assert not np.array_equal(x[0], x[500])
    assert np.mean(draw_samples(vae, 20, seed=1) != x[:20]) > 0.1


def test_each_block_has_draws_of_its_own_and_so_has_each_seed(vae, monkeypatch):
    """With one z for all, only the noise of x can tell the blocks apart."""
    monkeypatch.setattr(module, "draw_prior", lambda prior, keys: tf.zeros([tf.shape(keys)[0], 3]))
    x = draw_samples(vae, 1000)
    assert np.mean(x[:500] != x[500:]) > 0.1
    assert np.mean(x[:500] != draw_samples(vae, 500, seed=1)) > 0.1


def test_means_are_those_of_p_x_given_z(vae):
    keys = random.row_keys(4, random.PRIOR, rows=tf.range(7))
    expected = vae.decode(draw_prior(vae.prior, keys)).mean()
    means = draw_samples(vae, 7, draws=False, seed=4)
    np.testing.assert_allclose(means, expected, rtol=1e-5)
    # Draws are around them: over many rows each pixel has its mean.
    many, draws = draw_samples(vae, 4000, draws=False), draw_samples(vae, 4000)
    np.testing.assert_allclose(draws.mean(axis=0), many.mean(axis=0), atol=0.04)
    agreement = np.corrcoef(draws.ravel(), many.ravel())[0, 1]
    assert agreement > 0.3  # the same z in both


def test_labels_go_to_the_decoder():
    labels = np.arange(600) % 4
    found = draw_samples(conditional_vae((6, 5, 1)), 600, labels=labels, draws=False)
    other = draw_samples(conditional_vae((6, 5, 1)), 600, labels=(labels + (np.arange(600) == 550)) % 4, draws=False)
    changed = np.abs(found - other).reshape(600, -1).max(axis=1)
    assert changed[550] > 1e-3 and changed.argmax() == 550 and np.sum(changed > 1e-5) == 1


@pytest.mark.parametrize(
    "likelihood",
    [
        likelihoods.Poisson(),
        likelihoods.NegativeBinomial(),
        likelihoods.Categorical(num_categories=5),
        likelihoods.DiscretizedLogistic(num_levels=17),
        likelihoods.Table(columns=("categorical:3", "poisson", "gaussian")),
    ],
    ids=lambda likelihood: likelihood.tag,
)
def test_draws_lie_where_data_may_lie(likelihood):
    vae = small_vae((3,), likelihood=likelihood)
    x = draw_samples(vae, 40)
    assert x.shape == (40, 3) and np.ptp(x, axis=0).min() > 0.0 and vae.support.contains(x).all()


def test_what_cannot_be_drawn():
    with pytest.raises(NotApplicable, match="bag of words"):
        draw_samples(small_vae((6,), likelihood=likelihoods.Multinomial()), 5)
    small = small_vae()
    strange = tfd.Independent(tfd.VonMises(tf.zeros(3), 1.0), 1)
    with pytest.raises(NotApplicable, match=r"p\(z\) cannot be drawn from: VonMises"):
        draw_samples(type("Model", (), {"prior": strange, "decode": small.decode, "latent_size": 3})(), 5)


# The examples that are compared ------------------------------------------------


def numbered(num_train, num_test, labels=True):
    """Each example holds its own number."""
    train, test = (np.arange(n, dtype=np.float32)[:, None] + first for n, first in ((num_train, 0), (num_test, 1000)))
    return a_dataset(*((x, x[:, 0].astype(np.int64)) if labels else x for x in (train, test)))


def test_parts_are_the_first_and_never_share_an_example():
    dataset = numbered(30, 20)
    tested, training = feature_space.tested_and_training(dataset, dataset.test, max_tested=5, max_training=7)
    assert tested.labels.tolist() == [*range(1000, 1005)] and training.labels.tolist() == [*range(7)]
    tested, training = feature_space.tested_and_training(dataset, dataset.train, max_tested=5, max_training=7)
    assert tested.labels.tolist() == [*range(5)] and training.labels.tolist() == [*range(5, 12)]
    tested, training = feature_space.tested_and_training(dataset, dataset.train, max_tested=50, max_training=70)
    assert tested.labels.tolist() == [*range(15)] and training.labels.tolist() == [*range(15, 30)]
    dataset = numbered(6, 6, labels=False)
    assert feature_space.tested_and_training(dataset, dataset.test, max_tested=9, max_training=9)[0].labels is None


@pytest.mark.parametrize("name", ["test", "train"])
def test_the_reference_is_other_training_examples_than_the_classifier_learns(monkeypatch, vae, name):
    dataset, seen = numbered(700, 150), {}

    def remember(vae, dataset, training, tested, **_):
        seen.update(training=training.labels, tested=tested.labels)
        return feature_space.FeatureSpace("numbers", lambda examples: examples.flat.astype(np.float64))

    def exactly(prefix, real, samples, num_neighbours):
        seen[prefix] = samples[:, 0]
        return {}

    monkeypatch.setattr(module, "feature_space", remember)
    monkeypatch.setattr(module, "_compared", exactly)
    monkeypatch.setattr(module, "draw_samples", lambda vae, count, **_: np.full((count, 1), -1.0, np.float32))
    found = sample_quality(vae, dataset, dataset.split(name), max_train=200)
    count = found["num_examples"]
    assert count == {"test": 150, "train": 175}[name]
    assert len(seen["tested"]) == len(seen["reference_"]) == len(seen[""]) == count
    assert np.all(seen[""] == -1.0) and len(seen["training"]) == {"test": 200, "train": 175}[name]
    together = [*seen["tested"], *seen["reference_"], *seen["training"]]
    assert len(set(together)) == len(together)


# Feature spaces ------------------------------------------------------------------


def test_the_classifier_tells_classes_apart_and_bounds_what_it_has_not_seen():
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    x = np.eye(3)[labels] + 0.2 * rng.normal(size=(300, 3))
    x = np.concatenate([x, np.zeros((300, 1))], axis=1).astype(np.float32)  # one dimension never changes
    space = classifier(Examples(x[:200], labels[:200]), Examples(x[200:], labels[200:]))
    assert "64 ReLU units" in space.description and "200 training examples" in space.description
    assert float(space.description.split()[-1]) > 0.9
    features = space.features(Examples(x[200:], None))
    assert features.shape == (100, 64) and features.dtype == np.float64 and features.min() == 0.0
    means = np.stack([features[labels[200:] == label].mean(axis=0) for label in range(3)])
    nearest = np.linalg.norm(features[:, None] - means, axis=-1).argmin(axis=1)
    assert np.mean(nearest == labels[200:]) > 0.9
    strange = np.array([[0.0, 0.0, 1e6, 1e6]], np.float32)
    assert np.linalg.norm(space.features(Examples(strange, None))) < 5.0 * np.linalg.norm(features, axis=1).max()
    wrong = classifier(Examples(x[:200], labels[:200]), Examples(x[200:], (labels[200:] + 1) % 3))
    assert float(wrong.description.split()[-1]) < 0.1


# The measure ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return data.load(DataConfig(source="digits", binarization="static"))


@pytest.fixture(scope="module")
def digits_vae(digits):
    return small_vae(digits.item_shape)


def test_it_says_what_and_how_many(digits, digits_vae):
    found = sample_quality(digits_vae, digits, digits.test, max_examples=120, max_train=300)
    assert json.loads(json.dumps(found)) == found
    assert (found["split"], found["num_examples"], found["feature_size"]) == ("test", 120, 64)
    assert found["samples"] == "draws from p(x|z)" and found["feature_space"].startswith("classifier: one hidden")
    assert "300 training examples" in found["feature_space"]
    assert all(word in found["method"] for word in ("120 samples", "biased upwards", "3 nearest"))
    # An untrained model's samples are noise: training examples are better in all.
    assert found["frechet_distance"] > 3.0 * found["reference_frechet_distance"]
    assert found["recall"] < found["reference_recall"] and found["precision"] < found["reference_precision"]
    assert min(found["reference_precision"], found["reference_recall"]) > 0.5
    # The classifier and the reference belong to the data; samples have the seed.
    other = sample_quality(digits_vae, digits, digits.test, max_examples=120, max_train=300, seed=1)
    assert other["feature_space"] == found["feature_space"]
    assert all(other[f"reference_{name}"] == found[f"reference_{name}"] for name in FIGURES)
    assert other["frechet_distance"] != found["frechet_distance"]


def test_a_perfect_model_reaches_the_reference(digits, digits_vae, monkeypatch):
    monkeypatch.setattr(module, "draw_samples", lambda vae, count, **_: digits.train.examples(count))
    for space in ("classifier", "posterior_mean"):
        found = sample_quality(digits_vae, digits, digits.test, space=space)
        assert found["num_examples"] == 297
        assert all(found[name] == pytest.approx(found[f"reference_{name}"]) for name in FIGURES)


def test_a_model_of_one_example_has_no_recall(digits, digits_vae, monkeypatch):
    one = digits.test.examples(1)
    monkeypatch.setattr(module, "draw_samples", lambda vae, count, **_: np.repeat(one, count, axis=0))
    found = sample_quality(digits_vae, digits, digits.test)
    assert found["precision"] == 1.0 and found["recall"] <= 2 / 297
    assert found["frechet_distance"] > 5.0 * found["reference_frechet_distance"]


def linear_data(count, seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(count, linear_gaussian.LATENT))
    noise = linear_gaussian.NOISE * rng.normal(size=(count, linear_gaussian.ITEM))
    return (z @ linear_gaussian.W.T + linear_gaussian.B + noise).astype(np.float32)


def test_the_true_model_of_unlabelled_data_is_as_good_as_the_data():
    dataset, true = a_dataset(linear_data(1600, 0), linear_data(800, 1)), linear_gaussian.make_vae()
    found = sample_quality(true, dataset, dataset.test, draws=True)
    assert found["feature_space"].startswith("posterior_mean") and found["feature_size"] == 2
    assert (found["num_examples"], found["samples"]) == (800, "draws from p(x|z)")
    assert found["frechet_distance"] < 0.02 and found["reference_frechet_distance"] < 0.02
    assert min(found["precision"], found["recall"]) > 0.9
    # What is continuous is compared by means unless draws are asked for: those have less variance.
    means = sample_quality(true, dataset, dataset.test)
    assert means["samples"] == "means of p(x|z)"
    assert means["frechet_distance"] > 2.0 * found["frechet_distance"]


def test_a_conditional_model_is_given_the_labels_of_the_examples(monkeypatch):
    rng, seen = np.random.default_rng(0), []
    x, labels = (rng.random((400, 6, 5, 1)) < 0.3).astype(np.float32), np.arange(400) % 4
    dataset = a_dataset((x, labels), (x[:110], (labels[:110] + 1) % 4))

    def remember(vae, count, *, labels, **settings):
        seen.append(labels)
        return draw_samples(vae, count, labels=labels, **settings)

    monkeypatch.setattr(module, "draw_samples", remember)
    for space in ("auto", "posterior_mean"):
        found = sample_quality(conditional_vae((6, 5, 1)), dataset, dataset.test, space=space)
        assert found["samples"] == "draws from p(x|z, y)" and "given the labels" in found["method"]
        np.testing.assert_array_equal(seen.pop(), (labels[:110] + 1) % 4)


def test_labels_that_are_no_classes(vae):
    x = np.zeros((12, 6, 5, 1), np.float32)
    places = {"factor_names": ("shape", "size"), "factor_sizes": (2, 3)}
    for fields, labels, reason in (
        (places, np.arange(12) % 6, "labels of made are places in a grid of factors"),
        ({}, np.zeros(12, np.int64), "fewer than two classes"),
        ({}, np.arange(12) % 6 - 1, "no labels, or some below 0"),
        ({}, None, "no labels"),
    ):
        part = x if labels is None else (x, labels)
        dataset = a_dataset(part, part, **fields)
        parts = feature_space.tested_and_training(dataset, dataset.test, max_tested=12, max_training=12)[::-1]
        found = feature_space.feature_space(vae, dataset, *parts)
        assert found.description.startswith("posterior_mean: this model's own codes, 3 latents")
        with pytest.raises(NotApplicable, match=reason):
            feature_space.feature_space(vae, dataset, *parts, space="classifier")


def test_where_it_cannot_be_had(digits, digits_vae, monkeypatch):
    with pytest.raises(NotApplicable, match="99 examples can be compared.* at least 100 are needed"):
        sample_quality(digits_vae, digits, digits.test, max_examples=99)
    small = a_dataset(digits.train.examples(198), digits.test.examples(297))
    with pytest.raises(NotApplicable, match="99 examples can be compared"):
        sample_quality(digits_vae, small, small.test)
    with pytest.raises(InputError, match="^space: received 'inception', expected one of: auto, classifier, post"):
        sample_quality(digits_vae, digits, digits.test, max_examples=100, space="inception")
    bad = digits.test.examples(100)
    bad[3:5, 0] = np.nan
    monkeypatch.setattr(module, "draw_samples", lambda *_, **__: bad)
    with pytest.raises(NotApplicable, match="2 of 100 samples of the model are not finite"):
        sample_quality(digits_vae, digits, digits.test, max_examples=100)
