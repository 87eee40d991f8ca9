import numpy as np
import pytest

from tfvae.errors import InputError
from tfvae.likelihoods import Bernoulli, Categorical, ContinuousBernoulli, DiscretizedLogistic, Gaussian, Poisson
from tfvae.support import BINARY, COUNTS, REAL, UNIT, Support

LEVELS = DiscretizedLogistic(num_levels=17).support((2,))
BYTES = DiscretizedLogistic().support((2,))
CODES = Categorical(num_categories=10).support((2,))
MIXED = Support(low=np.array([-np.inf, 0.0]), high=np.array([np.inf, 3.0]), step=np.array([0.0, 1.0]))


@pytest.mark.parametrize(
    ("support", "good", "bad"),
    [
        (UNIT, [0, 1, 0.3], [-1e-6, 1.001, np.nan, np.inf]),
        (BINARY, [0, 1], [0.5, 1e-3, 2, -1, np.nan]),
        (COUNTS, [0, 1, 7, 1e6, 2**24], [-1, 0.5, np.inf, np.nan]),
        (REAL, [0, -1e30, 0.1], [np.inf, -np.inf, np.nan]),
        (LEVELS, np.arange(17) / 16, [1 / 32, 17 / 16, -1 / 16, 0.3]),
        (BYTES, np.arange(256) / 255, [0.5, 0.002, np.nan]),
        (DiscretizedLogistic(num_levels=4096).support((2,)), np.arange(4096) / 4095, [0.5, 1.001]),
        (CODES, np.arange(10), [10, -1, 3.5]),
    ],
    ids=["unit", "binary", "counts", "real", "levels", "bytes", "4096 levels", "codes"],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_contains(support, good, bad, dtype):
    good, bad = (np.array([values, values], dtype).T for values in (good, bad))
    assert support.contains(good).all() and support.contains(good).shape == good.shape
    assert not support.contains(bad).any()
    support.check(good, field="data", likelihood="any")


def test_each_dimension_has_its_own_range():
    x = np.array([[-2.5, 3.0], [7.0, 4.0], [np.inf, 1.5]], np.float32)
    np.testing.assert_array_equal(MIXED.contains(x), [[True, True], [True, False], [False, False]])


def test_discrete_is_a_mass_in_every_dimension():
    assert all(support.discrete for support in (BINARY, COUNTS, LEVELS, CODES))
    assert not any(support.discrete for support in (UNIT, REAL, MIXED))


def test_what_an_export_does_between_two_values():
    assert [s.between for s in (BINARY, LEVELS, COUNTS, CODES)] == ["drawn", "rounded", "refused", "refused"]


BINARIZE = "choose data.binarization = 'dynamic' (fresh draws each epoch), 'static' or 'threshold'"


@pytest.mark.parametrize(
    ("component", "value", "line"),
    [
        (Bernoulli(), 0.25, "grey pixels (such as 0.25) for a bernoulli likelihood, expected 0 or 1: " + BINARIZE),
        (Bernoulli(), np.nan, "nan at [1, 0] for a bernoulli likelihood, expected 0 or 1: " + BINARIZE),
        (Bernoulli(), 255, "255 at [1, 0] for a bernoulli likelihood, expected 0 or 1: " + BINARIZE),
        (
            ContinuousBernoulli(),
            1.5,
            "1.5 at [1, 0] for a continuous_bernoulli likelihood, expected numbers from 0 to 1",
        ),
        (Gaussian(), -0.5, "-0.5 at [1, 0] for a gaussian likelihood, expected numbers from 0 to 1"),
        (Gaussian(domain="real"), np.inf, "inf at [1, 0] for a gaussian likelihood, expected finite numbers"),
        (Poisson(), -3, "-3 at [1, 0] for a poisson likelihood, expected whole numbers of at least 0"),
        (Poisson(), 2.5, "2.5 at [1, 0] for a poisson likelihood, expected whole numbers of at least 0"),
        (
            Categorical(num_categories=10),
            10,
            "10 at [1, 0] for a categorical likelihood, expected whole numbers from 0 to 9: "
            "set model.likelihood.num_categories above the largest code",
        ),
        (
            DiscretizedLogistic(num_levels=17),
            0.3,
            "0.3 at [1, 0] for a discretized_logistic likelihood, expected multiples of 1/16 from 0 to 1: "
            "set model.likelihood.num_levels to the data's number of levels",
        ),
    ],
)
def test_one_line_says_what_is_wrong(component, value, line):
    x = np.zeros((3, 2, 2), np.float32)
    component.check(x)
    x[1, 1, 0] = value
    with pytest.raises(InputError) as error:
        component.check(x, field="data.source")
    assert str(error.value) == f"data.source: received {line}"


def test_the_first_bad_value_is_named_with_its_own_range():
    with pytest.raises(InputError) as error:
        MIXED.check(np.array([[0.5, 1.0], [0.5, 9.0], [np.nan, 9.0]]), field="data", likelihood="mixed")
    assert str(error.value) == "data: received 9 at [1] for a mixed likelihood, expected whole numbers from 0 to 3"


def test_a_value_of_one_number_has_no_place():
    with pytest.raises(InputError, match=r"^data: received 7 for a binary likelihood, expected 0 or 1: "):
        BINARY.check(np.array([0.0, 7.0]), field="data", likelihood="binary")


def test_integers_and_booleans_are_numbers_too():
    for values in (np.array([[0, 1]]), np.array([[True, False]]), np.array([[0, 1]], np.uint8)):
        BINARY.check(values, field="data", likelihood="bernoulli")
