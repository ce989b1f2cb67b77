"""Decisions of a search: how often each choice was sampled over time, and how it relates to reward.

A decision is a field of a stage (kernel size, expansion, ...), or a setting of the whole network,
in which the networks of a run differ; it is read from the networks themselves, so that it needs
neither the space nor its code.
"""

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mnas.analysis.intervals import Z95
from mnas.architecture.block_strings import parse_block_string
from mnas.errors import UsageError
from mnas.experiment.results import Run
from mnas.loop.records import ResultRecord
from mnas.loop.selection import candidates

# Fields of a block by their names in figures.
FIELDS = {
    "op": "op",
    "expand_ratio": "expand",
    "kernel": "kernel",
    "repeats": "layers",
    "filters": "filters",
    "se_ratio": "SE",
    "skip": "skip",
    "stride": "stride",
}
WHOLE = ("resolution", "stem", "head", "activation")  # settings of the whole network


@dataclasses.dataclass(frozen=True)
class Effect:
    """Rewards of the networks with one value of a decision.

    mean       of their rewards, minus that of all networks
    low, high  95% interval of the mean by the normal distribution; None for a single network
    """

    n: int
    mean: float
    low: float | None
    high: float | None


@dataclasses.dataclass(frozen=True)
class Decision:
    """A field in which the networks of a run differ.

    values       as text, V of them, numbers in their order
    frequencies  of each value in each group of trials, float [G][V], 0 to 1
    effects      by value; None for one that no complete network has
    """

    name: str
    values: tuple[str, ...]
    frequencies: list[list[float]]
    effects: list[Effect | None]

    @property
    def spread(self) -> float:
        """Return the largest difference between the mean rewards of two values."""
        means = [effect.mean for effect in self.effects if effect is not None]
        return max(means) - min(means) if means else 0.0


def decisions(run: Run, groups: Sequence[Iterable[int]]) -> list[Decision]:
    """Return the decisions of a run, stage by stage.

    groups  trial numbers of each group of trials, such as a batch; trials without a result are
            ignored
    """
    chosen = {result.trial: _choices(result) for result in run.results}
    names = dict.fromkeys(name for choices in chosen.values() for name in choices)
    complete = candidates(run.results)
    return [
        Decision(
            name,
            values,
            _frequencies(name, values, chosen, groups),
            _effects(name, values, chosen, complete),
        )
        for name in sorted(names, key=_place)
        if len(values := _values(name, chosen.values())) > 1
    ]


def coded(every: Sequence[Decision], results: Sequence[ResultRecord]) -> np.ndarray:
    """Return the index of each network's value among those of each decision, int [N, D]."""
    places = [{value: place for place, value in enumerate(each.values)} for each in every]
    rows = []
    for result in results:
        choices = _choices(result)
        rows.append(
            [place[_text(choices.get(d.name))] for d, place in zip(every, places, strict=True)]
        )
    return np.array(rows, int).reshape(len(results), len(every))


def _choices(result: ResultRecord) -> dict[str, Any]:
    """Return the value of every field of a network by its name."""
    blocks = result.architecture.get("blocks", ())
    found = {key: result.architecture[key] for key in WHOLE if key in result.architecture}
    for number, string in enumerate(blocks, start=1):
        found |= {f"stage {number} {name}": value for name, value in _fields(string)}
    return found


@functools.lru_cache(maxsize=4096)
def _fields(string: str) -> tuple[tuple[str, Any], ...]:
    """Return (name, value) of the fields of a block string; nothing for one that is none."""
    try:
        _, block = parse_block_string(string)
    except UsageError:
        return ()
    return tuple((name, getattr(block, field)) for field, name in FIELDS.items())


def _place(name: str) -> tuple[int, int]:
    """Return the sort key of a decision: settings of the whole network, then stage by stage."""
    words = name.split()
    if words[0] != "stage":
        return 0, 0
    return int(words[1]), list(FIELDS.values()).index(words[2])


def _values(name: str, chosen: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    found = {choices.get(name) for choices in chosen}
    return tuple(map(_text, sorted(found, key=_order)))


def _order(value: Any) -> tuple[int, float, str]:
    """Return the sort key of a value: a missing one, numbers, text."""
    if value is None:
        return 0, 0.0, ""
    return (1, float(value), "") if isinstance(value, int | float) else (2, 0.0, str(value))


def _text(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _frequencies(
    name: str,
    values: Sequence[str],
    chosen: dict[int, dict[str, Any]],
    groups: Sequence[Iterable[int]],
) -> list[list[float]]:
    rows = []
    for group in groups:
        counts = Counter(_text(chosen[trial].get(name)) for trial in group if trial in chosen)
        total = max(1, counts.total())
        rows.append([counts[value] / total for value in values])
    return rows


def _effects(
    name: str,
    values: Sequence[str],
    chosen: dict[int, dict[str, Any]],
    complete: Sequence[ResultRecord],
) -> list[Effect | None]:
    by_value: dict[str, list[float]] = {value: [] for value in values}
    for result in complete:
        by_value[_text(chosen[result.trial].get(name))].append(result.reward)
    center = float(np.mean([result.reward for result in complete])) if complete else 0.0
    return [
        _effect(np.array(rewards) - center) if rewards else None for rewards in by_value.values()
    ]


def _effect(differences: np.ndarray) -> Effect:
    n, mean = len(differences), float(differences.mean())
    if n == 1:
        return Effect(n, mean, None, None)
    half = Z95 * float(differences.std(ddof=1)) / math.sqrt(n)
    return Effect(n, mean, mean - half, mean + half)
