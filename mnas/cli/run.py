"""Run an experiment in its directory: progress, files, summary."""

import contextlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from mnas.analysis.comparison import compare
from mnas.architecture.published import PUBLISHED
from mnas.cli.arguments import rows_table
from mnas.cli.command import stop_advice
from mnas.errors import RunFailure, UsageError
from mnas.evaluation import DataDescription, unwrapped
from mnas.evaluators.proxy import ProxyConfig
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.evaluators.surrogate_fits import predict
from mnas.experiment import automatic, registry, run, sessions
from mnas.experiment.settings import Experiment
from mnas.experiment.tracking import Tracking, tracked
from mnas.loop.early_stopping import savings
from mnas.loop.records import ResultRecord
from mnas.loop.remeasuring import ranked as ranked_results
from mnas.loop.search import Search
from mnas.loop.spending import spending
from mnas.reports import remeasured_table
from mnas.reports.console import SearchProgress
from mnas.reports.run_report import write_report
from mnas.reports.tensorboard import TensorBoard
from mnas.reports.terminal import plain_console


def run_experiment(
    experiment: Experiment, directory: Path, trackers: Sequence[Tracking] = ()
) -> None:
    """Run a new or resumed search until it is done or interrupted, and write its files.

    Progress and summary go to standard error. Raises KeyboardInterrupt and RunFailure after writing
    the results so far; with what else ends a run, they say how to continue.
    """
    console = plain_console(stderr=True)
    progress = SearchProgress(registry.accuracy_word(experiment.kinds()))
    events = TensorBoard(directory, experiment.settings())
    with (
        run.opened(experiment, directory, (events, progress, *trackers)) as search,
        stop_advice(f"to continue: {resume_command(directory)}"),
        tracked(trackers, search),
    ):
        run.write_experiment(experiment, directory, sessions.extended(directory, experiment))
        size = search.space.cardinality()
        console.print(f"{experiment.name}: {size:.2g} networks, in {directory}", soft_wrap=True)
        if isinstance(experiment.evaluator, DataDescription):
            line = experiment.evaluator.describe_data()
            if line is not None:
                console.print(f"data: {line}", soft_wrap=True)
        print_choices(experiment, search, console)
        if search.results:
            console.print(f"resumed after {len(search.results)} trials")
        try:
            events.follow(
                [
                    *map(ResultRecord.of, search.results.values()),
                    *search.rounds.all,
                    *search.rounds.measured.values(),
                ]
            )
            with progress.follow(search):
                run.drive(experiment, search, progress.prepare)
        except (KeyboardInterrupt, RunFailure):
            # What ended the run is to be told, not what follows from it: a full disk, say.
            with contextlib.suppress(OSError, UsageError):
                write_files(experiment, search, directory)
            raise
        finally:
            events.close()
        write_files(experiment, search, directory)
        print_summary(experiment, search, directory, console)
        if experiment.finish is not None and search.best is not None:
            experiment.finish(search, directory)


def print_choices(experiment: Experiment, search: Search, console: Console) -> None:
    """Print how and on what children are trained, and where their images are kept."""
    evaluator = unwrapped(automatic.resolved(experiment).evaluator)
    if isinstance(evaluator, ProxyConfig):
        how = "block by block" if evaluator.program == "blocks" else "each compiled as a whole"
        on = f"{evaluator.training.precision}, on the {automatic.backend(experiment)}"
        console.print(f"children: {how}, {on}")
    first = search.space.decode([0] * len(search.space.sizes))
    images = automatic.describe_images(experiment, first)
    if images is not None:
        console.print(f"images: {images}", soft_wrap=True)


def write_files(experiment: Experiment, search: Search, directory: Path) -> None:
    """Write specs and report of the results so far."""
    run.write_results(experiment, search, directory)
    write_report([directory], directory / "report.html", predict)


def resume_command(directory: Path) -> str:
    """Return the command that continues the run or study in `directory`."""
    return f"mnas resume {shlex.quote(str(directory))}"


def spending_lines(timings: Sequence[Mapping[str, float]]) -> list[str]:
    """Return lines about processor time and inherited blocks of evaluations that measured them."""
    lines = []
    spent = spending(timings)
    if spent is not None:
        line = f"cost: {spent.per_child:.1f} CPU-seconds a child"
        if spent.shared:
            line += f", of which {spent.shared / spent.evaluations:.1f} of the weight bank"
            line += f" ({spent.shared:,.0f} in all)"
        lines.append(line)
    inherited, new = (
        int(sum(of_one.get(name, 0) for of_one in timings))
        for name in ("inherited_blocks", "new_blocks")
    )
    if inherited:
        lines.append(f"blocks of children: {inherited:,} of the weight bank, {new:,} new")
    return lines


def print_summary(
    experiment: Experiment, search: Search, directory: Path, console: Console
) -> None:
    """Print trial counts, the best architecture and the files of a finished search."""
    evaluations = [r.evaluation for r in search.results.values() if r.duplicate_of is None]
    stopped, saved = savings((evaluation.epochs, evaluation.stopped) for evaluation in evaluations)
    trained = sum(evaluation.epochs for evaluation in evaluations)
    line = f"\n{len(search.results)} trials, {len(evaluations)} networks evaluated"
    if stopped:
        line += f", {stopped} stopped early, which saved {saved} of {saved + trained} epochs"
    console.print(line)
    for line in spending_lines([evaluation.timings for evaluation in evaluations]):
        console.print(line, soft_wrap=True)
    ranked = ranked_results(search)
    if not ranked:
        console.print("no child could be evaluated; see report.html")
        return
    heads, rows = remeasured_table.table(ranked)
    if rows:
        console.print(rows_table(heads, rows))
    best, selection = search.results[ranked[0].result.trial], experiment.search.selection
    by = "" if selection == "measured" else f" by the {selection}"
    word = registry.accuracy_word(experiment.kinds())
    console.print(
        f"best{by}: trial {best.trial.number}, reward {best.reward:.4f}, "
        f"{word} {best.evaluation.accuracy:.4f}",
        soft_wrap=True,
    )
    console.print(f"  {best.cost.params:,} params, {best.cost.mult_adds:,} mult-adds")
    for string in best.trial.architecture.to_dict()["blocks"]:
        console.print(f"  {string}")
    if experiment.reference and isinstance(unwrapped(experiment.evaluator), SurrogateConfig):
        reference = PUBLISHED[experiment.reference]
        comparison = compare(best.trial.architecture, reference, predict, experiment.reward)
        for fit, (ours, theirs) in comparison.rewards.items():
            console.print(f"reward by {fit}: best {ours:.4f}, {reference.name} {theirs:.4f}")
    console.print(f"written: {directory}/best.json, top.json, report.html", soft_wrap=True)
