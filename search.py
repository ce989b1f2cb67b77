"""The main job: run a search and export what it finds.

python search.py                      the default experiment: embedded images, local Ray
python search.py EXPERIMENT [overrides]
python search.py EXPERIMENT --controller NAME --space NAME --evaluator NAME [overrides]
                                      with another part; overrides are then of its settings
python search.py STUDY                many searches side by side, one table
python search.py --list               experiments and studies, what they take, what to expect
python search.py --resume DIR         goes on where a run or a study stopped
python search.py --warm-up [EXPERIMENT] [overrides]
                                      compiles the blocks of its children ahead, no search
python search.py --latency-table FILE [EXPERIMENT] [overrides]
                                      times the blocks of its children on this device, no search;
                                      --evaluator.latency-table FILE then sums them
python search.py EXPERIMENT --help    every setting
"""

import contextlib
import dataclasses
import difflib
import os
import sys
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from controllers import CONTROLLERS
from experiments import EXPERIMENTS, STUDIES
from mnas import prepare_commands
from mnas.analysis.comparison import compare
from mnas.analysis.study_table import rows, summaries, write_csv
from mnas.architecture.published import PUBLISHED
from mnas.cli import parse, report_mistakes
from mnas.engines.config import UnusableEngine, check_engine
from mnas.engines.environment import prepare_driver
from mnas.evaluators.proxy import ProxyConfig
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.evaluators.surrogate_fits import predict
from mnas.experiment import run, study
from mnas.experiment.settings import Experiment
from mnas.experiment.study import Study
from mnas.files import read_json, write_json
from mnas.loop.early_stopping import savings
from mnas.loop.search import Search, TooManyFailures
from mnas.prepare_commands import LatencyArguments, WarmUpArguments
from mnas.reports.console import SearchProgress
from mnas.reports.run_report import write_report
from mnas.reports.study_report import summary_table, write_study_report
from mnas.reports.tensorboard import TensorBoard
from search_spaces import SPACES

DEFAULT = "digits"
# Parts of an experiment that can be exchanged whole, by the names the command line takes.
REGISTRIES = {
    "space": SPACES,
    "controller": CONTROLLERS,
    "evaluator": {"proxy": ProxyConfig, "surrogate": SurrogateConfig},
}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """An experiment's settings and where its run goes."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    seed: int | None = None
    """Short for --search.seed."""
    out: str | None = None
    """Directory of the run; runs/EXPERIMENT-N where not given."""


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
                raise ValueError(f"{name} = {getattr(self, name)}; accepted: at least 1")


def main(arguments: list[str]) -> int:
    """The exit status of one call; ValueError for the user's mistakes."""
    if arguments[:1] == ["--list"]:
        return list_experiments(arguments[1:])
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if arguments[:1] == ["--resume"]:
        return resume(arguments[1:])
    if arguments[:1] == ["--warm-up"]:
        return warm_up(*named(arguments[1:]))
    if arguments[:1] == ["--latency-table"]:
        if len(arguments) < 2 or arguments[1].startswith("-"):
            raise ValueError("--latency-table needs a file")
        return latency_table(Path(arguments[1]), *named(arguments[2:]))
    return start(*named(arguments))


def named(arguments: list[str]) -> tuple[str, list[str]]:
    """The experiment's name, which may be left out, and its flags."""
    if arguments and not arguments[0].startswith("-"):
        return arguments[0], arguments[1:]
    return DEFAULT, arguments


def list_experiments(extra: list[str]) -> int:
    """Prints the table of experiments."""
    if extra:
        raise ValueError(f"unknown argument {extra[0]!r}; accepted: --list alone")
    table = Table("experiment", "takes", "expect", box=None, pad_edge=False)
    for name, described in (EXPERIMENTS | STUDIES).items():
        table.add_row(name, described.takes, described.expect)
    Console().print(table)
    return 0


def start(name: str, flags: list[str]) -> int:
    """A new run of the experiment or study `name`, with overrides."""
    if name in STUDIES:
        return start_study(STUDIES[name], flags)
    experiment, flags, description = known_experiment(name, flags)
    chosen = parse(Arguments, f"search.py {name}", flags, Arguments(experiment), description)
    experiment = chosen.experiment
    if chosen.seed is not None:
        seeded = dataclasses.replace(experiment.search, seed=chosen.seed)
        experiment = dataclasses.replace(experiment, search=seeded)
    check(experiment)
    directory = Path(chosen.out) if chosen.out else run.new_directory(Path("runs"), name)
    run.create(experiment, directory)
    return go(experiment, directory)


def known_experiment(name: str, flags: list[str]) -> tuple[Experiment, list[str], str]:
    """The experiment `name` with parts exchanged as the flags say; other flags; a help text."""
    if name not in EXPERIMENTS:
        known = EXPERIMENTS | STUDIES
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"accepted: {', '.join(known)}"
        raise ValueError(f"unknown experiment {name!r}; {hint}")
    parts = (f"--{part} ({', '.join(known)})" for part, known in REGISTRIES.items())
    description = f"Parts to exchange by name, before their settings: {'; '.join(parts)}."
    return *exchange(EXPERIMENTS[name], flags), description


