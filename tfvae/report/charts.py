"""Small charts as inline SVG, coloured by the page's style, so that they follow light and dark."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tfvae.report.curves import Line
from tfvae.report.markup import Markup, element, join
from tfvae.report.numbers import is_number, number, tick, words

_WIDTH, _HEIGHT = 340.0, 200.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 10.0, 10.0, 24.0
_MOST_BARS = 400
_START = 0.05  # share of a run whose steep start does not set the range of a chart


def ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """About `count` round numbers in [low, high]: steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if rough <= factor * power * (1 + 1e-9))
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def lines(name: str, drawn: Mapping[str, Line], *, mark: int | None = None) -> Markup:
    """Lines over optimizer steps.

    Args:
      name: of what is drawn.
      drawn: name of each line -> (step, value); its place tells its colour, also where it has no points.
      mark: a step to mark by an upright line, or None.
    """
    finite = {key: [point for point in line if math.isfinite(point[1])] for key, line in drawn.items()}
    points = [point for line in finite.values() for point in line]
    if not points:
        return element("p", f"{words(name)}: no finite numbers", class_="muted")
    last = max(step for step, _ in points)
    # The first steps fall from far away, and all that follows would be a flat line.
    settled = [value for step, value in points if step >= _START * last]
    low, high = _padded(min(settled), max(settled))
    x, y = _scale(0, last, _LEFT, _WIDTH - _RIGHT), _scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    ink = [_horizontal(y(value), tick(value)) for value in ticks(low, high)]
    ink += [_text(x(step), _HEIGHT - 8, _short(step), anchor="middle") for step in ticks(0, last, count=6)]
    if mark is not None and 0 <= mark <= last:
        ink.append(element("line", x1=x(mark), x2=x(mark), y1=_TOP, y2=_HEIGHT - _BOTTOM, class_="mark"))
    inside = []
    for index, line in enumerate(finite.values()):
        if not line:
            continue
        path = " ".join(f"{x(step):.1f},{min(max(y(value), -1e4), 1e4):.1f}" for step, value in line)
        inside.append(element("polyline", points=path, class_=f"line line-{index % 2}"))
        if len(line) == 1:  # no line shows one point
            inside.append(element("circle", cx=x(line[0][0]), cy=y(line[0][1]), r=3, class_=f"dot-{index % 2}"))
    ends = ", ".join(f"{key} {number(line[-1][1])}" for key, line in finite.items() if line)
    label = f"{words(name)} over {last} optimizer steps; at the end: {ends}"
    return _figure(ink, label, inside=inside)


def bars(name: str, values: Sequence[Any], *, marked: Sequence[bool] | None = None) -> Markup:
    """One bar for each number, numbered from 0; what is no finite number has none.

    Args:
      name: of the numbers.
      values: numbers, or None; of more than 400 the first are shown.
      marked: which bars to fill; None: all.
    """
    shown = list(values[:_MOST_BARS])
    heights = [float(v) if is_number(v) and math.isfinite(v) else 0.0 for v in shown]
    low, high = min(0.0, *heights, 0.0), max(0.0, *heights, 0.0)
    if low == high:
        high = 1.0
    y = _scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    slot = (_WIDTH - _LEFT - _RIGHT) / max(len(shown), 1)
    every = max(1, math.ceil(len(shown) / 16))
    ink = [_horizontal(y(value), tick(value)) for value in ticks(low, high, count=4)]
    for index, (value, height) in enumerate(zip(shown, heights, strict=True)):
        left, width = _LEFT + slot * index, min(slot * 0.8, 40.0)
        bar = element(
            "rect", element("title", f"{index}: {number(value)}"),
            x=f"{left + (slot - width) / 2:.2f}", width=f"{width:.2f}",
            y=f"{min(y(0), y(height)):.2f}", height=f"{abs(y(height) - y(0)):.2f}",
            class_="bar" if marked is None or marked[index] else "bar quiet",
        )  # fmt: skip
        ink.append(bar)
        if index % every == 0:
            ink.append(_text(left + slot / 2, _HEIGHT - 8, str(index), anchor="middle"))
    rest = f"; the first {len(shown)} of {len(values)}" if len(shown) < len(values) else ""
    label = f"{words(name)}: {', '.join(number(v) for v in shown[:20])}{', ...' if len(shown) > 20 else ''}{rest}"
    return _figure(ink, label)


def matrix(values: Sequence[Sequence[Any]]) -> Markup:
    """Rows of numbers as a table whose cells are the darker the larger they are in absolute value."""
    largest = max((abs(v) for row in values for v in row if is_number(v) and math.isfinite(v)), default=0.0) or 1.0

    def cell(value: Any) -> Markup:
        share = abs(value) / largest if is_number(value) and math.isfinite(value) else 0.0
        return element("td", number(value), style=f"--share:{100 * share:.0f}%")

    head = element("tr", element("th"), *(element("th", i, scope="col") for i in range(len(values[0]))))
    rows = [element("tr", element("th", i, scope="row"), *map(cell, row)) for i, row in enumerate(values)]
    return element("div", element("table", head, *rows, class_="matrix"), class_="scroll")


def _padded(low: float, high: float) -> tuple[float, float]:
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _scale(low: float, high: float, start: float, end: float) -> Any:
    """The map of [low, high] to [start, end]."""
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def _short(step: float) -> str:
    """A number of steps: 25,000 as 25k."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if step >= size:
            return f"{step / size:g}{letter}"
    return f"{step:g}"


def _horizontal(y: float, label: str) -> Markup:
    line = element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid")
    return join(line, _text(_LEFT - 6, y + 3.5, label, anchor="end"))


def _text(x: float, y: float, text: str, *, anchor: str) -> Markup:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)


def _figure(ink: Sequence[Markup], label: str, *, inside: Sequence[Markup] = ()) -> Markup:
    """The SVG of a chart; what is `inside` the axes is cut off at them."""
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    frame = element(
        "svg", *inside, x=_LEFT, y=_TOP, width=width, height=height, viewBox=f"{_LEFT} {_TOP} {width} {height}"
    )
    viewed = f"0 0 {_WIDTH:g} {_HEIGHT:g}"
    return element("svg", *ink, frame if inside else None, viewBox=viewed, role="img", aria_label=label, class_="chart")
