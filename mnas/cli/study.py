"""Run a study in its directory: many searches side by side, one table."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from mnas.cli.arguments import parse
from mnas.cli.command import stop_advice
from mnas.cli.config_file import Settings
from mnas.cli.named_experiment import described
from mnas.cli.run import resume_command
from mnas.cli.study_files import PAGE, write_files, write_page
from mnas.cli.study_overrides import overridden, split_flags
from mnas.errors import UsageError, rejected, require_whole
from mnas.experiment import registry, run
from mnas.experiment.study import Study, drive
from mnas.experiment.tracking import load_tracker
from mnas.files import read_json, write_json
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
    track: tuple[str, ...] = ()
    """Trackers by name that each search is logged to, beside TensorBoard: wandb, mlflow."""

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
    for tracker in arguments.track:
        load_tracker(tracker)
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
    head |= {"overrides": overrides, "trackers": [*arguments.track]}
    write_json(directory / "study.json", head)
    run_study(study, directory, arguments.workers, arguments.track)


def resume(directory: Path, flags: list[str]) -> None:
    """Continue a study; the number of workers may be changed, and trackers be added."""
    path = directory / "study.json"
    study, before = read_study(path), read_trackers(path)
    defaults = StudyArguments(study.seeds, study.trials, usable_cores())
    arguments = parse(
        StudyArguments,
        f"mnas resume {directory}",
        flags,
        defaults,
        f"Continue the study {study.name} in {directory}. Only --workers may be changed; --track "
        "adds trackers, which get all records.",
    )
    if dataclasses.replace(arguments, workers=defaults.workers, track=()) != defaults:
        raise UsageError(
            "a resumed study keeps its size and directory; accepted: --workers and --track"
        )
    for tracker in arguments.track:
        load_tracker(tracker)
    trackers = tuple(dict.fromkeys([*arguments.track, *filter(_is_usable, before)]))
    if not set(arguments.track) <= set(before):
        write_json(path, {**read_json(path), "trackers": [*dict.fromkeys([*before, *trackers])]})
    run_study(study.with_classes_of_data(), directory, arguments.workers, trackers)


def _is_usable(tracker: str) -> bool:
    """Return whether a tracker can be loaded; where it can't, that is a warning."""
    try:
        load_tracker(tracker)
    except UsageError as error:
        logger.warning("%s; the study goes on without it", error)
        return False
    return True


def read_trackers(path: Path) -> list[str]:
    """Return the names of a study's trackers in its study.json; UsageError for no list of names."""
    found = read_json(path).get("trackers", [])
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise rejected(str(path), "trackers", found, "names of trackers")
    return found


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


def run_study(study: Study, directory: Path, workers: int, trackers: Sequence[str] = ()) -> None:
    """Run the remaining searches of a study, print its table and write its files.

    trackers  by name, of every search

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

        outcomes = drive(study, directory, workers, done, trackers, write_page)
    write_files(study, outcomes, directory, directory / PAGE)
    console.print(f"written: {directory}/{PAGE}, table.csv, runs.csv", soft_wrap=True)
