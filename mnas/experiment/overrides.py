"""Strict, typed overrides of nested dataclasses."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from mnas.errors import UsageError, unknown

T = TypeVar("T", bound=Any)


def override(target: T, changes: Mapping[str, Any], path: str = "") -> T:
    """Return a copy of a dataclass with nested `changes`.

    changes  values by field name; for a field that is a dataclass, a mapping of its own
    path     dotted path of `target` for messages

    Raises UsageError for an unknown field or a value that is not of the field's type.
    """
    types = typing.get_type_hints(type(target))
    names = [field.name for field in dataclasses.fields(target)]
    values = {}
    for key, value in changes.items():
        full_path = f"{path}.{key}".lstrip(".")
        if key not in names:
            raise unknown(f"setting of {path}" if path else "setting", key, names)
        current = getattr(target, key)
        if not dataclasses.is_dataclass(current):
            values[key] = _checked(full_path, value, types[key])
        elif isinstance(value, Mapping):
            values[key] = override(current, value, full_path)
        else:
            parts = ", ".join(field.name for field in dataclasses.fields(current))
            raise UsageError(f"{full_path} = {value!r}; accepted: settings by name ({parts})")
    return dataclasses.replace(target, **values)


def _checked(path: str, value: Any, annotation: Any) -> Any:
    """Return `value` if it is of a type, a Literal, or a union of them; floats may be ints."""
    union = typing.get_origin(annotation) is not Literal and typing.get_args(annotation)
    kinds = union or (annotation,)
    for kind in kinds:
        if typing.get_origin(kind) is Literal:
            if value in typing.get_args(kind):
                return value
        elif kind is float and type(value) in (int, float):
            return float(value)
        elif kind is Any or type(value) is kind:
            return value
    raise UsageError(f"{path} = {value!r}; accepted: {' or '.join(map(_kind_text, kinds))}")


def _kind_text(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return ", ".join(map(str, typing.get_args(kind)))
    return "None" if kind is type(None) else getattr(kind, "__name__", str(kind))
