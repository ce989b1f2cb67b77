"""Strict, typed overrides of nested dataclasses."""

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from typing import Any, Literal

from mnas.errors import UsageError


def override(target: Any, changes: Mapping[str, Any], path: str = "") -> Any:
    """A copy of a dataclass with nested `changes`; ValueError for unknown keys and wrong kinds."""
    types = typing.get_type_hints(type(target))
    names = [field.name for field in dataclasses.fields(target)]
    values = {}
    for key, value in changes.items():
        place = f"{path}.{key}".lstrip(".")
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"accepted: {', '.join(names)}"
            raise UsageError(f"unknown setting {place} = {value!r}; {hint}")
        current = getattr(target, key)
        if dataclasses.is_dataclass(current):
            if not isinstance(value, Mapping):
                parts = ", ".join(field.name for field in dataclasses.fields(current))
                raise UsageError(f"{place} = {value!r}; accepted: settings by name ({parts})")
            values[key] = override(current, value, place)
        else:
            values[key] = _checked(place, value, types[key])
    return dataclasses.replace(target, **values)


def _checked(place: str, value: Any, kind: Any) -> Any:
    """`value` if it is of `kind`: a plain type, a Literal, or a union of them."""
    kinds = typing.get_args(kind) if typing.get_origin(kind) is not Literal else (kind,)
    for accepted in kinds or (kind,):
        if typing.get_origin(accepted) is Literal:
            if value in typing.get_args(accepted):
                return value
        elif accepted is float and type(value) in (int, float):
            return float(value)
        elif accepted is Any or type(value) is accepted:
            return value
    accepted = " or ".join(map(_kind_text, kinds or (kind,)))
    raise UsageError(f"{place} = {value!r}; accepted: {accepted}")


def _kind_text(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return ", ".join(map(str, typing.get_args(kind)))
    return "None" if kind is type(None) else getattr(kind, "__name__", str(kind))
