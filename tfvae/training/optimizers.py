"""Optimizers and learning rates from a config."""

import dataclasses
from typing import Any

import tensorflow as tf
import tf_keras

from tfvae.component import Component
from tfvae.config import TrainingConfig
from tfvae.schedules import Schedule

_OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "adagrad": "Adagrad", "rmsprop": "RMSprop", "sgd": "SGD"}


class ScheduledLearningRate(tf_keras.optimizers.schedules.LearningRateSchedule):
    """`base` times a schedule's factor."""

    def __init__(self, base: float, schedule: Schedule) -> None:
        self._base, self._schedule = base, schedule

    def __call__(self, step: Any) -> tf.Tensor:
        return self._base * self._schedule.factor(step)

    def get_config(self) -> dict[str, Any]:
        return {"base": self._base, "schedule": dataclasses.asdict(self._schedule)}  # type: ignore[call-overload]


def make_optimizer(config: TrainingConfig, total_steps: int) -> tf_keras.optimizers.Optimizer:
    """The optimizer, with its learning rate scheduled over the run."""
    rate = ScheduledLearningRate(config.learning_rate, config.learning_rate_schedule.for_run(total_steps))
    clip = {"global_clipnorm": config.gradient_clip_norm} if config.gradient_clip_norm else {}
    return getattr(tf_keras.optimizers, _OPTIMIZERS[config.optimizer])(learning_rate=rate, **clip)


def resolve_schedules(component: Any, total_steps: int) -> Any:
    """A component whose schedules over the whole run, and those of components inside it, know its length."""
    if isinstance(component, Schedule):
        return component.for_run(total_steps)
    fields = {f.name: getattr(component, f.name) for f in dataclasses.fields(component)}
    parts = {name: resolve_schedules(v, total_steps) for name, v in fields.items() if isinstance(v, Component)}
    return dataclasses.replace(component, **parts)
