"""Flags of a dataclass as users write them.

tyro makes the flags (`mnas.cli.arguments`). Beyond its own forms, a number may have a suffix
(`300M`, `50k`), and a Boolean a value (`--engine.pin False`, `--engine.no-pin` in tyro).
"""

import dataclasses
import decimal
import re
import typing
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

SUFFIXES = {"k": "e3", "M": "e6", "G": "e9", "B": "e9"}
"""Suffixes of numbers: 300M is 300e6."""
MOST_DIGITS = 18  # of whole numbers

REGISTRY = ConstructorRegistry()


@REGISTRY.primitive_rule
def _number_rule(kind: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[float] | None:
    """Read every field of type float by `number`."""
    if kind.type is not float:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="FLOAT",
        instance_from_str=lambda words: number(words[0]),
        is_instance=lambda value: "~" if type(value) is int else isinstance(value, float),
        str_from_instance=lambda value: [str(value)],
    )


@REGISTRY.primitive_rule
def _whole_number_rule(kind: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[int] | None:
    """Read every field of type int by `whole_number`."""
    if kind.type is not int:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT",
        instance_from_str=lambda words: whole_number(words[0]),
        is_instance=lambda value: type(value) is int,
        str_from_instance=lambda value: [str(value)],
    )


def number(text: str) -> float:
    """Return a number, which may end in one of `SUFFIXES`. Raises ValueError for other text."""
    try:
        return float(_without_suffix(text))
    except ValueError:
        raise ValueError(f"{text!r} is no number; accepted: such as 0.5, 3e8 or 300M") from None


def whole_number(text: str) -> int:
    """Return a whole number, as 50000, 5e4, 50k or 1.5M. Raises ValueError for other text."""
    try:
        value = decimal.Decimal(_without_suffix(text))
        # The exponent is checked first: 1e999999999 has a billion digits.
        if value.is_finite() and value.adjusted() < MOST_DIGITS and value == int(value):
            return int(value)
    except (ValueError, decimal.InvalidOperation):
        pass
    raise ValueError(f"{text!r} is no whole number; accepted: such as 64, 50k or 1.5M")


def _without_suffix(text: str) -> str:
    """Return a number with its suffix as an exponent: "1.5M" is "1.5e6", without rounding."""
    exponent = SUFFIXES.get(text[-1:])
    return text if exponent is None else text[:-1] + exponent


def flags(kind: type, default: Any = None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the flag and the type of each field of a dataclass, nested ones included.

    default  an instance; fields of type Any have the type of its values
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        value = getattr(default, field.name, field.default)
        hint: Any = hints[field.name]
        metadata: list[Any] = []
        if typing.get_origin(hint) is typing.Annotated:
            hint, *metadata = typing.get_args(hint)
        names = (entry.name for entry in metadata if hasattr(entry, "name"))  # tyro.conf.arg
        name = next((name for name in names if name is not None), field.name.replace("_", "-"))
        path = ".".join(filter(None, [prefix, name]))
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from flags(type(value), value, path)
        elif dataclasses.is_dataclass(hint):
            yield from flags(typing.cast(type, hint), None, path)
        elif not {tyro.conf.Positional, tyro.conf.Fixed} & set(metadata):
            yield f"--{path}", hint


def with_plain_booleans(words: Sequence[str], names: Iterable[str]) -> list[str]:
    """Return the words with `--a.b False` as `--a.no-b`, for Boolean flags of these names."""
    known, result, rest = set(names), [], list(words)
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.partition("=")
        flag = flag.replace("_", "-")
        if flag in known:
            value = value if equals else (rest[0] if rest else "")
            if value.lower() in ("true", "false"):
                if not equals:
                    rest.pop(0)
                word = flag if value.lower() == "true" else re.sub(r"([^.-][^.]*)$", r"no-\1", flag)
        result.append(word)
    return result


def is_given(words: Iterable[str], name: str) -> bool:
    """Return whether the flag `name` is among the words of a command line."""
    return any(word.partition("=")[0].replace("_", "-") == name for word in words)


def naming_flag(message: str, names: Iterable[str]) -> str:
    """Return a message "owner: field = value; ..." with the flag of that field, where it is one."""
    match = re.match(r"([\w-]+): (\w+) = ", message)
    if match is None:
        return message
    owner, field = match[1], match[2].replace("_", "-")
    fitting = [name for name in names if re.split(r"\.|^--", name)[-1] == field]
    of_owner = [name for name in fitting if f".{owner}." in name.replace("--", ".")]
    candidates = of_owner or fitting
    return f"{message} ({candidates[0]})" if len(candidates) == 1 else message
