"""`UsageError`, and the checks of settings that raise it.

A `UsageError` is a mistake in what the user gave: a flag, a file, a value. The command line reports
it in one line with exit status 2. Any other exception is a defect and keeps its traceback.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any


class UsageError(ValueError):
    """A value the user can correct; the message names it and what would be accepted."""


def unknown(what: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a `name` that is not among `known`, with the nearest one as a hint."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"accepted: {', '.join(known)}"
    return UsageError(f"unknown {what} {name!r}; {hint}")


def require_whole(owner: str, field: str, value: Any, least: int = 1) -> None:
    """UsageError unless `value` is a whole number of at least `least`."""
    # bool is an int to Python, and numpy integers are not; neither belongs in a spec.
    if type(value) is not int or value < least:
        raise UsageError(
            f"{owner}: {field} = {value!r}; accepted: a whole number of at least {least}"
        )


def require_odd(owner: str, field: str, value: Any) -> None:
    """UsageError unless `value` can be the side of a kernel."""
    if type(value) is not int or value < 1 or value % 2 == 0:
        raise UsageError(
            f"{owner}: {field} = {value!r}; accepted: an odd whole number (3, 5, 7, ...)"
        )


def require_one_of(owner: str, field: str, value: Any, accepted: Sequence[Any]) -> None:
    """UsageError unless `value` is among `accepted`."""
    if value not in accepted:
        raise UsageError(f"{owner}: {field} = {value!r}; accepted: {', '.join(map(str, accepted))}")


def is_number(value: Any) -> bool:
    """Whether it is an int or a float, which a bool is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)
