"""`mnas report`: one page about runs."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro

from mnas.cli.arguments import parse
from mnas.errors import UsageError


@dataclasses.dataclass(frozen=True)
class ReportArguments:
    """One self-contained HTML page about one run or several."""

    directories: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Directories of runs."""
    out: str | None = None
    """File to write; report.html in the first directory where not given."""


def report(arguments: list[str]) -> None:
    """`mnas report`."""
    from mnas.evaluators.surrogate_fits import predict
    from mnas.reports.run_report import write_report

    chosen = parse(ReportArguments, "mnas report", arguments, tyro.MISSING_NONPROP)
    if not chosen.directories:
        raise UsageError("no run named; accepted: one directory or more")
    directories = [Path(name) for name in chosen.directories]
    out = Path(chosen.out) if chosen.out else directories[0] / "report.html"
    write_report(directories, out, predict)
    print(f"written: {out}", file=sys.stderr)
