"""Rank the points of a finished grid search of compound scaling."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnas.analysis import rescoring
from mnas.architecture.scaling import Coefficients
from mnas.architecture.scaling_grid import KIND, ScalingGrid
from mnas.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Ranked:
    """A point with what a run measured of it; `index` is its place among the grid's points."""

    index: int
    coefficients: Coefficients
    row: rescoring.Row


def is_grid_run(directory: Path) -> bool:
    """Whether this is the directory of a run over a grid of scalings."""
    if not (directory / "journal.jsonl").is_file():
        return False
    return _space_kind(rescoring.read(directory)) == KIND


def _space_kind(records: Sequence[dict[str, Any]]) -> str | None:
    return records[0].get("settings", {}).get("kinds", {}).get("space")


def ranked(directory: Path) -> tuple[ScalingGrid, list[Ranked]]:
    """The grid of a run, finished or not, and its measured points, best reward first.

    ValueError where the directory holds no run over such a grid.
    """
    records = rescoring.read(directory)
    kind = _space_kind(records)
    if kind != KIND:
        raise UsageError(f"{directory}: space = {kind}; accepted: a run over a grid of scalings")
    grid = ScalingGrid(**records[0]["settings"]["space"])
    points = list(grid.points().items())
    found = []
    for row in rescoring.rescore(records, rescoring.reward_of(records)).rows:
        index = row.decisions[0]
        if index >= len(points) or points[index][1].canonical_hash() != row.hash:
            raise UsageError(
                f"{directory}: trial {row.trial} is none of the grid over {grid.base!r} as it is "
                "now; accepted: a base that has not changed since"
            )
        found.append(Ranked(index, points[index][0], row))
    return grid, found
