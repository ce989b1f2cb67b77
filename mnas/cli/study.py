"""Start and resume studies: many searches side by side, one table."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from mnas.analysis.study_table import rows, summaries, write_csv
from mnas.cli.arguments import parse
from mnas.errors import UsageError
from mnas.experiment import registry, run
from mnas.experiment.settings import Experiment
from mnas.experiment.study import Study, drive
from mnas.files import read_json, write_json
from mnas.loop.search import TooManyFailures
from mnas.reports.study_report import summary_table, write_study_report


@dataclasses.dataclass(frozen=True)
class StudyArguments:
    """The size of a study and where it goes."""

    seeds: int
    """Searches of each variant."""
    trials: int
    """Samples of each search."""
    workers: int
    """Searches at the same time."""
    out: str | None = None
    """Directory of the study; runs/STUDY-N where not given."""

    def __post_init__(self) -> None:
        for name in ("seeds", "trials", "workers"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} = {getattr(self, name)}; accepted: at least 1")


def start(study: Study, flags: list[str], check: Callable[[Experiment], None]) -> int:
    """Run a new study, all variants and seeds; the exit status.

    `check` raises UsageError for an experiment that can't run.
    """
    defaults = StudyArguments(study.seeds, study.trials, os.cpu_count() or 1)
    arguments = parse(StudyArguments, f"mnas search {study.name}", flags, defaults)
    if (arguments.seeds, arguments.trials) != (study.seeds, study.trials):
        study = study.resized(arguments.seeds, arguments.trials)
    for experiment in study.variants.values():
        check(experiment)
    if arguments.out:
        directory = Path(arguments.out)
        if directory.exists() and any(directory.iterdir()):
            raise UsageError(f"{directory} is not empty; accepted: a new directory, or --resume")
        directory.mkdir(parents=True, exist_ok=True)
    else:
        directory = run.new_directory(Path("runs"), study.name)
    head = {"name": study.name, "seeds": study.seeds, "trials": study.trials}
    write_json(directory / "study.json", head)
    return go(study, directory, arguments.workers)


def resume(directory: Path, flags: list[str]) -> int:
    """Go on with a study; only the number of workers may be changed."""
    path = directory / "study.json"
    head = read_json(path)
    name = head.get("name") if isinstance(head, dict) else head
    if not isinstance(name, str):
        raise UsageError(f"{path}: name = {name!r}; accepted: a study's name")
    study = registry.load("experiment", name)
    if not isinstance(study, Study):
        raise UsageError(f"{path}: name = {name!r}; accepted: a study's name")
    if (head["seeds"], head["trials"]) != (study.seeds, study.trials):
        study = study.resized(head["seeds"], head["trials"])
    defaults = StudyArguments(study.seeds, study.trials, os.cpu_count() or 1)
    arguments = parse(StudyArguments, "mnas search --resume", flags, defaults)
    if dataclasses.replace(arguments, workers=defaults.workers) != defaults:
        raise UsageError("--resume keeps a study's size and directory; accepted: --workers alone")
    return go(study, directory, arguments.workers)


def go(study: Study, directory: Path, workers: int) -> int:
    """Run what is left of a study, print its table and write its files."""
    console = Console(stderr=True, highlight=False)
    total = study.seeds * len(study.variants)
    console.print(
        f"{study.name}: {len(study.variants)} variants, {study.seeds} seeds, "
        f"{study.trials:,} samples each, in {directory}",
        soft_wrap=True,
    )
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("searches"), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=total)

            def done(variant: str, seed: int) -> None:
                bar.advance(task)
                if not console.is_terminal:
                    console.print(f"done: {variant}, seed {seed}")

            outcomes = drive(study, directory, workers, done)
    except KeyboardInterrupt:
        console.print(f"stopped; go on with: mnas search --resume {directory}")
        return 130
    except TooManyFailures as failures:
        console.print(f"mnas search: {failures}")
        return 1
    table_rows = rows(study, outcomes)
    summarized = summaries(table_rows)
    write_csv(directory / "runs.csv", table_rows)
    write_csv(directory / "table.csv", summarized)
    write_study_report(study, outcomes, table_rows, summarized, directory / "report.html")
    heads, lines = summary_table(study, summarized)
    table = Table(*heads, box=None, pad_edge=False)
    for line in lines:
        table.add_row(*line)
    # Wider than many a terminal, which then folds the lines; rich would fold every cell.
    Console(stderr=True, highlight=False, width=max(console.width, 160)).print(table)
    if study.finish is not None:
        study.finish(study, outcomes, directory)
    console.print(f"written: {directory}/report.html, table.csv, runs.csv")
    return 0
