"""Failed children of a run by cause: groups, counts, first trial numbers."""

import re
from collections.abc import Iterable, Sequence

from mnas.loop.records import ResultRecord

GROUPS = 20  # rows of the table
FIRST = 5  # trial numbers of a row
LONGEST = 300  # characters of a cause
_NUMBER = re.compile(r"0x[0-9a-fA-F]+|\d+")


def failure_groups(results: Iterable[ResultRecord]) -> list[tuple[str, list[int]]]:
    """Return (cause, trials) of failed results, the commonest first; of equals, the earliest.

    Causes that differ in numbers only, such as sizes and addresses, count as one; the first stands
    for all.
    """
    groups: dict[str, tuple[str, list[int]]] = {}
    for result in results:
        if result.error is not None:
            kind = _NUMBER.sub("#", result.error[:LONGEST])
            groups.setdefault(kind, (result.error, []))[1].append(result.trial)
    return sorted(groups.values(), key=lambda group: -len(group[1]))


def failure_rows(results: Sequence[ResultRecord]) -> list[tuple[str, str, str, str]]:
    """Return rows of text: cause, number of children, first trials, block strings of the first."""
    groups = failure_groups(results)
    networks = {result.trial: result.architecture.get("blocks", ()) for result in results}
    rows = [
        (shortened(cause), f"{len(trials):,}", _first(trials), " ".join(networks[trials[0]]))
        for cause, trials in groups
    ]
    if len(rows) > GROUPS:
        others = [trial for _, trials in groups[GROUPS - 1 :] for trial in trials]
        count = len(rows) - GROUPS + 1
        rows[GROUPS - 1 :] = [
            (f"{count} other causes", f"{len(others):,}", _first(sorted(others)), "")
        ]
    return rows


def shortened(cause: str) -> str:
    """Return a cause in one line of at most `LONGEST` characters, shortened in its middle."""
    text = " ".join(cause.split())
    if len(text) <= LONGEST:
        return text
    half = (LONGEST - 3) // 2
    return f"{text[:half]} … {text[-half:]}"


def _first(trials: Sequence[int]) -> str:
    more = " …" if len(trials) > FIRST else ""
    return ", ".join(map(str, trials[:FIRST])) + more
