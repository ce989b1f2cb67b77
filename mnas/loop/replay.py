"""Checks of a journal's records while a search replays them."""

import math
from typing import Any

from mnas.errors import UsageError, shown


def require_equal(field: str, recorded: Any, expected: Any) -> None:
    """Raise UsageError where a recorded value is not what this search would have recorded."""
    if recorded != expected:
        raise UsageError(
            f"{field} = {shown(recorded)}, and {shown(expected)} in this search; accepted: the "
            "journal of a search with the same space and settings"
        )


def require_close(field: str, recorded: float, expected: float) -> None:
    """As `require_equal`; machines differ in the last bits of a power."""
    if not math.isclose(recorded, expected, rel_tol=1e-9, abs_tol=1e-12):
        require_equal(field, recorded, expected)


def misplaced(record: str, accepted: str) -> UsageError:
    """Return the error of a record that cannot follow those before it."""
    return UsageError(f"{record} out of turn; accepted here: {accepted}")
