"""Join several runs of scaling-dimensions, one a seed, in one table and one plot.

Command   python -m mnas.experiments.scaling_seeds RUN RUN ... [--out DIR]
Cost      seconds
Expect    scaling.csv and scaling.svg with mean and standard deviation over the seeds
"""

import csv
import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro

from mnas.cli.arguments import parse
from mnas.cli.command import run_command
from mnas.errors import UsageError
from mnas.experiment import run
from mnas.experiments.scaling_dimensions import Row, write


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Join several runs of scaling-dimensions, one a seed, in one table and one plot."""

    directories: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Directories of the runs."""
    out: str | None = None
    """Output directory of scaling.csv and scaling.svg; a new one in runs/ by default."""


def read(path: Path) -> list[Row]:
    """Return the rows of a scaling.csv.

    Raises UsageError if the file can't be read or has other columns.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    types = Row.__annotations__
    if any(set(line) != set(types) for line in lines):
        raise UsageError(f"{path}: {', '.join(lines[0])}; accepted: columns {', '.join(types)}")
    return [Row(**{name: type_(line[name]) for name, type_ in types.items()}) for line in lines]


def main(flags: list[str]) -> int:
    """Join the runs named in `flags`; return the exit status."""
    arguments = parse(Arguments, "mnas.experiments.scaling_seeds", flags, tyro.MISSING_NONPROP)
    if not arguments.directories:
        raise UsageError("no run named; accepted: one directory or more")
    rows = [row for name in arguments.directories for row in read(Path(name) / "scaling.csv")]
    if arguments.out:
        out = Path(arguments.out)
    else:
        out = run.new_directory(Path("runs"), "scaling-dimensions-seeds")
    out.mkdir(parents=True, exist_ok=True)
    write(rows, out)
    return 0


if __name__ == "__main__":
    sys.exit(run_command("mnas.experiments.scaling_seeds", lambda: main(sys.argv[1:])))
