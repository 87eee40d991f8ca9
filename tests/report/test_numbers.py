import math

import pytest

from tests.report.common import plain
from tfvae.report.numbers import number, tick, title, words


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        # two digits of the error, and the value to the same place
        (-22.558859, 0.215684, "-22.56 ± 0.22"),
        (-1234.56, 12.3, "-1,235 ± 12"),
        (-1234.56, 123.4, "-1,235 ± 123"),
        (0.5, 0.000123456, "0.50000 ± 0.00012"),
        (93, 1.25, "93.0 ± 1.2"),
        (3.14159, 0.0, "3.142"),
        (3.14159, None, "3.142"),
        (3.14159, math.nan, "3.142"),
        # four digits where there is no error
        (-22.889530, None, "-22.89"),
        (0.50852428, None, "0.5085"),
        (0.00012345, None, "0.0001234"),
        (1.2e-9, None, "1.20e-09"),
        (-2.5e12, None, "-2.50e+12"),
        (12345.6, None, "12,346"),
        (0.0, None, "0"),
        (-0.0, None, "0"),
        (297, None, "297"),
        (-5076, None, "-5,076"),
        (None, None, "none"),
        (None, 0.1, "none"),
        (True, None, "yes"),
        (False, 0.1, "no"),
        (math.nan, 0.1, "not a number"),
        (math.inf, None, "∞"),
        (-math.inf, None, "-∞"),
        ("pixels", 0.1, "pixels"),
    ],
)
def test_numbers_have_sensible_digits(value, error, expected):
    assert plain(number(value, error)) == expected


def test_ticks_are_short():
    assert [plain(tick(value)) for value in (-23.0, 0.0, 0.30000000000000004, 1.5)] == ["-23", "0", "0.3", "1.5"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("kl_per_dimension", "KL per dimension"), ("num_samples", "samples"), ("linear", "linear"), ("_", "_"), ("", "")],
)
def test_names_are_read_as_words(name, expected):
    assert words(name) == expected
    assert title(name) == expected[:1].upper() + expected[1:]
