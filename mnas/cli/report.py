"""`mnas report`: one page about runs."""

import dataclasses
import logging
from pathlib import Path
from typing import Annotated

import tyro

from mnas.cli.arguments import parse
from mnas.errors import UsageError
from mnas.evaluators.surrogate_fits import predict

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ReportArguments:
    """Write one self-contained HTML page about one or several runs.

    Runs of one experiment are shown as their mean with a band. A run may still be in progress.

    Example: mnas report runs/digits-1 runs/digits-2 --out both.html --figures figures
    """

    directories: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR [DIR ...]")
    ]
    """Directories of runs, or journals of searches in Python."""
    out: str | None = None
    """File to write; None: report.html in the first run's directory."""
    figures: str | None = None
    """Directory for each figure as SVG and PNG, and tables as CSV and LaTeX; needs
    pip install 'mnas[figures]'."""


def main(arguments: list[str]) -> None:
    """Run `mnas report`."""
    options = parse(ReportArguments, "mnas report", arguments)
    if not options.directories:
        raise UsageError("no run given; accepted: mnas report DIR [DIR ...]")
    directories = [Path(name) for name in options.directories]
    from mnas.reports.run_report import write_report  # imports jinja2

    first = directories[0].parent if directories[0].is_file() else directories[0]
    out = Path(options.out) if options.out else first / "report.html"
    figures = Path(options.figures) if options.figures else None
    written = write_report(directories, out, predict, figures)
    more = f", and {len(written) - 1} files in {figures}" if figures else ""
    logger.info("written: %s%s", out, more)
