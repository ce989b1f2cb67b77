"""`mnas search`: run a search and export what it finds.

mnas search                      the default experiment: embedded images, local Ray
mnas search EXPERIMENT [overrides]
mnas search EXPERIMENT --controller NAME --space NAME --evaluator NAME [overrides]
                                 with another part; overrides are then of its settings
mnas search STUDY                many searches side by side, one table
mnas search --list               experiments and studies with their cost and expected result
mnas search --resume DIR         goes on where a run or a study stopped
mnas search --warm-up [EXPERIMENT] [overrides]
                                 compiles the blocks of its children ahead, no search
mnas search --latency-table FILE [EXPERIMENT] [overrides]
                                 times the blocks of its children on this device, no search;
                                 --evaluator.latency-table FILE then sums them
mnas search EXPERIMENT --help    every setting

In a checkout, `python search.py ...` does the same.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from mnas.analysis.comparison import compare
from mnas.architecture.published import PUBLISHED
from mnas.cli import prepare, study
from mnas.cli.arguments import parse
from mnas.engines.config import check_engine
from mnas.engines.environment import prepare_driver
from mnas.errors import UsageError, unknown
from mnas.evaluation import ArchitectureCheck
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.evaluators.surrogate_fits import predict
from mnas.experiment import registry, run
from mnas.experiment.settings import KINDS, Experiment
from mnas.experiment.study import Study
from mnas.loop.early_stopping import savings
from mnas.loop.search import Search, TooManyFailures
from mnas.reports.console import SearchProgress
from mnas.reports.run_report import write_report
from mnas.reports.tensorboard import TensorBoard

DEFAULT = "digits"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """An experiment's settings and where its run goes."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    seed: int | None = None
    """Short for --search.seed."""
    out: str | None = None
    """Directory of the run; runs/EXPERIMENT-N where not given."""


def search(arguments: list[str]) -> int:
    """Run the command; the exit status."""
    match arguments:
        case ["--list", *rest]:
            return list_experiments(rest)
        case ["-h" | "--help", *_]:
            print(__doc__)
            return 0
        case ["--resume", *rest]:
            return resume(rest)
        case ["--warm-up", *rest]:
            return warm_up(*split_name(rest))
        case ["--latency-table", file, *rest] if not file.startswith("-"):
            return latency_table(Path(file), *split_name(rest))
        case ["--latency-table", *_]:
            raise UsageError("--latency-table needs a file")
    return start(*split_name(arguments))


def split_name(arguments: list[str]) -> tuple[str, list[str]]:
    """Return the experiment's name, which may be left out, and its flags."""
    if arguments and not arguments[0].startswith("-"):
        return arguments[0], arguments[1:]
    return DEFAULT, arguments


def list_experiments(extra: list[str]) -> int:
    """Print the table of experiments and studies."""
    if extra:
        raise UsageError(f"unknown argument {extra[0]!r}; accepted: --list alone")
    table = Table("experiment", "takes", "expect", box=None, pad_edge=False)
    for name, entry in registry.entries("experiment").items():
        try:
            described = entry.load()
        except Exception as error:  # somebody else's package must not hide the others
            table.add_row(name, "", f"can't be loaded: {type(error).__name__}: {error}")
        else:
            table.add_row(name, described.takes, described.expect)
    Console().print(table)
    return 0


def start(name: str, flags: list[str]) -> int:
    """Start a new run of the experiment or study `name`, with overrides."""
    known = registry.load("experiment", name)
    if isinstance(known, Study):
        return study.start(known, flags, check)
    experiment, flags = exchange(known, flags)
    arguments = parse(
        Arguments, f"mnas search {name}", flags, Arguments(experiment), parts_description()
    )
    experiment = arguments.experiment
    if arguments.seed is not None:
        seeded = dataclasses.replace(experiment.search, seed=arguments.seed)
        experiment = dataclasses.replace(experiment, search=seeded)
    check(experiment)
    directory = Path(arguments.out) if arguments.out else run.new_directory(Path("runs"), name)
    run.create(experiment, directory)
    return go(experiment, directory)


def load_experiment(name: str) -> Experiment:
    """Return the registered experiment `name`; UsageError for a study."""
    known = registry.load("experiment", name)
    if not isinstance(known, Experiment):
        raise UsageError(f"{name} is a study; accepted: an experiment")
    return known


def parts_description() -> str:
    """Return the help text about parts that are exchanged whole."""
    parts = (f"--{part} ({', '.join(registry.entries(part))})" for part in KINDS)
    return f"Parts to exchange by name, before their settings: {'; '.join(parts)}."


