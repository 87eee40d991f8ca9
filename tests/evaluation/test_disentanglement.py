"""Metrics of disentanglement: perfect, useless, degenerate and entangled codes, and known answers."""

import json
import math
import warnings

import numpy as np
import pytest
import tensorflow_probability as tfp
import tf_keras
from sklearn.metrics import mutual_info_score

from tfvae import VAE, data
from tfvae.config import DataConfig
from tfvae.evaluation import disentanglement_metrics as metrics
from tfvae.evaluation.common import NotApplicable
from tfvae.evaluation.disentanglement import disentanglement
from tfvae.posteriors import IndependentNormal

SIZES = (3, 4, 6)
RNG = np.random.default_rng(0)
FACTORS = np.stack([RNG.integers(size, size=1200) for size in SIZES], axis=-1)
PERFECT = (FACTORS - FACTORS.mean(axis=0)) / FACTORS.std(axis=0)
NOISE = RNG.normal(size=(1200, 4))
# Each latent is an equal mixture of all factors.
ROTATION = np.array([[2, 2, -1], [2, -1, 2], [-1, 2, 2]]) / 3
ROTATED = PERFECT @ ROTATION

NAMES = ("mig", "modularity", "sap", "disentanglement", "completeness", "informativeness", "factor_vae")


def scores(codes, factors=FACTORS, **kwargs):
    """All metrics, by `NAMES`; any warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return {
            "mig": metrics.mutual_information_gap(codes, factors),
            "modularity": metrics.modularity(codes, factors),
            "sap": metrics.separated_attribute_predictability(codes, factors, **kwargs),
            **metrics.dci(codes, factors, **kwargs),
            "factor_vae": metrics.factor_vae_score(codes, factors, **kwargs),
        }


def assert_scores(found, tolerance=0.02, **expected):
    assert tuple(found) == NAMES and all(type(value) is float and 0.0 <= value <= 1.0 for value in found.values())
    for name, value in expected.items():
        assert abs(found[name] - value) <= tolerance, (name, found[name], value)


# Perfect, useless and entangled codes -----------------------------------------


@pytest.mark.parametrize(
    "codes",
    [
        FACTORS,
        PERFECT[:, [2, 0, 1]] * [0.01, -30.0, 1.0] + [5.0, 0.0, -2.0],
        (PERFECT + 0.02 * NOISE[:, :3]).astype(np.float32),
        np.concatenate([NOISE[:, :2], PERFECT, np.ones((1200, 2))], axis=1),
    ],
    ids=["factors", "permuted", "noisy", "among useless ones"],
)
def test_a_perfect_code_has_one_in_all(codes):
    assert_scores(scores(codes), 0.04, **dict.fromkeys(NAMES, 1.0))


def test_a_useless_code_has_zero_in_all_and_chance_in_factor_vae():
    assert_scores(scores(NOISE), 0.05, **dict.fromkeys(NAMES, 0.0) | {"factor_vae": 1 / 3})


def test_chance_is_not_rewarded_with_few_examples():
    rng = np.random.default_rng(1)
    factors, noise = rng.integers(8, size=(150, 4)), rng.normal(size=(150, 10))
    assert_scores(scores(noise, factors), 0.1, **dict.fromkeys(NAMES, 0.0) | {"factor_vae": 1 / 4})


def test_a_rotated_code_is_worse_where_axes_count():
    perfect, rotated = scores(PERFECT), scores(ROTATED)
    for name in ("mig", "modularity", "sap", "disentanglement", "completeness"):
        assert rotated[name] < perfect[name] - 0.3, name
    # All is there still, though not in one latent.
    assert rotated["informativeness"] > 0.9


def test_a_code_that_holds_all_twice():
    # Gaps close; each latent still serves one factor, while a factor is spread over two of six latents.
    expected = {"mig": 0, "sap": 0, "modularity": 1, "disentanglement": 1, "informativeness": 1, "factor_vae": 1}
    found = scores(np.concatenate([PERFECT, -2 * PERFECT], axis=1))
    assert_scores(found, **expected)
    # One of two equal latents takes a share between none and a half of the importance.
    assert 1 - math.log(2) / math.log(6) - 0.02 <= found["completeness"] <= 0.9


def test_a_latent_of_two_factors():
    bits = np.random.default_rng(2).integers(2, size=(2000, 3))
    codes = np.stack([bits[:, 0] + 2 * bits[:, 1], bits[:, 2]], axis=-1)
    # The first latent shares itself between two factors of three, and has two thirds of all importance.
    shared = 1 - math.log(2) / math.log(3)
    assert_scores(
        scores(codes, bits),
        mig=1,
        modularity=(0.5 + 1) / 2,
        disentanglement=shared * 2 / 3 + 1 / 3,
        completeness=1,
        informativeness=1,
        factor_vae=2 / 3,  # one of the two factors is always taken for the other
    )


def test_modularity_squares_information():
    rng = np.random.default_rng(6)
    factors = np.stack([rng.integers(4, size=4000), rng.integers(2, size=4000)], axis=-1)
    both = factors @ [2, 1]
    # I = log 4 and log 2: one is half of the other. A latent that tells of nothing is not counted.
    assert metrics.modularity(both[:, None], factors) == pytest.approx(1 - 0.5**2, abs=0.01)
    useless = np.stack([both, rng.normal(size=4000), np.ones(4000)], axis=-1)
    assert metrics.modularity(useless, factors) == pytest.approx(1 - 0.5**2, abs=0.01)


def test_sap_is_the_gap_of_balanced_accuracies():
    rng = np.random.default_rng(3)
    rare = (rng.random(20_000) < 0.1).astype(int)
    # Right for 90 % and for 70 % of each value, as if all values were equally frequent: 0.8 and 0.4 above guessing.
    codes = np.stack([np.where(rng.random(20_000) < share, rare, 1 - rare) for share in (0.9, 0.7)], axis=-1)
    assert abs(metrics.separated_attribute_predictability(codes, rare[:, None]) - 0.4) < 0.03
    assert abs(metrics.separated_attribute_predictability(codes[:, :1], rare[:, None]) - 0.8) < 0.03


# Mutual information -----------------------------------------------------------


def test_mutual_information_is_that_of_counts_with_millers_correction():
    codes = np.stack([FACTORS[:, 0] + (NOISE[:, 0] > 1), FACTORS[:, 1] // 2 + (NOISE[:, 1] > 0)], axis=-1)
    found = metrics.mutual_information(codes, FACTORS)
    assert found.shape == (2, 3)

    def miller(*columns):
        occurring = np.unique(np.stack(columns), axis=1).shape[1]
        joined = np.unique(np.stack(columns), axis=1, return_inverse=True)[1]
        return mutual_info_score(joined, joined) + (occurring - 1) / (2 * len(joined))

    for latent, factor in ((0, 0), (1, 1)):
        z, v = codes[:, latent], FACTORS[:, factor]
        assert found[latent, factor] == pytest.approx(miller(z) + miller(v) - miller(z, v), abs=1e-9)
    assert (found[[0, 0, 1, 1], [1, 2, 0, 2]] == 0).all()  # independent


def test_bins_have_one_width():
    values = np.array([0.0, 0.04, 0.06, 0.52, 0.99, 1.0] * 40)
    factor = np.array([0, 0, 1, 2, 3, 3] * 40)
    found = metrics.mutual_information(np.stack([values, 7 - 3 * values], axis=-1), factor[:, None])
    entropy = metrics.mutual_information(factor[:, None], factor[:, None])
    np.testing.assert_allclose(found, np.broadcast_to(entropy, (2, 1)), rtol=1e-12)
    coarse = metrics.mutual_information(values[:, None], factor[:, None], num_bins=2)
    assert coarse[0, 0] == pytest.approx(math.log(2) + 1 / 480, abs=1e-9)  # two values of three each are one bin


def test_independent_latents_have_none_of_it():
    rng = np.random.default_rng(4)
    for _ in range(20):
        assert not metrics.mutual_information(rng.normal(size=(500, 5)), rng.integers(9, size=(500, 3))).any()


# Degenerate codes and factors -------------------------------------------------


@pytest.mark.parametrize("codes", [np.full((1200, 4), 0.1, np.float32), np.full((1200, 1), 1e6), np.zeros((1200, 2))])
def test_constant_codes(codes):
    assert_scores(scores(codes), 1e-12, **dict.fromkeys(NAMES, 0.0) | {"factor_vae": 1 / 3})
    jitter = codes + 1e-8 * codes * np.random.default_rng(5).normal(size=codes.shape)
    assert scores(jitter) == scores(codes)


def test_a_dead_latent_changes_nothing():
    dead = np.concatenate([np.full((1200, 1), 0.3), ROTATED], axis=1)
    found, expected = scores(dead), scores(ROTATED)
    # The same importances are more concentrated among four latents than among three.
    expected["completeness"] = 1 - (1 - expected["completeness"]) * math.log(3) / math.log(4)
    assert_scores(found, **expected)


def test_fewer_latents_than_factors():
    assert_scores(
        scores(PERFECT[:, :2]),
        0.05,
        mig=2 / 3, sap=2 / 3, modularity=1, informativeness=2 / 3, factor_vae=2 / 3,
        # The factor that is not there is split by both latents alike.
        completeness=2 / 3, disentanglement=1 - (math.log(3) - 2 / 3 * math.log(2)) / math.log(3),
    )  # fmt: skip


def test_a_single_latent():
    assert_scores(
        scores(PERFECT[:, 1:2]), 0.05, mig=1 / 3, sap=1 / 3, modularity=1, completeness=1, informativeness=1 / 3,
        factor_vae=1 / 3,
    )  # fmt: skip


def test_a_factor_of_one_value_is_left_out():
    constant = np.full((1200, 1), 5)
    assert scores(ROTATED, np.concatenate([FACTORS[:, :1], constant, FACTORS[:, 1:]], axis=1)) == scores(ROTATED)
    assert set(scores(PERFECT, constant).values()) == {0.0}


def test_one_factor():
    assert_scores(scores(PERFECT, FACTORS[:, :1]), **dict.fromkeys(NAMES, 1.0))


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_few_examples(n):
    assert_scores(scores(NOISE[:n], FACTORS[:n]))
    assert_scores(scores(PERFECT[:n], FACTORS[:n]))


def test_values_need_not_be_dense():
    assert scores(ROTATED, FACTORS * [7, 1000, 3] + [2, 0, 900]) == scores(ROTATED)


# Invariance -------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed", [ROTATED[:, [2, 0, 1]], -ROTATED, ROTATED * [1e-3, 5.0, 1e3] - 7.0], ids=["permuted", "turned", "scaled"]
)
def test_invariance(changed):
    assert_scores(scores(changed), 0.03, **scores(ROTATED))


def test_seeds():
    noisy = PERFECT + 2.5 * NOISE[:, :3]
    first, other = scores(noisy, seed=1), scores(noisy, seed=2)
    assert scores(noisy, seed=1) == first
    for name in ("sap", "disentanglement", "completeness", "informativeness", "factor_vae"):
        assert 0 < abs(first[name] - other[name]) < 0.05, name


# The measure ------------------------------------------------------------------

KEYS = ["mig", "sap", "dci_disentanglement", "dci_completeness", "dci_informativeness", "factor_vae",
        "factor_vae_chance", "modularity", "mutual_information", "num_examples", "method"]  # fmt: skip


def linear_vae(weights):
    """A VAE whose posterior means are `x @ weights`."""
    size, latent_size = weights.shape
    layers = tf_keras.layers
    encoder = tf_keras.Sequential([layers.InputLayer((size,)), layers.Dense(2 * latent_size)])
    encoder.layers[0].set_weights([np.concatenate([weights, 0 * weights], axis=1), np.zeros(2 * latent_size)])
    encoder.add(IndependentNormal(latent_size))
    decoder = tf_keras.Sequential([layers.InputLayer((latent_size,)), layers.Dense(2 * size)])
    decoder.add(tfp.layers.IndependentNormal(size))
    return VAE(encoder, decoder)


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """`load` of an NPZ file with values x `[n, size]` and these arrays."""
    monkeypatch.setattr(VAE, "use_jit", lambda self, jit_compile: False)

    def load(x, **arrays):
        np.savez(tmp_path / "x.npz", data=x, **arrays)
        return data.load(DataConfig(source=f"npz:{tmp_path / 'x.npz'}", scale="none", split_order="sequential"))

    return load


def test_the_measure(opened):
    dataset = opened(PERFECT, factors=FACTORS, factor_names=np.array(["kind", "size", "place"]))
    vae = linear_vae(np.eye(3)[:, [2, 0, 1]])
    found = disentanglement(vae, dataset, dataset.train)
    assert list(found) == KEYS and json.loads(json.dumps(found)) == found
    for name in (*KEYS[:6], "modularity"):
        assert found[name] > 0.97, name
    # Which latent knows which factor, and how much: all of it.
    for name, latent, size in (("kind", 1, 3), ("size", 2, 4), ("place", 0, 6)):
        information = found["mutual_information"][name]
        assert information[latent] == pytest.approx(math.log(size), abs=0.02) and sorted(information)[:2] == [0, 0]
    assert (found["factor_vae_chance"], found["num_examples"]) == (1 / 3, 960)
    assert "960 examples of the train split against 3 factors" in found["method"]
    few = disentanglement(vae, dataset, dataset.train, max_examples=200)
    assert few == disentanglement(vae, dataset, dataset.train, max_examples=200, batch_size=77) != found


def test_the_measure_takes_so_many_examples_and_its_seed(opened):
    dataset = opened(PERFECT, factors=FACTORS)
    vae = linear_vae(ROTATION)
    found = disentanglement(vae, dataset, dataset.train, max_examples=300, seed=3)
    assert found["num_examples"] == 300 and found["method"].endswith("seed 3.")
    few = scores(ROTATED[:300], FACTORS[:300], seed=3)
    for name, key in (("mig", "mig"), ("sap", "sap"), ("informativeness", "dci_informativeness")):
        assert found[key] == pytest.approx(few[name], abs=0.02), name
    other = disentanglement(vae, dataset, dataset.train, max_examples=300)
    for key in ("sap", "dci_disentanglement", "factor_vae"):
        assert found[key] != other[key], key


def test_not_applicable(opened):
    digits = data.load(DataConfig())  # labelled, but without factors
    with pytest.raises(NotApplicable, match="^the factors of digits are not known; those of the source shapes are"):
        disentanglement(linear_vae(np.eye(3)), digits, digits.test)
    dataset = opened(PERFECT, factors=0 * FACTORS)
    with pytest.raises(NotApplicable, match="^no factor varies among the 120 examples of the test split$"):
        disentanglement(linear_vae(np.eye(3)), dataset, dataset.test)


def test_a_factor_that_does_not_vary_is_not_counted(opened):
    dataset = opened(PERFECT, factors=FACTORS * [1, 0, 1])
    found = disentanglement(linear_vae(np.eye(3)), dataset, dataset.train)
    assert found["factor_vae_chance"] == 0.5 and found["mutual_information"]["factor_1"] == [0, 0, 0]
    assert found["mig"] > 0.97
