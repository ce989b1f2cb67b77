"""Selection and order of the trials of a run, by conditions on their columns.

A condition is COLUMN OPERATOR VALUE, as "mult_adds<=400M" or "error~memory". A trial without a
value in the column meets only "!=" with something, and "COLUMN=" with nothing.
"""

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from mnas.errors import UsageError, require_one_of, unknown
from mnas.experiment.trials import COLUMNS

Row = dict[str, Any]

# Columns that are sorted from high to low.
BEST_FIRST = ("reward", "accuracy", "remeasured_accuracy", "remeasured_reward")
TEXTS = ("status", "error", "blocks", "hash")
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(r"([A-Za-z_-]+)\s*(<=|>=|!=|=|<|>|~)\s*(.*)", re.DOTALL)


def column(name: str) -> str:
    """Return the column of a name, which may have hyphens; UsageError for an unknown one."""
    known = name.strip().replace("-", "_")
    if known not in COLUMNS:
        raise unknown("column", name, COLUMNS)
    return known


def condition(text: str, number: Callable[[str], float]) -> Callable[[Row], bool]:
    """Return the function that tells whether a row meets a condition.

    number  reads a number of the condition, and raises ValueError for other text

    Raises UsageError for what is no condition.
    """
    match = _CONDITION.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"--where {text!r} is no condition; accepted: COLUMN, one of <= >= != = < > ~, and a "
            "value, such as 'mult_adds<=400M'"
        )
    name, sign, value = column(match[1]), match[2], match[3].strip()
    if sign == "~":
        return lambda row: (
            value.casefold() in str("" if row[name] is None else row[name]).casefold()
        )
    if name in TEXTS or not value:
        if sign in _ORDER:
            raise UsageError(f"--where {text!r}; accepted: = != ~ with {name}")
        is_equal = sign == "="
        return lambda row: (str("" if row[name] is None else row[name]) == value) == is_equal
    try:
        limit = number(value)
    except ValueError as error:
        raise UsageError(f"--where {text!r}: {error}") from None
    if sign in _ORDER:
        holds = _ORDER[sign]
        return lambda row: row[name] is not None and holds(row[name], limit)
    is_equal = sign == "="
    return lambda row: (row[name] == limit) == is_equal


def arranged(
    rows: Sequence[Row],
    conditions: Sequence[Callable[[Row], bool]] = (),
    sort: str = "trial",
    reverse: bool = False,
    top: int | None = None,
) -> list[Row]:
    """Return the first `top` rows that meet all conditions, in the order of a column.

    Rewards and accuracies, measured again too, are ordered from high to low, the others from low to
    high, or the other way round with `reverse`. Rows without a value come last in either case,
    equal ones by trial.
    """
    require_one_of("trials", "sort", sort, COLUMNS)
    kept = [row for row in rows if all(holds(row) for holds in conditions)]
    known = sorted((row for row in kept if row[sort] is not None), key=lambda row: row["trial"])
    known.sort(key=lambda row: row[sort], reverse=(sort in BEST_FIRST) != reverse)
    return [*known, *(row for row in kept if row[sort] is None)][:top]
