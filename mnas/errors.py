"""`UsageError`, and the checks of settings that raise it.

A `UsageError` is a mistake in the user's input: a flag, a file, a value. The command line reports
it in one line and exits with status 2. Any other exception is a defect and keeps its traceback.

Every check has the form `require_x(owner, field, value, ...)` and raises
"owner: field = value; accepted: ...". The numeric ones reject NaN, infinity, bool and whatever
isn't a plain Python number, since settings are written to JSON.
"""

import difflib
import math
from collections.abc import Iterable, Sequence
from typing import Any

MAX_CAUSE = 300  # characters, so that no failure can fill the journal
LISTED = 260  # characters of a list of accepted names


class UsageError(ValueError):
    """A value that the user can correct; the message names it and what would be accepted."""


class RunFailure(RuntimeError):
    """A run that can't go on, for a cause outside this project's code; the message names it."""


def rejected(owner: str, field: str, value: Any, accepted: str) -> UsageError:
    """Return the error for a setting, for conditions that no check of this module covers."""
    return UsageError(f"{owner}: {field} = {shown(value)}; accepted: {accepted}")


def shown(value: Any, length: int = 120) -> str:
    """Return the repr of a value for a message, shortened to `length` characters."""
    try:
        text = repr(value)
    except ValueError:  # an int of thousands of digits
        text = f"{type(value).__name__} that is too long to show"
    return text if len(text) <= length else text[: length - 1] + "…"


def printable(text: str, length: int = 40) -> str:
    """Return text of someone else's (a name, a message) in one line of at most `length` characters.

    What can't be printed is escaped.
    """
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= length else f"{text[: length - 3]}..."


def unknown(what: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a `name` that is not among `known`, with the nearest one as a hint."""
    known = list(known)
    name = name[:120]
    near = difflib.get_close_matches(name, known, n=1)
    listed = ", ".join(known)
    if len(listed) > LISTED:
        listed = f"{listed[:LISTED].rpartition(', ')[0]}, ..."
    hint = f"did you mean {near[0]}?" if near else f"accepted: {listed}"
    return UsageError(f"unknown {what} {name!r}; {hint}")


def cause_of(error: Any) -> str:
    """Return an exception, or a text, in one printable line of at most `MAX_CAUSE` characters.

    Raises UsageError for anything else.
    """
    if isinstance(error, UsageError):
        text = str(error)
    elif isinstance(error, BaseException):
        try:
            lines = str(error).strip()[:MAX_CAUSE].splitlines()
        except (Exception, SystemExit):
            lines = ["its text can't be made"]
        text = type(error).__name__ + (f": {lines[0]}" if lines else "")
    elif isinstance(error, str):
        text = str(error).strip()
    else:
        raise rejected("evaluation", "error", type(error).__name__, "a text, or None")
    text = text[: 2 * MAX_CAUSE]
    text = " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())
    return text if len(text) <= MAX_CAUSE else text[: MAX_CAUSE - 1] + "…"


def is_number(value: Any) -> bool:
    """Return whether `value` is an int or a float; bool is not a number here."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Return whether `value` is a number that a float can represent, neither NaN nor infinite."""
    try:
        return is_number(value) and math.isfinite(value)
    except OverflowError:  # an int beyond the floats
        return False


def require_whole(
    owner: str, field: str, value: Any, least: int = 1, most: int | None = None
) -> None:
    """Require an int of at least `least` and, if given, at most `most`."""
    # type() rather than isinstance(): bool is a subclass of int.
    if type(value) is not int or value < least or (most is not None and value > most):
        limit = math.inf if most is None else most
        raise rejected(owner, field, value, f"a whole number of at least {least}{_up_to(limit)}")


def require_odd(owner: str, field: str, value: Any) -> None:
    """Require a positive odd int: a kernel size."""
    if type(value) is not int or value < 1 or value % 2 == 0:
        raise rejected(owner, field, value, "an odd whole number (3, 5, 7, ...)")


def require_one_of(owner: str, field: str, value: Any, accepted: Sequence[Any]) -> None:
    """Require one of the `accepted` values."""
    if value not in accepted:
        raise rejected(owner, field, value, ", ".join(map(str, accepted)))


def require_finite(owner: str, field: str, value: Any) -> None:
    """Require a finite number."""
    if not is_finite(value):
        raise rejected(owner, field, value, "a number")


def require_positive(owner: str, field: str, value: Any, most: float = math.inf) -> None:
    """Require a finite number above 0 and, if given, at most `most`."""
    if not (is_finite(value) and 0 < value <= most):
        raise rejected(owner, field, value, f"a number above 0{_up_to(most)}")


def require_at_least(
    owner: str, field: str, value: Any, least: float, most: float = math.inf
) -> None:
    """Require a finite number of at least `least` and, if given, at most `most`."""
    if not (is_finite(value) and least <= value <= most):
        raise rejected(owner, field, value, f"a number of at least {least}{_up_to(most)}")


def require_at_most(owner: str, field: str, value: Any, most: float) -> None:
    """Require a finite number of at most `most`."""
    if not (is_finite(value) and value <= most):
        raise rejected(owner, field, value, f"a number of at most {most}")


def require_between(owner: str, field: str, value: Any, least: float, most: float) -> None:
    """Require a number from `least` to `most`, both included."""
    if not (is_finite(value) and least <= value <= most):
        raise rejected(owner, field, value, f"{least} to {most}")


def require_fraction(owner: str, field: str, value: Any) -> None:
    """Require a number from 0 (included) to 1 (excluded): a rate, a decay, a momentum."""
    if not (is_finite(value) and 0 <= value < 1):
        raise rejected(owner, field, value, "0 or more, below 1")


def require_open_fraction(owner: str, field: str, value: Any) -> None:
    """Require a number strictly between 0 and 1."""
    if not (is_finite(value) and 0 < value < 1):
        raise rejected(owner, field, value, "above 0, below 1")


def _up_to(most: float) -> str:
    """Return the end of a range's description; nothing where there is none."""
    return "" if most == math.inf else f" and at most {most:,}"