def exchange(experiment: Experiment, flags: list[str]) -> tuple[Experiment, list[str]]:
    """The experiment with the parts that `--controller NAME` and the like name; other flags."""
    rest, words = [], iter(flags)
    for word in words:
        flag, equals, name = word.partition("=")
        part = flag.removeprefix("--")
        if part not in REGISTRIES or not flag.startswith("--"):
            rest.append(word)
            continue
        name = name if equals else next(words, "")
        if name not in REGISTRIES[part]:
            accepted = ", ".join(REGISTRIES[part])
            raise ValueError(f"{flag} {name!r}; accepted: {accepted}")
        if not isinstance(getattr(experiment, part), REGISTRIES[part][name]):
            experiment = dataclasses.replace(experiment, **{part: REGISTRIES[part][name]()})
    return experiment, rest


def warm_up(name: str, flags: list[str]) -> int:
    """Compiles the blocks of an experiment's children into the cache on disk."""
    experiment, flags, description = known_experiment(name, flags)
    given = WarmUpArguments(experiment)
    chosen = parse(WarmUpArguments, f"search.py --warm-up {name}", flags, given, description)
    if not isinstance(chosen.experiment.evaluator, ProxyConfig):
        raise ValueError(
            f"--warm-up: evaluator = {type(chosen.experiment.evaluator).__name__} trains no "
            "networks; accepted: --evaluator proxy"
        )
    check(chosen.experiment)
    return prepare_commands.warm_up(chosen)


def latency_table(path: Path, name: str, flags: list[str]) -> int:
    """Times the blocks of an experiment's children, and perhaps whole networks."""
    experiment, flags, description = known_experiment(name, flags)
    given = LatencyArguments(experiment)
    chosen = parse(LatencyArguments, f"search.py --latency-table {name}", flags, given, description)
    check(chosen.experiment)
    return prepare_commands.time_blocks(path, chosen)


def resume(arguments: list[str]) -> int:
    """Goes on with a run; only its length and its engine may be changed."""
    if not arguments or arguments[0].startswith("-"):
        raise ValueError("--resume needs a run's directory")
    directory = Path(arguments[0])
    if (directory / "study.json").is_file():
        return resume_study(directory, arguments[1:])
    if not (directory / "experiment.json").is_file():
        raise ValueError(f"{directory} holds no run; accepted: a directory that search.py made")
    experiment = run.read_experiment(directory, EXPERIMENTS, REGISTRIES)
    given = Arguments(experiment)
    chosen = parse(Arguments, "search.py --resume", arguments[1:], given)
    moved = chosen.experiment.reference != experiment.reference
    if moved or chosen.out is not None or chosen.seed is not None:
        raise ValueError(
            "--resume keeps the run's directory, seed and reference; accepted: none of them given"
        )
    check(chosen.experiment)
    return go(chosen.experiment, directory)


def check(experiment: Experiment) -> None:
    """Finds mistakes before anything is started or written."""
    check_engine(experiment.engine)
    prepare_driver(experiment.engine)  # JAX must not have started yet
    space = experiment.space.build()
    experiment.controller.build(space)
    check_evaluator = getattr(experiment.evaluator, "check", None)
    if check_evaluator is not None:
        check_evaluator(space.decode([0] * len(space.sizes)))


def go(experiment: Experiment, directory: Path) -> int:
    """Searches to the end, or until stopped, and writes what was found."""
    console = Console(stderr=True, highlight=False)
    progress, events = SearchProgress(), TensorBoard(directory)
    with run.opened(experiment, directory, (events, progress)) as search:
        run.write_experiment(experiment, directory)
        size = search.space.cardinality()
        console.print(f"{experiment.name}: {size:.2g} networks, in {directory}", soft_wrap=True)
        if search.results:
            console.print(f"resumed after {len(search.results)} trials")
        status = 0
        try:
            with progress.follow(search):
                run.drive(experiment, search)
        except UnusableEngine:
            raise
        except ValueError as bug:  # not the user's mistake: those are found before
            raise RuntimeError(f"the search failed; {directory} can be resumed") from bug
        except KeyboardInterrupt:
            console.print(f"stopped; go on with: python search.py --resume {directory}")
            status = 130
        except TooManyFailures as failures:
            console.print(f"search.py: {failures}")
            status = 1
        finally:
            events.close()
        run.write_results(experiment, search, directory)
        write_report([directory], directory / "report.html", predict)
        if status == 0:
            show(experiment, search, directory, console)
            if experiment.finish is not None and search.best is not None:
                experiment.finish(search, directory)
    return status