def exchange(experiment: Experiment, flags: list[str]) -> tuple[Experiment, list[str]]:
    """Return the experiment with the parts named by `--controller NAME` etc., and other flags."""
    rest, words = [], iter(flags)
    for word in words:
        flag, equals, name = word.partition("=")
        part = flag.removeprefix("--")
        if part not in KINDS or not flag.startswith("--"):
            rest.append(word)
            continue
        name = name if equals else next(words, "")
        if name not in registry.entries(part):
            raise unknown(part, name, registry.entries(part))
        kind = registry.load(part, name)
        if not isinstance(getattr(experiment, part), kind):
            experiment = dataclasses.replace(experiment, **{part: kind()})
    return experiment, rest


def warm_up(name: str, flags: list[str]) -> int:
    """Compile the blocks of an experiment's children into the cache on disk."""
    experiment, flags = exchange(load_experiment(name), flags)
    arguments = parse(
        prepare.WarmUpArguments,
        f"mnas search --warm-up {name}",
        flags,
        prepare.WarmUpArguments(experiment),
        parts_description(),
    )
    check(arguments.experiment)
    return prepare.warm_up(arguments)


def latency_table(path: Path, name: str, flags: list[str]) -> int:
    """Time the blocks of an experiment's children, and perhaps whole networks."""
    experiment, flags = exchange(load_experiment(name), flags)
    arguments = parse(
        prepare.LatencyArguments,
        f"mnas search --latency-table {name}",
        flags,
        prepare.LatencyArguments(experiment),
        parts_description(),
    )
    check(arguments.experiment)
    return prepare.time_blocks(path, arguments)


def resume(arguments: list[str]) -> int:
    """Go on with a run; only its length and its engine may be changed."""
    if not arguments or arguments[0].startswith("-"):
        raise UsageError("--resume needs a run's directory")
    directory = Path(arguments[0])
    if (directory / "study.json").is_file():
        return study.resume(directory, arguments[1:])
    if not (directory / "experiment.json").is_file():
        raise UsageError(f"{directory} holds no run; accepted: a directory that mnas search made")
    experiment = run.read_experiment(directory)
    parsed = parse(Arguments, "mnas search --resume", arguments[1:], Arguments(experiment))
    moved = parsed.experiment.reference != experiment.reference
    if moved or parsed.out is not None or parsed.seed is not None:
        raise UsageError(
            "--resume keeps the run's directory, seed and reference; accepted: none of them given"
        )
    check(parsed.experiment)
    return go(parsed.experiment, directory)


def check(experiment: Experiment) -> None:
    """Find mistakes before anything is started or written; UsageError names the first."""
    check_engine(experiment.engine)
    prepare_driver(experiment.engine)  # JAX must not have started yet
    space = experiment.space.build()
    experiment.controller.build(space)
    if isinstance(experiment.evaluator, ArchitectureCheck):
        experiment.evaluator.check(space.decode([0] * len(space.sizes)))


def go(experiment: Experiment, directory: Path) -> int:
    """Search to the end, or until stopped, and write what was found."""
    console = Console(stderr=True, highlight=False)
    progress, events = SearchProgress(), TensorBoard(directory)
    with run.opened(experiment, directory, (events, progress)) as opened:
        run.write_experiment(experiment, directory)
        size = opened.space.cardinality()
        console.print(f"{experiment.name}: {size:.2g} networks, in {directory}", soft_wrap=True)
        if opened.results:
            console.print(f"resumed after {len(opened.results)} trials")
        status = 0
        try:
            with progress.follow(opened):
                run.drive(experiment, opened)
        except KeyboardInterrupt:
            console.print(f"stopped; go on with: mnas search --resume {directory}")
            status = 130
        except TooManyFailures as failures:
            console.print(f"mnas search: {failures}")
            status = 1
        finally:
            events.close()
        run.write_results(experiment, opened, directory)
        write_report([directory], directory / "report.html", predict)
        if status == 0:
            show(experiment, opened, directory, console)
            if experiment.finish is not None and opened.best is not None:
                experiment.finish(opened, directory)
    return status


def show(experiment: Experiment, finished: Search, directory: Path, console: Console) -> None:
    """Print what came of the search."""
    evaluations = [r.evaluation for r in finished.results.values() if r.duplicate_of is None]
    stopped, spared = savings((evaluation.epochs, evaluation.stopped) for evaluation in evaluations)
    trained = sum(evaluation.epochs for evaluation in evaluations)
    line = f"\n{len(finished.results)} trials, {len(evaluations)} networks evaluated"
    if stopped:
        line += f", {stopped} stopped early: {spared} of {spared + trained} epochs spared"
    console.print(line)
    exported = run.ranking(finished)
    if not exported:
        console.print("no child could be evaluated; see report.html")
        return
    best = exported[0]
    by = "" if experiment.search.selection == "measured" else f" by the {experiment.search.selection}"
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
        for fit, (ours, theirs) in compared.rewards.items():
            console.print(f"reward by {fit}: found {ours:.4f}, {reference.name} {theirs:.4f}")
    console.print(f"written: {directory}/best.json, top.json, report.html")
