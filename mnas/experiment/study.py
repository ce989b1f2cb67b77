"""A study: searches side by side. Variants of an experiment, several seeds of each, one table.

study.json               name, seeds and trials, for `--resume`
VARIANT/seed-N/          the run of one search, as `mnas.experiment.run` makes it
runs.csv                 a line for every search and sample count; table.csv: mean and spread
report.html              the table and plots (`mnas.reports.study_report`)

What counts is what a search would export after so many samples (`mnas.loop.selection`), by rewards *as the
search saw them*. Where evaluations are noisy those are not its true worth, so a study may name a
judge, an evaluator without noise, whose accuracy then stands in the table.
"""

import concurrent.futures
import dataclasses
import functools
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mnas.engines.environment import prepare_driver
from mnas.evaluation import EvaluatorConfig
from mnas.experiment import run
from mnas.experiment.settings import Experiment
from mnas.loop import journal
from mnas.loop.selection import candidates, worth


@dataclasses.dataclass(frozen=True)
class Study:
    """Searches that differ in what their variant's name says, and in the seed."""

    name: str
    variants: Mapping[str, Experiment]
    seeds: int
    """Seeds 0, 1, ... of every variant."""
    marks: tuple[int, ...]
    """Sample counts that the table looks at."""
    judge: EvaluatorConfig | None = None
    """Evaluator of the accuracies in the table; the search's own where there is none."""
    finish: Callable[["Study", Sequence["Outcome"], Path], None] | None = None
    """Called at the end with what was found, to write what else the study is for."""
    takes: str = ""
    expect: str = ""

    @property
    def trials(self) -> int:
        """Samples of the longest search."""
        return max(experiment.search.trials for experiment in self.variants.values())

    def resized(self, seeds: int, trials: int) -> "Study":
        """The same with other numbers of seeds and of samples a search."""
        variants = {
            name: dataclasses.replace(
                variant, search=dataclasses.replace(variant.search, trials=trials)
            )
            for name, variant in self.variants.items()
        }
        marks = (*(mark for mark in self.marks if mark < trials), trials)
        return dataclasses.replace(self, variants=variants, seeds=seeds, marks=marks)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One finished search: its results by trial, as they stand in the journal, with decisions."""

    variant: str
    experiment: Experiment
    directory: Path
    results: tuple[dict[str, Any], ...]

    @property
    def seed(self) -> int:
        return self.experiment.search.seed

    def best(self, samples: int) -> dict[str, Any] | None:
        """The result that the search would have exported after so many samples."""
        found = candidates(self.results[:samples])
        if not found:
            return None
        rewards = [result["reward"] for result in found]
        decisions = [result["decisions"] for result in found]
        return found[worth(self.experiment.search.selection, decisions, rewards).argmax()]


# --- running ------------------------------------------------------------------------------------


def runs(study: Study, directory: Path) -> Iterator[tuple[str, Experiment, Path]]:
    """(variant, experiment with its seed, directory) of every search."""
    for seed in range(study.seeds):  # seed by seed: a study that is stopped has all variants
        for variant, experiment in study.variants.items():
            seeded = dataclasses.replace(experiment.search, seed=seed)
            experiment = dataclasses.replace(experiment, search=seeded)
            yield variant, experiment, directory / variant / f"seed-{seed}"


def search(experiment: Experiment, directory: Path) -> None:
    """Runs one search to its end, or what is left of it."""
    if not (directory / "experiment.json").exists():
        run.create(experiment, directory)
    with run.opened(experiment, directory) as opened:
        run.drive(experiment, opened)
        run.write_results(experiment, opened, directory)


def drive(
    study: Study,
    directory: Path,
    workers: int,
    done: Callable[[str, int], None] = lambda variant, seed: None,
) -> list[Outcome]:
    """Runs what has not been run, `workers` searches at a time; all outcomes.

    Searches whose own engine has workers run one after the other. `done` is called for each.
    """
    todo = []
    for variant, experiment, place in runs(study, directory):
        if (place / "best.json").exists() and len(_results(place)) == experiment.search.trials:
            done(variant, experiment.search.seed)
        else:
            todo.append((variant, experiment, place))
    inline = [item for item in todo if item[1].engine.kind == "inline"]
    for variant, experiment, place in todo:
        if experiment.engine.kind != "inline" or workers == 1:
            prepare_driver(experiment.engine)
            search(experiment, place)
            done(variant, experiment.search.seed)
    if inline and workers > 1:
        context = multiprocessing.get_context("spawn")  # JAX doesn't survive a fork
        prepare = functools.partial(prepare_driver, inline[0][1].engine)
        with concurrent.futures.ProcessPoolExecutor(workers, context, prepare) as pool:
            waiting = {
                pool.submit(search, experiment, place): (variant, experiment.search.seed)
                for variant, experiment, place in inline
            }
            try:
                for finished in concurrent.futures.as_completed(waiting):
                    finished.result()
                    done(*waiting[finished])
            except BaseException:  # what is under way ends; what has not begun never does
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [
        Outcome(variant, experiment, place, tuple(_results(place)))
        for variant, experiment, place in runs(study, directory)
    ]


def _results(directory: Path) -> list[dict[str, Any]]:
    if not (directory / "journal.jsonl").exists():
        return []
    records = journal.read(directory / "journal.jsonl")
    decisions = journal.decisions_of(records)
    results = [
        {**record, "decisions": decisions[record["trial"]]}
        for record in records
        if record["kind"] == "result"
    ]
    return sorted(results, key=lambda result: result["trial"])


# --- the table ----------------------------------------------------------------------------------