def show(experiment: Experiment, search: Search, directory: Path, console: Console) -> None:
    """Tells a person what came of it."""
    found = [r.evaluation for r in search.results.values() if r.repeat_of is None]
    stopped, spared = savings((evaluation.epochs, evaluation.stopped) for evaluation in found)
    trained = sum(evaluation.epochs for evaluation in found)
    line = f"\n{len(search.results)} trials, {len(found)} networks evaluated"
    if stopped:
        line += f", {stopped} stopped early: {spared} of {spared + trained} epochs spared"
    console.print(line)
    exported = run.ranking(search)
    if not exported:
        console.print("no child could be evaluated; see report.html")
        return
    best = exported[0]
    by = "" if experiment.search.choice == "measured" else f" by the {experiment.search.choice}"
    console.print(
        f"best{by}: trial {best.trial.number}, reward {best.reward:.4f}, "
        f"accuracy {best.evaluation.accuracy:.4f}, {best.cost.params:,} params, "
        f"{best.cost.mult_adds:,} mult-adds",
        soft_wrap=True,
    )
    for string in best.trial.architecture.to_dict()["blocks"]:
        console.print(f"  {string}")
    if experiment.reference and isinstance(experiment.evaluator, SurrogateConfig):
        reference = PUBLISHED[experiment.reference]
        compared = compare(best.trial.architecture, reference, predict, experiment.reward)
        for fit, (found, theirs) in compared.rewards.items():
            console.print(f"reward by {fit}: found {found:.4f}, {reference.name} {theirs:.4f}")
    console.print(f"written: {directory}/best.json, top.json, report.html")


def start_study(chosen: Study, flags: list[str]) -> int:
    """A new study, all variants and seeds."""
    given = StudyArguments(chosen.seeds, chosen.trials, os.cpu_count() or 1)
    arguments = parse(StudyArguments, f"search.py {chosen.name}", flags, given)
    if (arguments.seeds, arguments.trials) != (chosen.seeds, chosen.trials):
        chosen = chosen.resized(arguments.seeds, arguments.trials)
    for experiment in chosen.variants.values():
        check(experiment)
    if arguments.out:
        directory = Path(arguments.out)
        if directory.exists() and any(directory.iterdir()):
            raise ValueError(f"{directory} is not empty; accepted: a new directory, or --resume")
        directory.mkdir(parents=True, exist_ok=True)
    else:
        directory = run.new_directory(Path("runs"), chosen.name)
    head = {"name": chosen.name, "seeds": chosen.seeds, "trials": chosen.trials}
    write_json(directory / "study.json", head)
    return go_study(chosen, directory, arguments.workers)


def resume_study(directory: Path, flags: list[str]) -> int:
    """Goes on with a study; only the number of workers may be changed."""
    head = read_json(directory / "study.json")
    if not isinstance(head, dict) or head.get("name") not in STUDIES:
        name = head.get("name") if isinstance(head, dict) else head
        raise ValueError(f"{directory}/study.json: name = {name!r}; accepted: {', '.join(STUDIES)}")
    chosen = STUDIES[head["name"]]
    if (head["seeds"], head["trials"]) != (chosen.seeds, chosen.trials):
        chosen = chosen.resized(head["seeds"], head["trials"])
    given = StudyArguments(chosen.seeds, chosen.trials, os.cpu_count() or 1)
    arguments = parse(StudyArguments, "search.py --resume", flags, given)
    if dataclasses.replace(arguments, workers=given.workers) != given:
        raise ValueError("--resume keeps a study's size and directory; accepted: --workers alone")
    return go_study(chosen, directory, arguments.workers)


def go_study(chosen: Study, directory: Path, workers: int) -> int:
    """Runs what is left of a study, prints its table and writes its files."""
    console = Console(stderr=True, highlight=False)
    total = chosen.seeds * len(chosen.variants)
    console.print(
        f"{chosen.name}: {len(chosen.variants)} variants, {chosen.seeds} seeds, "
        f"{chosen.trials:,} samples each, in {directory}",
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

            outcomes = study.drive(chosen, directory, workers, done)
    except KeyboardInterrupt:
        console.print(f"stopped; go on with: python search.py --resume {directory}")
        return 130
    except TooManyFailures as failures:
        console.print(f"search.py: {failures}")
        return 1
    found = rows(chosen, outcomes)
    summarized = summaries(found)
    write_csv(directory / "runs.csv", found)
    write_csv(directory / "table.csv", summarized)
    write_study_report(chosen, outcomes, found, summarized, directory / "report.html")
    heads, lines = summary_table(chosen, summarized)
    table = Table(*heads, box=None, pad_edge=False)
    for line in lines:
        table.add_row(*line)
    # Wider than many a terminal, which then folds the lines; rich would fold every cell.
    Console(stderr=True, highlight=False, width=max(console.width, 160)).print(table)
    if chosen.finish is not None:
        chosen.finish(chosen, outcomes, directory)
    console.print(f"written: {directory}/report.html, table.csv, runs.csv")
    return 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(report_mistakes("search.py", lambda: main(sys.argv[1:])))
