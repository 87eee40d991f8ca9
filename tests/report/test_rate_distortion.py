import io

import numpy as np
import pytest
from PIL import Image

from tfvae.report import Point, rate_distortion
from tfvae.report.rate_distortion import draw

POINTS = [Point("0.1", 16.0, 13.0), Point("1", 4.2, 18.6), Point("10", 0.5, 24.0)]


@pytest.fixture(scope="module")
def axes():
    return draw(POINTS, title="digits: objective.kl_weight").axes[0]


def test_each_point_lies_where_it_should_with_its_label(axes):
    [drawn] = [line for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(drawn.get_xydata(), [(p.rate, p.distortion) for p in POINTS])
    assert {text.get_text(): text.xy for text in axes.texts} == {p.label: (p.rate, p.distortion) for p in POINTS}


def test_points_on_each_other_share_a_label():
    points = [*POINTS, Point("30", 0.5001, 24.0001), Point("100", 0.5, 24.0)]
    assert [text.get_text() for text in draw(points, title="t").axes[0].texts] == ["0.1", "1", "10, 30, 100"]


def test_the_dashed_line_is_the_best_elbo(axes):
    [best] = [line for line in axes.lines if line.get_linestyle() == "--"]
    rates, distortions = best.get_data()
    np.testing.assert_allclose(np.add(rates, distortions), 22.8)
    assert "-22.80" in best.get_label()


def test_the_other_diagonals_are_of_lower_elbos(axes):
    faint = [line for line in axes.lines if line.get_color() == "0.87" and len(line.get_xdata())]
    sums = [np.unique(np.round(np.add(*line.get_data()), 9)) for line in faint]
    assert all(len(one) == 1 and one[0] > 22.8 for one in sums) and len(sums) > 3


def test_axes_are_in_nats_and_hold_all_points(axes):
    assert axes.get_xlabel() == "rate, nats per example" and axes.get_ylabel() == "distortion, nats per example"
    assert axes.get_title() == "digits: objective.kl_weight"
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert all(left < p.rate < right and bottom < p.distortion < top for p in POINTS)


@pytest.mark.parametrize("points", [POINTS, POINTS[:1], [POINTS[1], POINTS[1]]])
def test_the_file_is_a_picture_and_the_same_each_time(points):
    made = rate_distortion(points, title="digits")
    assert Image.open(io.BytesIO(made)).size == (1050, 750)
    assert made == rate_distortion(points, title="digits")


def test_a_title_is_no_formula():
    rate_distortion(POINTS, title="$\\frac{$")
