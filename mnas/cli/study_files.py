"""Tables and pages of a study: of the study itself, and of each of its runs."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from mnas.analysis.study_table import Row, Summary, rows, summaries, write_csv
from mnas.evaluators.surrogate_fits import predict
from mnas.experiment.study import Outcome, Study
from mnas.reports.run_report import write_report
from mnas.reports.study_report import spread_note, summary_table, write_study_report
from mnas.reports.terminal import plain_console
from mnas.reports.time_left import TimeLeftColumn

logger = logging.getLogger(__name__)

PAGE = "report.html"


def write_page(directory: Path) -> None:
    """Write the page of a run of a study, to which that of the study leads."""
    write_report([directory], directory / PAGE, predict)


def write_files(
    study: Study,
    outcomes: Sequence[Outcome],
    directory: Path,
    page: Path,
    exports: Path | None = None,
) -> None:
    """Write and print the tables of a study, and write its page and those of its runs.

    outcomes  of the searches that are finished; `study.finish` needs all of them
    exports   directory of the figures and tables as files of their own; None: none are written
    """
    console = plain_console(stderr=True)
    write_pages(outcomes, console)
    table_rows = rows(study, outcomes)
    summarized = summaries(table_rows)
    write_tables(study, table_rows, summarized, directory, console)
    complete = len(outcomes) == study.seeds * len(study.variants)
    figures: Sequence[Any] | None = None
    if complete and study.finish is not None:
        figures = study.finish(study, outcomes, directory)
    write_study_report(study, outcomes, table_rows, summarized, page, figures or (), exports)


def write_pages(outcomes: Sequence[Outcome], console: Console) -> None:
    """Write the pages of runs that have none, or one that is older than their journal."""
    lacking = [o.run.directory for o in outcomes if not _has_page(o.run.directory)]
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("pages of runs"), TimeLeftColumn())
    shown = console.is_terminal and len(lacking) > 1
    with Progress(*columns, console=console, disable=not shown, transient=True) as bar:
        for directory in bar.track(lacking):
            write_page(directory)


def _has_page(directory: Path) -> bool:
    page = directory / PAGE
    written = (directory / "journal.jsonl").stat().st_mtime_ns
    return page.is_file() and page.stat().st_mtime_ns >= written


def write_tables(
    study: Study,
    table_rows: Sequence[Row],
    summarized: Sequence[Summary],
    directory: Path,
    console: Console,
) -> None:
    """Write runs.csv and table.csv of a study, and print the table."""
    write_csv(directory / "runs.csv", table_rows)
    write_csv(directory / "table.csv", summarized)
    heads, lines = summary_table(study, summarized)
    table = Table(*heads, box=None, pad_edge=False)
    for line in lines:
        table.add_row(*line)
    # A narrow terminal folds lines; rich, with the terminal's width, would fold every cell.
    plain_console(stderr=True, width=max(console.width, 160)).print(table)
    console.print(spread_note(summarized), soft_wrap=True)
