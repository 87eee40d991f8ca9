"""The JSON form of a config: nested dictionaries, a component with its tag."""

import dataclasses
import json
import typing
from typing import Any

from tfvae.component import Component
from tfvae.config.schema import Config
from tfvae.config.validation import validate
from tfvae.errors import InputError


def to_dict(config: Any) -> dict[str, Any]:
    """The JSON form: nested dictionaries; a component carries its tag under `type`."""
    result: dict[str, Any] = {"type": config.tag} if isinstance(config, Component) else {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        result[field.name] = to_dict(value) if dataclasses.is_dataclass(value) else value
    # Through JSON and back, so that what is compared is what is written (tuples are lists).
    return json.loads(json.dumps(result))


def from_dict(values: Any, cls: type = Config, path: str = "") -> Any:
    """Builds what `to_dict` wrote; the modules of its components must be imported.

    Raises:
      InputError: for an unknown component or field, a missing field, or a bad value.
    """
    if not isinstance(values, dict):
        raise InputError(f"{path or 'config'}: received {values!r}, expected an object")
    values = dict(values)
    if issubclass(cls, Component):
        cls = cls.from_tag(values.pop("type", None), path=path)
    hints, arguments = {name: typing.get_type_hints(cls)[name] for name in field_names(cls)}, {}
    prefix = f"{path}." if path else ""
    for name, value in values.items():
        if name not in hints:
            raise InputError(f"{prefix}{name}: unknown field, expected one of: {', '.join(field_names(cls))}")
        hint = hints[name]
        if isinstance(hint, type) and (dataclasses.is_dataclass(hint) or issubclass(hint, Component)):
            value = from_dict(value, hint, f"{prefix}{name}")
        arguments[name] = tuple(value) if isinstance(value, list) else value
    try:
        config = cls(**arguments)
    except TypeError as error:
        raise InputError(f"{path or 'config'}: {error}") from error
    if not path:
        validate(config)
    return config


def field_names(cls: type) -> list[str]:
    """The names of the fields of a dataclass, in order."""
    return [field.name for field in dataclasses.fields(cls)]


def differences(ours: Any, theirs: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """The fields in which two JSON forms differ: full path -> (ours, theirs)."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for name in sorted(ours.keys() | theirs.keys()):
            found |= differences(ours.get(name), theirs.get(name), f"{path}.{name}" if path else name)
        return found
    return {} if ours == theirs else {path: (ours, theirs)}
