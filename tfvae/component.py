"""Components: the parts a config chooses by type, such as a posterior or a schedule.

A *kind* is a direct subclass of `Component` (`Posterior`, `Schedule`, ...). Every
dataclass below a kind registers itself there under its tag, so that a config can be
written to JSON and built again from it. Nothing else has to know that it exists.
"""

import dataclasses
import re
from collections.abc import Callable
from typing import Any, ClassVar

from tfvae.errors import InputError


class Component:
    """Base class of all components.

    Attributes:
      kind: what this family is called in messages, e.g. "posterior".
      tag: the name of one component in JSON and in messages, e.g. "normal".
      registry: the tags of one kind and their classes.
    """

    __slots__ = ()

    kind: ClassVar[str] = "component"
    tag: ClassVar[str] = ""
    registry: ClassVar[dict[str, type]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()
        if Component in cls.__bases__:
            cls.kind, cls.tag, cls.registry = snake, "", {}
        elif not cls.__name__.startswith("_"):
            # `dataclass(slots=True)` makes the class a second time: the later one stays.
            cls.tag = snake
            cls.registry[snake] = cls

    def validate(self) -> None:
        """Checks what concerns several fields at once.

        Raises:
          FieldError: naming a field of this component.
        """

    @classmethod
    def from_tag(cls, tag: Any, *, path: str) -> type:
        """The class registered for `tag`; raises `InputError` that lists the known ones."""
        if not isinstance(tag, str) or tag not in cls.registry:
            known = ", ".join(sorted(cls.registry))
            raise InputError(f"{path}: unknown {cls.kind} {tag!r}, expected one of: {known}")
        return cls.registry[tag]


class FieldError(ValueError):
    """A bad field, named relative to its component; `config.validate` adds the full path."""

    def __init__(self, field: str, received: Any, expected: str) -> None:
        super().__init__(f"{field}: received {received!r}, expected {expected}")
        self.field, self.received, self.expected = field, received, expected


def bounded(default: Any, *, low: float | None = None, high: float | None = None, open_low: bool = False) -> Any:
    """A dataclass field whose number (or each number of a tuple) lies in [low, high], or (low, high]."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high, "open_low": open_low})


def choice(default: str, *others: str) -> Any:
    """A dataclass field that takes one of the named strings."""
    return dataclasses.field(default=default, metadata={"choices": (default, *others)})


def unknown_part(kind: type[Component], module: str) -> Callable[[str], Any]:
    """A `__getattr__` for the module of a kind: config files choose components as its attributes."""

    def name_of(cls: type) -> str:
        """With its package where that is another one, such as `baselines`."""
        inside = f"{cls.__module__}.".startswith(f"{module}.")
        return cls.__name__ if inside else f"{cls.__module__.removeprefix('tfvae.').split('.')[0]}.{cls.__name__}"

    def refuse(name: str) -> Any:
        known = ", ".join(sorted(map(name_of, kind.registry.values())))
        raise AttributeError(f"unknown {kind.kind} {name!r}, expected one of: {known}")

    return refuse
