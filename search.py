"""The main job: run a search and export what it finds.

python search.py                      the default experiment: embedded images, local Ray
python search.py EXPERIMENT [overrides]
python search.py --list               the experiments, what each takes and what to expect
python search.py --resume DIR         goes on where a run stopped
python search.py EXPERIMENT --help    every setting
"""

import contextlib
import dataclasses
import difflib
import sys
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from experiments import EXPERIMENTS
from mnas import engines, run
from mnas.cli import parse, report_mistakes
from mnas.experiment import Experiment
from mnas.loop import Search, TooManyFailures
from mnas.progress import SearchProgress
from mnas.report import write_report
from mnas.tensorboard import TensorBoard

DEFAULT = "digits"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """An experiment's settings and where its run goes."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    seed: int | None = None
    """Short for --search.seed."""
    out: str | None = None
    """Directory of the run; runs/EXPERIMENT-N where not given."""


def main(arguments: list[str]) -> int:
    """The exit status of one call; ValueError for the user's mistakes."""
    if arguments[:1] == ["--list"]:
        return list_experiments(arguments[1:])
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if arguments[:1] == ["--resume"]:
        return resume(arguments[1:])
    name = DEFAULT
    if arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
    return start(name, arguments)


def list_experiments(extra: list[str]) -> int:
    """Prints the table of experiments."""
    if extra:
        raise ValueError(f"unknown argument {extra[0]!r}; accepted: --list alone")
    table = Table("experiment", "takes", "expect", box=None, pad_edge=False)
    for name, experiment in EXPERIMENTS.items():
        table.add_row(name, experiment.takes, experiment.expect)
    Console().print(table)
    return 0


def start(name: str, flags: list[str]) -> int:
    """A new run of the experiment `name`, with overrides."""
    if name not in EXPERIMENTS:
        near = difflib.get_close_matches(name, EXPERIMENTS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"accepted: {', '.join(EXPERIMENTS)}"
        raise ValueError(f"unknown experiment {name!r}; {hint}")
    chosen = parse(Arguments, f"search.py {name}", flags, Arguments(EXPERIMENTS[name]))
    experiment = chosen.experiment
    if chosen.seed is not None:
        seeded = dataclasses.replace(experiment.search, seed=chosen.seed)
        experiment = dataclasses.replace(experiment, search=seeded)
    check(experiment)
    if chosen.out:
        directory = Path(chosen.out)
        run.create(experiment, directory)
    else:
        directory = run.new_directory(Path("runs"), name)
        run.create(experiment, directory)
    return go(experiment, directory)


def resume(arguments: list[str]) -> int:
    """Goes on with a run; only its length and its engine may be changed."""
    if not arguments or arguments[0].startswith("-"):
        raise ValueError("--resume needs a run's directory")
    directory = Path(arguments[0])
    if not (directory / "experiment.json").is_file():
        raise ValueError(f"{directory} holds no run; accepted: a directory that search.py made")
    experiment = run.read_experiment(directory, EXPERIMENTS)
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
    engines.check(experiment.engine)
    engines.prepare_driver(experiment.engine)  # JAX must not have started yet
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
        except engines.UnusableEngine:
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
        write_report([directory], directory / "report.html")
        if status == 0:
            show(search, directory, console)
    return status


def show(search: Search, directory: Path, console: Console) -> None:
    """Tells a person what came of it."""
    trained = sum(result.repeat_of is None for result in search.results.values())
    console.print(f"\n{len(search.results)} trials, {trained} networks evaluated")
    best = search.best
    if best is None:
        console.print("no child could be evaluated; see report.html")
        return
    console.print(
        f"best: trial {best.trial.number}, reward {best.reward:.4f}, "
        f"accuracy {best.evaluation.accuracy:.4f}, {best.cost.params:,} params, "
        f"{best.cost.mult_adds:,} mult-adds",
        soft_wrap=True,
    )
    for string in best.trial.architecture.to_dict()["blocks"]:
        console.print(f"  {string}")
    console.print(f"written: {directory}/best.json, top.json, report.html")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(report_mistakes("search.py", lambda: main(sys.argv[1:])))
