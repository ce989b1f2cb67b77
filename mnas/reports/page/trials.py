"""The trials of a run as plain data for the page: columns, and block strings stored once each."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from mnas.experiment import trials
from mnas.experiment.results import Run
from mnas.loop.records import ResultRecord
from mnas.reports.page.costs import CostAxis
from mnas.reports.page.curves import bounded

# Names on the page of what becomes of trials, in the order of `Status`.
STATUSES = ("complete", "duplicate", "stopped early", "failed")
LONGEST_CAUSE = 300


def status(result: ResultRecord) -> int:
    """Return the index in `STATUSES` of a result (`mnas.experiment.trials.status`)."""
    return get_args(trials.Status).index(trials.status(result))


def columns(run: Run, axis: CostAxis) -> dict[str, Any]:
    """Return JSON-compatible columns of all results, in order of their trials.

    strings  distinct block strings; `blocks` has their indices for each trial
    frames   distinct settings of networks but their blocks; `frame` has an index for each trial
    causes   distinct causes of failures; `cause` has an index for each trial, or null
    """
    results = run.results
    strings, frames, causes = _Distinct(), _Distinct(), _Distinct()
    data: dict[str, Any] = {
        "trial": [result.trial for result in results],
        "status": [status(result) for result in results],
        "reward": [_short(result.reward) for result in results],
        "accuracy": [_short(result.accuracy) for result in results],
        "mult_adds": [result.mult_adds for result in results],
        "params": [result.params for result in results],
        "seconds": [_short(result.seconds, 4) for result in results],
        "blocks": [[strings.index(b) for b in _blocks(result)] for result in results],
        "frame": [frames.index(_frame(result)) for result in results],
        "cause": [_cause(result, causes) for result in results],
        "same": [result.duplicate_of for result in results],
    }
    if any(result.epochs for result in results):
        data["epochs"] = [result.epochs for result in results]
    if any(result.latency_ms is not None for result in results):
        data["latency_ms"] = [_short(result.latency_ms) for result in results]
    data = {name: column for name, column in data.items() if any(v is not None for v in column)}
    cost = {"kind": axis.kind, "name": axis.name, "unit": axis.unit, "scale": axis.scale}
    lists = {"strings": strings.items, "frames": frames.items, "causes": causes.items}
    return {"columns": data, "cost": cost, "statuses": STATUSES, **lists}


def rows(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of figures from `columns`, as page.js makes them."""
    named = data["columns"]
    names = [name for name in ("trial", "reward", "accuracy", "seconds", "epochs") if name in named]
    statuses, cost = data["statuses"], data["cost"]
    found = []
    for index, code in enumerate(named.get("status", [])):
        row = {name: named[name][index] for name in names}
        value = named[cost["kind"]][index] if cost["kind"] in named else None
        row["cost"] = None if value is None else value / cost["scale"]
        found.append({**row, "status": statuses[code]})
    return found


class _Distinct:
    """Distinct values in order of their first appearance."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._places: dict[str, int] = {}

    def index(self, value: Any) -> int:
        """Return the index of a value, which is added where it is new."""
        place = self._places.setdefault(repr(value), len(self.items))
        if place == len(self.items):
            self.items.append(value)
        return place


def _blocks(result: ResultRecord) -> Sequence[str]:
    blocks = result.architecture.get("blocks", ())
    return [str(block) for block in blocks] if isinstance(blocks, list | tuple) else ()


def _frame(result: ResultRecord) -> dict[str, Any]:
    return {
        key: value for key, value in result.architecture.items() if key not in ("blocks", "name")
    }


def _cause(result: ResultRecord, causes: _Distinct) -> int | None:
    return None if result.error is None else causes.index(result.error[:LONGEST_CAUSE])


def _short(value: float | None, digits: int = 6) -> float | None:
    """Return a number with so many significant digits, clipped to what axes can show."""
    return None if value is None else float(f"{bounded(value):.{digits}g}")
