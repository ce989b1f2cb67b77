"""Several runs of scaling-dimensions, of different seeds, in one table and one plot.

    python -m mnas.experiments.scaling_seeds runs/scaling-dimensions-1 runs/scaling-dimensions-2
    python -m mnas.experiments.scaling_seeds RUN ... --out figure

Writes scaling.csv and scaling.svg; `mnas.experiments.scaling_dimensions` says what they show.
"""

import csv
import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro
from mnas.experiments.scaling_dimensions import Row, write

from mnas.cli.arguments import parse, report_mistakes
from mnas.errors import UsageError
from mnas.experiment import run


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Several runs of scaling-dimensions, of different seeds, in one table and one plot."""

    directories: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Directories of runs."""
    out: str | None = None
    """Directory for scaling.csv and scaling.svg; a new one in runs where not given."""


def read(path: Path) -> list[Row]:
    """The rows of a scaling.csv; ValueError where there is none."""
    try:
        with open(path, newline="") as file:
            lines = list(csv.DictReader(file))
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    kinds = Row.__annotations__
    if any(set(line) != set(kinds) for line in lines):
        raise UsageError(f"{path}: {', '.join(lines[0])}; accepted: columns {', '.join(kinds)}")
    return [Row(**{name: kind(line[name]) for name, kind in kinds.items()}) for line in lines]


def main(flags: list[str]) -> int:
    """Puts runs together."""
    chosen = parse(Arguments, "mnas.experiments.scaling_seeds", flags, tyro.MISSING_NONPROP)
    if not chosen.directories:
        raise UsageError("no run named; accepted: one directory or more")
    rows = [row for name in chosen.directories for row in read(Path(name) / "scaling.csv")]
    given = chosen.out and Path(chosen.out)
    out = given or run.new_directory(Path("runs"), "scaling-dimensions-seeds")
    out.mkdir(parents=True, exist_ok=True)
    write(rows, out)
    return 0


if __name__ == "__main__":
    sys.exit(report_mistakes("mnas.experiments.scaling_seeds", lambda: main(sys.argv[1:])))
