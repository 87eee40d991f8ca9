"""Types, bounds and choices of every field, and messages that name the field in full."""

import dataclasses
import math
import types
import typing
from typing import Any

from tfvae.component import Component, FieldError
from tfvae.errors import InputError


def validate(config: Any, path: str = "") -> None:
    """Checks types, bounds and choices of every field, depth first.

    Args:
      config: a `Config`, or a part of one.
      path: what stands before the names of its fields in messages.

    Raises:
      InputError: with the full path of the field, what was received and what is expected.
    """
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), f"{path}{field.name}"
        if not _has_type(value, hints[field.name]):
            raise InputError(f"{name}: received {value!r}, expected {_describe_type(hints[field.name])}")
        expected = _violation(value, field.metadata)
        if expected:
            raise InputError(f"{name}: received {value!r}, expected {expected}")
        if dataclasses.is_dataclass(value):
            validate(value, f"{name}.")
    if hasattr(config, "validate"):
        try:
            config.validate()
        except FieldError as error:
            raise InputError(f"{path}{error}") from error


def _has_type(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        return isinstance(value, tuple) and all(_has_type(v, inner) for v in value)
    if origin in (typing.Union, types.UnionType):
        return any(_has_type(value, h) for h in typing.get_args(hint))
    if hint is Any:
        return True
    if hint in (int, float):
        kinds = (int, float) if hint is float else (int,)
        return isinstance(value, kinds) and not isinstance(value, bool)
    return isinstance(value, hint)


def _describe_type(hint: Any) -> str:
    if isinstance(hint, type) and issubclass(hint, Component):
        known = ", ".join(sorted(hint.registry)) or "none imported"
        return f"a {hint.kind} chosen in the config file (one of: {known})"
    return getattr(hint, "__name__", str(hint)) if typing.get_origin(hint) is None else str(hint)


def _violation(value: Any, rule: Any) -> str:
    """What `rule` (see `component.bounded`, `component.choice`) expected; empty where it holds."""
    if "choices" in rule and value not in rule["choices"]:
        return "one of: " + ", ".join(rule["choices"])
    low, high = rule.get("low"), rule.get("high")
    above = "above" if rule.get("open_low") else "at least"
    for number in value if isinstance(value, tuple) else (value,):
        too_low = low is not None and (number <= low if rule["open_low"] else number < low)
        too_high = high is not None and number > high
        # A NaN fails every comparison, so it would pass as neither too low nor too high.
        finite = not isinstance(number, float) or math.isfinite(number)
        if too_low or too_high or not finite:
            limits = [f"{above} {low:g}" if low is not None else "", f"at most {high:g}" if high is not None else ""]
            kind = "a finite number" if number in (math.inf, -math.inf) else "a number"
            return " ".join([kind, " and ".join(limit for limit in limits if limit)]).strip()
    return ""
