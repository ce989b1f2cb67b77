"""Curves of a run over its trials: running best, batches, hypervolume; thinned to what is seen."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mnas.analysis.front import Box, hypervolumes
from mnas.experiment.results import Run
from mnas.reports.page.costs import CostAxis

LARGEST = 1e100  # of an axis: differences and squares of values stay finite
POINTS = 400  # of a curve, which is more than its pixels tell apart
GROUPS = 200  # batches of a figure; of more, some are taken together
QUANTILES = (0.1, 0.9)


def bounded(value: float) -> float:
    """Return a number, clipped to what axes can show."""
    return max(-LARGEST, min(LARGEST, value))


def best_so_far(run: Run) -> np.ndarray:
    """Return the highest reward of complete children up to each result; NaN before the first."""
    rewards = [
        bounded(result.reward) if result.error is None and not result.stopped else math.nan
        for result in run.results
    ]
    return np.fmax.accumulate(np.array(rewards, dtype=float)) if rewards else np.empty(0)


def hypervolume(run: Run, axis: CostAxis, box: Box) -> np.ndarray:
    """Return the hypervolume of complete children up to each result."""
    complete = [result.error is None and not result.stopped for result in run.results]
    costs = [
        axis.of_result(result) if ok else None
        for result, ok in zip(run.results, complete, strict=True)
    ]
    return hypervolumes(costs, [result.accuracy for result in run.results], box)


def box_of(runs: Sequence[tuple[Run, CostAxis]]) -> Box | None:
    """Return the rectangle around the complete children of all runs."""
    return Box.around(
        (axis.of_result(result), result.accuracy)
        for run, axis in runs
        for result in run.results
        if result.error is None and not result.stopped
    )


def steps(trials: Sequence[int], values: np.ndarray) -> list[dict[str, Any]]:
    """Return the points of a step function where it changes, and its ends.

    At most `POINTS`: of more, evenly spaced ones.
    """
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return []
    changes = [known[0], *known[1:][np.diff(values[known]) != 0], known[-1]]
    chosen = np.unique(changes)
    if len(chosen) > POINTS:
        chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, POINTS).astype(int))]
    return [{"trial": trials[index], "value": float(f"{values[index]:.6g}")} for index in chosen]


def batches(run: Run) -> tuple[list[dict[str, Any]], int]:
    """Return (mean and quantiles of the rewards of every batch, batches in each group).

    A row: `trial`, the last of the group with a result; `mean`; `low` and `high`, its quantiles.
    Failed children do not count. Of more than `GROUPS` batches, several make a group.
    """
    rewards = {r.trial: bounded(r.reward) for r in run.results if r.error is None}
    size = max(1, math.ceil(len(run.proposals) / GROUPS))
    rows = []
    for first in range(0, len(run.proposals), size):
        group = run.proposals[first : first + size]
        numbers = [batch.first_trial + n for batch in group for n in range(len(batch.decisions))]
        values = [rewards[number] for number in numbers if number in rewards]
        if not values:
            continue
        low, high = np.quantile(values, QUANTILES)
        row = {"mean": np.mean(values), "low": low, "high": high}
        rounded = {name: float(f"{value:.5g}") for name, value in row.items()}
        rows.append({"trial": min(numbers[-1], run.results[-1].trial), **rounded})
    return rows, size
