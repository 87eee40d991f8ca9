"""Values that change with the optimizer step: factors for the learning rate and the KL weight.

A schedule gives a factor, and the field beside it the value that it multiplies, so
that `--config.training.learning_rate=0.01` works whatever the schedule.
"""

import dataclasses
import math
from typing import Any

from tfvae.component import Component, FieldError, bounded


class Schedule(Component):
    """A factor as a function of the optimizer step. `num_steps = 0` stands for the whole run."""

    __slots__ = ()

    def factor(self, step: Any) -> Any:
        """The factor at `step`.

        Args:
          step: optimizer steps made so far, a scalar tensor or number.

        Returns:
          A float32 scalar tensor without unit.
        """
        import tensorflow as tf  # late: `config` must import without TensorFlow

        return self._factor(tf.cast(step, tf.float32))

    def _factor(self, step: Any) -> Any:
        raise NotImplementedError

    def for_run(self, total_steps: int) -> "Schedule":
        """The same schedule with "the whole run" filled in as `total_steps`."""
        if getattr(self, "num_steps", None) == 0:
            return dataclasses.replace(self, num_steps=total_steps)  # type: ignore[type-var]
        return self


@dataclasses.dataclass(kw_only=True, slots=True)
class Constant(Schedule):
    """Always 1."""

    def _factor(self, step: Any) -> Any:
        return 0.0 * step + 1.0


@dataclasses.dataclass(kw_only=True, slots=True)
class Linear(Schedule):
    """From `start` to `end` over the first `num_steps`, then `end` (KL warm-up: Bowman et al. 2016)."""

    start: float = bounded(0.0, low=0.0)
    end: float = bounded(1.0, low=0.0)
    num_steps: int = bounded(0, low=0)

    def _factor(self, step: Any) -> Any:
        import tensorflow as tf

        progress = tf.minimum(step / max(self.num_steps, 1), 1.0)
        return self.start + (self.end - self.start) * progress


@dataclasses.dataclass(kw_only=True, slots=True)
class Cosine(Schedule):
    """Linear warm-up to 1 over `warmup_steps`, then half a cosine down to `end` at `num_steps`.

    Loshchilov & Hutter 2017, SGDR, equation 5, without restarts.
    """

    end: float = bounded(0.0, low=0.0)
    warmup_steps: int = bounded(0, low=0)
    num_steps: int = bounded(0, low=0)

    def validate(self) -> None:
        if 0 < self.num_steps <= self.warmup_steps:
            raise FieldError("warmup_steps", self.warmup_steps, f"fewer than num_steps, {self.num_steps}")

    def _factor(self, step: Any) -> Any:
        import tensorflow as tf

        warmup = (step + 1.0) / max(self.warmup_steps, 1)
        decay_steps = max(self.num_steps - self.warmup_steps, 1)
        progress = tf.clip_by_value((step - self.warmup_steps) / decay_steps, 0.0, 1.0)
        # end + (1 - end) (1 + cos(pi t / T)) / 2
        decay = self.end + (1.0 - self.end) * 0.5 * (1.0 + tf.cos(math.pi * progress))
        return tf.minimum(warmup, decay) if self.warmup_steps else decay


@dataclasses.dataclass(kw_only=True, slots=True)
class Cyclic(Schedule):
    """`num_cycles` times: a linear rise from 0 to 1 in the first `rise` of the cycle, then 1.

    Fu et al. 2019, Cyclical Annealing Schedule, section 4.
    """

    num_cycles: int = bounded(4, low=1)
    rise: float = bounded(0.5, low=0.0, high=1.0, open_low=True)
    num_steps: int = bounded(0, low=0)

    def _factor(self, step: Any) -> Any:
        import tensorflow as tf

        period = max(self.num_steps, 1) / self.num_cycles
        position = tf.math.floormod(step, period) / period
        rising = tf.minimum(position / self.rise, 1.0)
        return tf.where(step >= max(self.num_steps, 1), tf.ones_like(rising), rising)
