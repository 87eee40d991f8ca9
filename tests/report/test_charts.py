import math

import pytest

from tests.report.common import plain, read, rows
from tfvae.report import charts


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (0, 5400, 6, [0, 1000, 2000, 3000, 4000, 5000]),
        (-25.8, -22.6, 5, [-25, -24, -23]),
        (0, 1.2, 4, [0, 0.5, 1.0]),
        (-0.9, 0.5, 4, [-0.5, 0, 0.5]),
        (0.1234, 0.1236, 2, [0.1234, 0.1235, 0.1236]),
        (3, 3, 5, [3]),
    ],
)
def test_ticks_are_round_and_inside(low, high, count, expected):
    assert charts.ticks(low, high, count=count) == pytest.approx(expected)


def bar_boxes(svg):
    return [{key: float(bar.attributes[key]) for key in ("x", "y", "width", "height")} for bar in svg.all("rect")]


def test_bars_have_the_heights_of_their_numbers_on_either_side_of_zero():
    svg = read(charts.bars("found", [1.0, -2.0, None, math.nan, 0.5]))
    boxes = bar_boxes(svg)
    assert len(boxes) == 5
    unit = boxes[0]["height"]
    assert unit > 20
    assert [box["height"] for box in boxes] == pytest.approx([unit, 2 * unit, 0, 0, unit / 2], abs=0.02)
    zero = boxes[0]["y"] + unit
    assert boxes[1]["y"] == pytest.approx(zero, abs=0.02)  # downwards from zero
    assert boxes[4]["y"] == pytest.approx(zero - unit / 2, abs=0.02)
    ends = [box["x"] + box["width"] for box in boxes]
    assert all(end < box["x"] for end, box in zip(ends, boxes[1:], strict=False))
    assert svg.all("rect")[1].text() == "1: -2.000"
    label = plain(svg.all("svg")[0].attributes["aria-label"])
    assert label == "found: 1.000, -2.000, none, not a number, 0.5000"


def test_bars_of_nothing_but_zeros_or_very_many():
    assert [box["height"] for box in bar_boxes(read(charts.bars("found", [0.0, 0.0])))] == [0, 0]
    many = read(charts.bars("found", list(range(1000))))
    assert len(many.all("rect")) == 400
    assert "the first 400 of 1000" in many.all("svg")[0].attributes["aria-label"]
    assert len(many.all("text")) < 30  # numbers under the bars do not overlap


def test_marked_bars_are_filled_and_others_quiet():
    svg = read(charts.bars("found", [1.0, 2.0], marked=[False, True]))
    assert [bar.attributes["class"] for bar in svg.all("rect")] == ["bar quiet", "bar"]


def points(svg):
    return [
        [tuple(map(float, p.split(","))) for p in line.attributes["points"].split()] for line in svg.all("polyline")
    ]


def test_lines_go_through_their_points():
    svg = read(
        charts.lines("elbo", {"train": [(0, -3.0), (50, -2.0), (100, -1.0)], "validation": [(100, -3.0)]}, mark=50)
    )
    train, validation = points(svg)
    (x0, y0), (x1, y1), (x2, y2) = train
    assert x0 < x1 < x2 and y0 > y1 > y2  # upwards is less in SVG
    assert (x1, y1) == pytest.approx(((x0 + x2) / 2, (y0 + y2) / 2), abs=0.1)
    assert validation == [(x2, y0)]
    assert len(svg.all("circle")) == 1  # one point is seen too
    mark = svg.all("line", class_="mark")
    assert [float(line.attributes["x1"]) for line in mark] == pytest.approx([x1], abs=0.1)
    assert plain(svg.all("svg")[0].attributes["aria-label"]) == (
        "ELBO over 100 optimizer steps; at the end: train -1.000, validation -3.000"
    )


def test_the_steep_start_does_not_set_the_range():
    line = [(step, -1000.0 if step < 3 else -20.0 - 1 / step) for step in range(100)]
    drawn = points(read(charts.lines("elbo", {"train": line})))[0]
    height = max(y for _, y in drawn[5:]) - min(y for _, y in drawn[5:])
    assert height > 100


def test_numbers_that_are_not_finite_are_left_out():
    svg = read(charts.lines("loss", {"train": [(0, 1.0), (1, math.nan), (2, math.inf), (3, 2.0)]}))
    assert len(points(svg)[0]) == 2
    assert read(charts.lines("loss", {"train": [(0, math.nan)]})).text() == "loss: no finite numbers"


def test_a_matrix_is_the_darker_the_larger():
    table = read(charts.matrix([[1, -4.0], [None, 2.0]]))
    assert rows(table) == [["", "0", "1"], ["0", "1", "-4.000"], ["1", "none", "2.000"]]
    assert [cell.attributes["style"] for cell in table.all("td")] == [
        "--share:25%", "--share:100%", "--share:0%", "--share:50%",
    ]  # fmt: skip
