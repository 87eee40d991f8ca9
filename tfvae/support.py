"""Where data may lie: the values of x that a likelihood has a density or mass at."""

import dataclasses
from typing import Any

import numpy as np

from tfvae.errors import InputError

# How far, in steps, a value may lie from its level: float32 moves it by 1.2e-4 where there are 4096 in [0, 1].
TOLERANCE = 2e-4


@dataclasses.dataclass(frozen=True, eq=False)  # arrays do not compare
class Support:
    """A range for each dimension of x, and the spacing of values in it.

    Attributes:
      low, high: the range, as numbers or arrays `[*item_shape]`; infinite where there is no limit.
      step: values are `low` plus whole multiples of it; 0: any number of the range. A number or array.
      between: what an export does with a number of the range between two values: "refused", "rounded" to
        the nearest, or "drawn": one of the two, at random, as a grey pixel is drawn to 0 or 1.
      hint: ends the message about values outside, such as which field to set.
    """

    low: Any = 0.0
    high: Any = 1.0
    step: Any = 0.0
    between: str = "refused"
    hint: str = ""

    @property
    def discrete(self) -> bool:
        """Whether p(x|z) is a mass in every dimension."""
        return bool(np.all(np.asarray(self.step) > 0))

    def contains(self, values: np.ndarray) -> np.ndarray:
        """Which of `values` `[n, *item_shape]` lie in it: bool of that shape."""
        inside = np.isfinite(values) & (values >= self.low) & (values <= self.high)
        step = np.asarray(self.step, np.float64)
        places = np.where(inside, values, 0.0) - np.where(np.isfinite(self.low), self.low, 0.0)
        places = places / np.where(step > 0, step, 1.0)
        return inside & ((step == 0.0) | (np.abs(places - np.round(places)) <= TOLERANCE))

    def fault(self, values: np.ndarray) -> tuple[str, str] | None:
        """The first of the examples' numbers, `[n, *item_shape]`, that is outside, and what it should be, in words."""
        good = self.contains(values)
        if good.all():
            return None
        place = tuple(map(int, np.argwhere(~good)[0]))
        value, at = values[place], place[1:]
        low, high, step = (float(np.broadcast_to(a, values.shape[1:])[at]) for a in (self.low, self.high, self.step))
        grey = self.between == "drawn" and low < value < high
        seen = f"grey pixels (such as {value:g})" if grey else f"{value:g}{f' at {list(at)}' if at else ''}"
        return seen, _describe(low, high, step)

    def check(self, values: np.ndarray, *, field: str, likelihood: str) -> None:
        """Checks examples `[n, *item_shape]`; raises `InputError` that begins with `field`."""
        fault = self.fault(values)
        if fault is None:
            return
        hint = f": {self.hint}" if self.hint else ""
        raise InputError(f"{field}: received {fault[0]} for a {likelihood} likelihood, expected {fault[1]}{hint}")


def _describe(low: float, high: float, step: float) -> str:
    """The values of one dimension in words."""
    if step and high == low + step:
        return f"{low:g} or {high:g}"
    if not step:
        kind = "numbers" if np.isfinite([low, high]).any() else "finite numbers"
    else:
        kind = "whole numbers" if step == 1 else f"multiples of 1/{1 / step:g}"
    ends = {
        (True, True): f" from {low:g} to {high:g}", (True, False): f" of at least {low:g}",
        (False, True): f" of at most {high:g}", (False, False): "",
    }  # fmt: skip
    return kind + ends[bool(np.isfinite(low)), bool(np.isfinite(high))]


UNIT = Support()
BINARY = Support(
    step=1.0,
    between="drawn",
    hint="choose data.binarization = 'dynamic' (fresh draws each epoch), 'static' or 'threshold'",
)
COUNTS = Support(high=np.inf, step=1.0)
REAL = Support(low=-np.inf, high=np.inf)
