"""Rank the points of a grid search of compound scaling by its run."""

import dataclasses
import os
from pathlib import Path

from mnas.analysis import rescoring
from mnas.architecture.scaling import Coefficients
from mnas.architecture.scaling_grid import ScalingGrid
from mnas.errors import UsageError
from mnas.experiment.results import Run, load_run

GRID_SPACE = "ScalingGridSpace"  # Class name of the space, as a run's settings record it.


@dataclasses.dataclass(frozen=True)
class Ranked:
    """A point of the grid with its ranked row; `index` is its position in the grid."""

    index: int
    coefficients: Coefficients
    row: rescoring.Row


def is_grid_run(directory: Path) -> bool:
    """Return whether this is the directory of a run over a grid of scalings."""
    if not os.path.isfile(directory / "journal.jsonl"):  # False also for block strings, too long
        return False
    return _space_class(load_run(directory)) == GRID_SPACE


def _space_class(run: Run) -> str | None:
    return run.head.settings.get("kinds", {}).get("space")


def ranked(directory: Path) -> tuple[ScalingGrid, list[Ranked]]:
    """Return the grid of a run, finished or not, and its measured points, best reward first.

    Raises UsageError where the directory holds no run over such a grid, or the grid's base is
    another network now.
    """
    run = load_run(directory)
    space = _space_class(run)
    if space != GRID_SPACE:
        raise UsageError(f"{directory}: space = {space}; accepted: a run over a grid of scalings")
    try:
        grid = ScalingGrid(**run.head.settings.get("space", {}))
    except TypeError as error:
        raise UsageError(f"{directory}: settings of the space: {error}") from None
    points = list(grid.points().items())
    ranked_points = []
    for row in rescoring.rescore(run, rescoring.reward_of(run)).rows:
        index = row.decisions[0]
        if index >= len(points) or points[index][1].canonical_hash() != row.hash:
            raise UsageError(
                f"{directory}: trial {row.trial} is no point of the grid over {grid.base!r} as it "
                "is now; accepted: a base that has not changed since"
            )
        ranked_points.append(Ranked(index, points[index][0], row))
    return grid, ranked_points
