"""Run a study in its directory: many searches side by side, one table."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from mnas.analysis.study_table import Row, Summary, rows, summaries, write_csv
from mnas.cli.arguments import parse
from mnas.cli.command import stop_advice
from mnas.cli.config_file import Settings
from mnas.cli.named_experiment import described
from mnas.cli.run import resume_command
from mnas.cli.study_overrides import overridden, split_flags
from mnas.errors import UsageError, rejected, require_whole
from mnas.experiment import registry, run
from mnas.experiment.study import Study, drive
from mnas.files import read_json, write_json
from mnas.reports.study_report import spread_note, summary_table, write_study_report
from mnas.reports.tensorboard import write_run
from mnas.reports.terminal import plain_console
from mnas.reports.time_left import TimeLeftColumn
from mnas.runtime.pinning import usable_cores

logger = logging.getLogger(__name__)

MAX_SEEDS = 1_000_000
OVERRIDES = (
    "Settings of the experiments (mnas search EXPERIMENT --help), as --reward.target-madds 300M, "
    "are changed in all variants; so are those of --config FILE."
)


@dataclasses.dataclass(frozen=True)
class StudyArguments:
    """Size of a study and its directory."""

    seeds: int
    """Searches of each variant."""
    trials: int
    """Networks sampled in each search."""
    workers: int
    """Searches run in parallel."""
    out: str | None = None
    """Directory of the study; None: runs/STUDY-N."""

    def __post_init__(self) -> None:
        require_whole("study", "seeds", self.seeds, most=MAX_SEEDS)
        for name in ("trials", "workers"):
            require_whole("study", name, getattr(self, name))


def start(
    study: Study, words: list[str], config: Settings | None = None, file: str | None = None
) -> None:
    """Run a new study, all variants and seeds.

    words   flags, of settings of all variants too
    config  settings of a file for all variants
    """
    flags, settings = split_flags(words)
    overrides = {"config": _without_name(config or {}), "flags": settings}
    defaults = StudyArguments(study.seeds, study.trials, usable_cores())
    arguments = parse(
        StudyArguments,
        f"mnas search {study.name}",
        flags,
        defaults,
        described(
            f"Run the study {study.name}: {len(study.variants)} variants "
            f"({', '.join(study.variants)}), several seeds of each, in one table.",
            f"mnas search {study.name} --seeds 3",
            study,
        )
        + "\n\n"
        + OVERRIDES,
    )
    study = _with_overrides(study, overrides, file)
    if (arguments.seeds, arguments.trials) != (study.seeds, study.trials):
        study = study.resized(arguments.seeds, arguments.trials)
    study = study.with_classes_of_data()
    for experiment in study.variants.values():
        run.check(experiment)
    if arguments.out:
        directory = Path(arguments.out)
        if directory.exists() and any(directory.iterdir()):
            raise UsageError(
                f"{directory} is not empty; accepted: a new directory, or mnas resume {directory}"
            )
        directory.mkdir(parents=True, exist_ok=True)
    else:
        directory = run.new_directory(Path("runs"), study.name)
    head = {"name": study.name, "seeds": study.seeds, "trials": study.trials}
    write_json(directory / "study.json", {**head, "overrides": overrides})
    run_study(study, directory, arguments.workers)


def resume(directory: Path, flags: list[str]) -> None:
    """Continue a study; only the number of workers may be changed."""
    study = read_study(directory / "study.json")
    defaults = StudyArguments(study.seeds, study.trials, usable_cores())
    arguments = parse(
        StudyArguments,
        f"mnas resume {directory}",
        flags,
        defaults,
        f"Continue the study {study.name} in {directory}. Only --workers may be changed.",
    )
    if dataclasses.replace(arguments, workers=defaults.workers) != defaults:
        raise UsageError("a resumed study keeps its size and directory; accepted: --workers")
    run_study(study.with_classes_of_data(), directory, arguments.workers)


def read_study(path: Path) -> Study:
    """Return the study that a study.json names, at its size; UsageError that names the file."""
    head = read_json(path)
    name = head.get("name") if isinstance(head, dict) else head
    if not isinstance(name, str):
        raise rejected(str(path), "name", name, "a study's name")
    try:
        study = registry.load("experiment", name)
        if not isinstance(study, Study):
            raise rejected("study", "name", name, "a study's name")
        study = _with_overrides(study, head.get("overrides", {"config": {}, "flags": []}))
        seeds, trials = (head.get(field) for field in ("seeds", "trials"))
        require_whole("study", "seeds", seeds, most=MAX_SEEDS)
        require_whole("study", "trials", trials)
        same = (seeds, trials) == (study.seeds, study.trials)
        return study if same else study.resized(seeds, trials)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _with_overrides(study: Study, overrides: Any, file: str | None = None) -> Study:
    """Return a study with the overrides of its study.json; UsageError where they don't fit.

    file  that holds the settings, for messages
    """
    config = overrides.get("config") if isinstance(overrides, dict) else None
    flags = overrides.get("flags") if isinstance(overrides, dict) else None
    valid = isinstance(config, dict) and isinstance(flags, list)
    if not valid or not all(isinstance(word, str) for word in flags or ()):
        raise rejected("study", "overrides", overrides, "config, settings, and flags, words")
    try:
        return overridden(study, config or {}, flags or [])
    except UsageError as error:
        raise UsageError(f"{file}: {error}" if file and not flags else str(error)) from None


def _without_name(config: Settings) -> Settings:
    return {key: value for key, value in config.items() if key != "name"}


def run_study(study: Study, directory: Path, workers: int) -> None:
    """Run the remaining searches of a study, print its table and write its files.

    Progress and table go to standard error. What ends a study says how to continue it.
    """
    console = plain_console(stderr=True)
    total = study.seeds * len(study.variants)
    console.print(
        f"{study.name}: {len(study.variants)} variants, {study.seeds} seeds, "
        f"{study.trials:,} samples each, in {directory}",
        soft_wrap=True,
    )
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("searches"), TimeLeftColumn())
    with (
        stop_advice(f"to continue: {resume_command(directory)}"),
        Progress(*columns, console=console, disable=not console.is_terminal) as bar,
    ):
        task = bar.add_task("", total=total)

        def done(variant: str, seed: int) -> None:
            bar.advance(task)
            write_run(directory / variant / f"seed-{seed}")
            level = logging.DEBUG if console.is_terminal else logging.INFO
            fields = {"event": "search", "variant": variant, "seed": seed}
            logger.log(level, "done: %s, seed %d", variant, seed, extra={"fields": fields})

        outcomes = drive(study, directory, workers, done)
    table_rows = rows(study, outcomes)
    summarized = summaries(table_rows)
    write_tables(study, table_rows, summarized, directory, console)
    figures = study.finish(study, outcomes, directory) if study.finish is not None else ()
    page = directory / "report.html"
    write_study_report(study, outcomes, table_rows, summarized, page, figures or ())
    console.print(f"written: {directory}/report.html, table.csv, runs.csv", soft_wrap=True)


def write_tables(
    study: Study,
    table_rows: Sequence[Row],
    summarized: Sequence[Summary],
    directory: Path,
    console: Console,
) -> None:
    """Write runs.csv and table.csv of a finished study, and print the table."""
    write_csv(directory / "runs.csv", table_rows)
    write_csv(directory / "table.csv", summarized)
    heads, lines = summary_table(study, summarized)
    table = Table(*heads, box=None, pad_edge=False)
    for line in lines:
        table.add_row(*line)
    # A narrow terminal folds lines; rich, with the terminal's width, would fold every cell.
    plain_console(stderr=True, width=max(console.width, 160)).print(table)
    console.print(spread_note(summarized), soft_wrap=True)
