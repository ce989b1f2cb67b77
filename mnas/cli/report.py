"""`mnas report`: one page about runs, or about a study."""

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
    """Write one self-contained HTML page about one or several runs, or about a study.

    Runs of one experiment are shown as their mean with a band. A run may still be in progress. The
    page of a study has the searches that are finished, and leads to a page of each.

    Example: mnas report runs/digits-1 runs/digits-2 --out both.html --figures figures
    """

    directories: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR [DIR ...]")
    ]
    """Directories of runs, or journals of searches in Python; or the directory of a study."""
    out: str | None = None
    """File to write; None: report.html in the directory, that of the first run."""
    figures: str | None = None
    """Directory for each figure as SVG and PNG, and tables as CSV and LaTeX; needs
    pip install 'mnas[figures]'."""


def main(arguments: list[str]) -> None:
    """Run `mnas report`."""
    options = parse(ReportArguments, "mnas report", arguments)
    if not options.directories:
        raise UsageError("no run given; accepted: mnas report DIR [DIR ...]")
    directories = [Path(name) for name in options.directories]
    studies = [directory for directory in directories if (directory / "study.json").is_file()]
    if studies:
        if len(directories) > 1:
            raise UsageError(f"{studies[0]} is a study; accepted: it alone, or runs")
        _report_study(studies[0], options)
        return
    from mnas.reports.run_report import write_report  # imports jinja2

    first = directories[0].parent if directories[0].is_file() else directories[0]
    out = Path(options.out) if options.out else first / "report.html"
    figures = Path(options.figures) if options.figures else None
    written = write_report(directories, out, predict, figures)
    more = f", and {len(written) - 1} files in {figures}" if figures else ""
    logger.info("written: %s%s", out, more)


def _report_study(directory: Path, options: ReportArguments) -> None:
    """Write the pages of a study and of its runs."""
    # These import JAX, which takes a second.
    from mnas.cli.study import read_study
    from mnas.cli.study_files import PAGE, write_files
    from mnas.experiment.study import finished_outcomes

    study = read_study(directory / "study.json")
    outcomes = finished_outcomes(study, directory)
    if not outcomes:
        raise UsageError(
            f"{directory}: no search of the study is finished; accepted: after the first one "
            f"(mnas resume {directory})"
        )
    out = Path(options.out) if options.out else directory / PAGE
    exports = Path(options.figures) if options.figures else None
    write_files(study, outcomes, directory, out, exports)
    searches = study.seeds * len(study.variants)
    of_all = f", of {len(outcomes)} of {searches} searches" if len(outcomes) < searches else ""
    more = f", and figures and tables in {exports}" if exports else ""
    logger.info("written: %s%s%s", out, of_all, more)
