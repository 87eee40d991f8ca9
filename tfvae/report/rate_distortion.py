"""The rate-distortion plot of several models (Alemi et al. 2018, figure 1)."""

import dataclasses
import io
from collections.abc import Sequence
from typing import Any

from tfvae.report.charts import ticks

_SAME_PLACE = 0.02  # share of an axis within which labels would lie on each other


@dataclasses.dataclass(frozen=True)
class Point:
    """One model.

    Attributes:
      label: what stands beside it.
      rate, distortion: nats per example.
    """

    label: str
    rate: float
    distortion: float


def rate_distortion(points: Sequence[Point], *, title: str) -> bytes:
    """Distortion over rate as a PNG file: see `draw`."""
    stream = io.BytesIO()
    # Without the version of matplotlib the same points give the same bytes.
    draw(points, title=title).savefig(stream, format="png", dpi=150, metadata={"Software": None})
    return stream.getvalue()


def draw(points: Sequence[Point], *, title: str) -> Any:
    """Distortion over rate as a matplotlib figure, with lines of equal ELBO.

    Every model has rate + distortion >= H, the entropy of the data (Alemi et al. 2018, section 2): what can be
    reached ends at a line of slope -1, which lies on or below the best line of equal ELBO that was reached.

    Args:
      points: in the order in which a line joins them; at least one.
      title: of the plot.
    """
    # matplotlib takes half a second to load, which other uses of this package need not pay.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 5.0), layout="constrained")
    axes = figure.add_subplot()
    rates, distortions = [p.rate for p in points], [p.distortion for p in points]
    axes.set(xlabel="rate, nats per example", ylabel="distortion, nats per example")
    axes.set_title(title, parse_math=False)  # a dollar sign is one
    axes.set_xlim(*_limits(rates))
    axes.set_ylim(*_limits(distortions))
    _equal_elbo(axes, best=max(-(p.rate + p.distortion) for p in points))
    axes.plot(rates, distortions, "-", color="0.6", linewidth=1, zorder=2)
    axes.plot(rates, distortions, "o", color="#0b62b0", zorder=3, clip_on=False)
    for place, label in _labels(axes, points).items():
        axes.annotate(label, place, (7, 5), textcoords="offset points", fontsize=9)
    return figure


def _labels(axes: Any, points: Sequence[Point]) -> dict[tuple[float, float], str]:
    """Labels by their places; points that lie on each other, such as collapsed models, share one."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    found: dict[tuple[float, float], str] = {}
    for point in points:
        for (rate, distortion), label in found.items():
            apart = max(abs(point.rate - rate) / (right - left), abs(point.distortion - distortion) / (top - bottom))
            if apart < _SAME_PLACE:
                found[rate, distortion] = f"{label}, {point.label}"
                break
        else:
            found[point.rate, point.distortion] = point.label
    return found


def _limits(numbers: Sequence[float]) -> tuple[float, float]:
    """The range of an axis: some room around the numbers, from 0 where they are near it."""
    low, high = min(numbers), max(numbers)
    room = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return (0.0 if 0.0 <= low <= 2 * room else low - room), high + room


def _equal_elbo(axes: Any, *, best: float) -> None:
    """Lines of equal ELBO, distortion = -ELBO - rate, the best one heavier; below it nothing was reached."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    step = ticks(0.0, (right - left) + (top - bottom), count=10)[1]
    for index in range(1, 8):
        elbo = best - index * step
        axes.plot([left, right], [-elbo - left, -elbo - right], color="0.87", linewidth=0.8, zorder=1)
    edge = [-best - left, -best - right]
    axes.fill_between([left, right], edge, min(bottom, *edge), color="0.94", zorder=0, label="reached by none of these")
    axes.plot([left, right], edge, "--", color="0.45", linewidth=1, zorder=1, label=f"ELBO = {best:.2f} nats, the best")
    axes.plot([], [], color="0.87", linewidth=0.8, label=f"lower ELBOs, {step:.3g} nats apart")
    axes.legend(loc="upper right", fontsize=8, frameon=False)
