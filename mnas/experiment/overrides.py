"""Strict, typed overrides of nested dataclasses."""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from mnas.errors import UsageError, is_finite, shown, unknown

T = TypeVar("T", bound=Any)


def override(target: T, changes: Mapping[str, Any], path: str = "") -> T:
    """Return a copy of a dataclass with nested `changes`.

    changes  values by field name; for a field that is a dataclass, a mapping of its own
    path     dotted path of `target` for messages

    Raises UsageError for an unknown field or a value that is not of the field's type.
    """
    annotations = typing.get_type_hints(type(target))
    names = [field.name for field in dataclasses.fields(target)]
    values = {}
    for key, value in changes.items():
        full_path = f"{path}.{key}".lstrip(".")
        if key not in names:
            raise unknown(f"setting of {path}" if path else "setting", key, names)
        current = getattr(target, key)
        if not dataclasses.is_dataclass(current):
            if value == {} and annotations[key] is Any:
                continue  # A part of a plug-in without settings.
            values[key] = _checked(full_path, value, annotations[key])
        elif isinstance(value, Mapping):
            values[key] = override(current, value, full_path)
        else:
            parts = ", ".join(field.name for field in dataclasses.fields(current))
            raise UsageError(f"{full_path} = {shown(value)}; accepted: settings by name ({parts})")
    return dataclasses.replace(target, **values)


def _checked(path: str, value: Any, annotation: Any) -> Any:
    """Return `value` if it is of a type; UsageError if it is not.

    A type is a class, a Literal, a tuple of types, or a union of them. Floats may be ints, and
    tuples lists.
    """
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    kinds = typing.get_args(annotation) if is_union else (annotation,)
    for kind in kinds:
        try:
            return _converted(path, value, kind)
        except TypeError:
            continue
    raise UsageError(f"{path} = {shown(value)}; accepted: {' or '.join(map(_kind_text, kinds))}")


def _converted(path: str, value: Any, kind: Any) -> Any:
    """Return `value` as an instance of `kind`; TypeError if it is none."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if value in arguments:
            return value
    elif origin is tuple and isinstance(value, list | tuple):
        if arguments[-1] is Ellipsis:
            return tuple(_checked(path, item, arguments[0]) for item in value)
        if len(value) == len(arguments):
            return tuple(map(functools.partial(_checked, path), value, arguments))
    elif kind is float:
        if is_finite(value) or (type(value) is float and math.isnan(value)):
            return float(value)
    elif kind is Any or type(value) is kind:
        return value
    raise TypeError


def _kind_text(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return ", ".join(map(str, typing.get_args(kind)))
    if kind is type(None):
        return "None"
    return str(kind) if typing.get_origin(kind) else getattr(kind, "__name__", str(kind))
