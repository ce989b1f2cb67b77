"""`mnas front`: the trials of a run that no other dominates in cost and accuracy."""

import dataclasses
import json
from pathlib import Path

from mnas.analysis.front import Box, hypervolumes, non_dominated
from mnas.cli.arguments import Directory, parse, print_csv, print_fitting
from mnas.errors import UsageError
from mnas.experiment.registry import accuracy_word
from mnas.experiment.results import Run, load_run
from mnas.experiment.trials import status, trial_rows
from mnas.reports.terminal import plain_console
from mnas.reports.text import short_count
from mnas.reward import CostKind

UNITS = {"mult_adds": "mult-adds", "params": "params", "latency_ms": "ms"}


@dataclasses.dataclass(frozen=True)
class FrontArguments:
    """Show the trials of a run that no other trial dominates, by rising cost.

    A trial is dominated by another of at most its cost and at least its accuracy. Failed trials,
    duplicates and children that were stopped early are left out. The hypervolume is the dominated
    fraction of the rectangle that all other trials lie in.

    Example: mnas front runs/digits-1 --cost params
    """

    run: Directory
    """Directory of a run, finished or not, or a journal."""
    cost: CostKind | None = None
    """Cost beside accuracy; None: that of the run's reward."""
    csv: bool = False
    """Print CSV, with the columns of mnas trials."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        if self.csv and self.json:
            raise UsageError("front: both --csv and --json; accepted: one of them")


def main(arguments: list[str]) -> None:
    """Run `mnas front`."""
    options = parse(FrontArguments, "mnas front", arguments)
    run = load_run(Path(options.run))
    cost = options.cost or _own_cost(run)
    complete = [result for result in run.results if status(result) == "complete"]
    known = [row for row in trial_rows(complete) if row[cost] is not None]
    if not known:
        raise UsageError(
            f"{options.run} has no trial with accuracy and {cost}; accepted: a run with one, or "
            "another --cost"
        )
    costs, accuracies = [row[cost] for row in known], [row["accuracy"] for row in known]
    front = [known[index] for index in non_dominated(costs, accuracies)]
    box = Box.around(zip(costs, accuracies, strict=True))
    assert box is not None  # there is a point
    volume = float(hypervolumes(costs, accuracies, box)[-1]) if box.area else None
    if options.csv:
        print_csv(front)
        return
    if options.json:
        result = {
            "run": str(options.run),
            "cost": cost,
            "trials": len(known),
            "hypervolume": volume,
            "box": dataclasses.asdict(box),
            "front": front,
        }
        print(json.dumps(result, indent=2, allow_nan=False))
        return
    heads = ["trial", accuracy_word(run.head.settings.get("kinds", {})), "mult-adds", "params"]
    cells = [
        [f"{row['trial']}", f"{row['accuracy']:.4f}", f"{row['mult_adds']:,}", f"{row['params']:,}"]
        for row in front
    ]
    if cost == "latency_ms":
        heads.append("latency, ms")
        cells = [[*line, f"{row[cost]:.3f}"] for line, row in zip(cells, front, strict=True)]
    heads.append("reward")
    cells = [[*line, f"{row['reward']:.4f}"] for line, row in zip(cells, front, strict=True)]
    console = plain_console()
    others = [place for kind, place in (("params", 3), ("mult_adds", 2)) if kind != cost]
    print_fitting(console, heads, cells, [(place,) for place in (*others, len(heads) - 1)])
    line = f"{len(front)} of {len(known)} networks are not dominated"
    if volume is not None:
        low, high = (
            f"{value:.3f}" if cost == "latency_ms" else short_count(value)
            for value in (box.cheapest, box.most)
        )
        line += (
            f"; hypervolume {volume:.4f} of the rectangle of {low} to {high} {UNITS[cost]} and "
            f"accuracies of {box.least:.4f} to {box.greatest:.4f}"
        )
    console.print(line, soft_wrap=True)


def _own_cost(run: Run) -> CostKind:
    """Return the cost of the run's reward; mult-adds where the journal says none."""
    reward = run.head.settings.get("reward")
    return reward["cost"] if reward else "mult_adds"
