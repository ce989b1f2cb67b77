"""A study: variants of an experiment, several seeds of each.

study.json               name, number of seeds and trials, changed settings, trackers
VARIANT/seed-N/          the run of one search (`mnas.experiment.run`), with its page
runs.csv                 one row per search and sample count (`mnas.analysis.study_table`)
table.csv                one row per variant and sample count, over seeds
report.html              the table and figures (`mnas.reports.study_report`)

Searches are compared by the network that each would export after so many samples
(`mnas.loop.selection`). With noisy evaluations, the rewards that a search measured do not tell its
networks' true rewards; so a study may name a judge, an evaluator without noise, for the accuracies
of its table.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mnas.engines.environment import prepare_driver
from mnas.engines.processes import run_tasks
from mnas.evaluation import EvaluatorConfig
from mnas.experiment import run
from mnas.experiment.results import Run, load_run
from mnas.experiment.settings import Experiment
from mnas.experiment.tracking import lacks_records, tracked, trackings
from mnas.files import locked_directory
from mnas.loop.records import ResultRecord
from mnas.loop.selection import ranking


@dataclasses.dataclass(frozen=True)
class Study:
    """Variants of an experiment, each searched with several seeds.

    variants  experiments by a name that says in what they differ
    seeds     number of searches of each variant, with seeds 0, 1, ...
    marks     sample counts at which the searches are compared, ascending
    judge     evaluator of the table's accuracies; None: the search's own evaluations
    finish    called at the end with the study, the outcomes and the directory, to write further
              files; returns further figures of the page (`mnas.reports.page.chart.Chart`), or None
    takes     duration, as of an `Experiment`
    expect    expected result
    """

    name: str
    variants: Mapping[str, Experiment]
    seeds: int
    marks: tuple[int, ...]
    judge: EvaluatorConfig | None = None
    finish: Callable[["Study", Sequence["Outcome"], Path], Sequence[Any] | None] | None = None
    takes: str = ""
    expect: str = ""

    @property
    def trials(self) -> int:
        """Return the number of samples of the longest search."""
        return max(experiment.search.trials or 0 for experiment in self.variants.values())

    def resized(self, seeds: int, trials: int) -> "Study":
        """Return the study with other numbers of seeds and of samples per search."""
        variants = {
            name: dataclasses.replace(
                variant, search=dataclasses.replace(variant.search, trials=trials)
            )
            for name, variant in self.variants.items()
        }
        marks = (*(mark for mark in self.marks if mark < trials), trials)
        return dataclasses.replace(self, variants=variants, seeds=seeds, marks=marks)

    def with_classes_of_data(self) -> "Study":
        """Return the study whose variants have as many classes as their data."""
        variants = {name: each.with_classes_of_data() for name, each in self.variants.items()}
        return dataclasses.replace(self, variants=variants)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A finished search of a study.

    experiment  the variant's, with the seed of this search
    """

    variant: str
    experiment: Experiment
    run: Run

    @property
    def seed(self) -> int:
        """Return the seed of the search."""
        return self.experiment.search.seed

    @property
    def results(self) -> tuple[ResultRecord, ...]:
        """Return the results, by trial number."""
        return self.run.results

    def best(self, samples: int) -> ResultRecord | None:
        """Return the result that the search would have exported after so many samples.

        Further measurements count after the last one.
        """
        results, experiment = self.results[:samples], self.experiment
        again = self.run.remeasured if samples >= len(self.results) else ()
        selection, reward = experiment.search.selection, experiment.reward
        ranked = ranking(selection, results, self.run.decisions, reward, again)
        return ranked[0].result if ranked else None


def searches(study: Study, directory: Path) -> Iterator[tuple[str, Experiment, Path]]:
    """Yield (variant, experiment with its seed, directory of the run) of every search.

    All variants of a seed come before the next seed, so that an interrupted study has all variants.
    """
    for seed in range(study.seeds):
        for variant, experiment in study.variants.items():
            seeded = dataclasses.replace(experiment.search, seed=seed)
            experiment = dataclasses.replace(experiment, search=seeded)
            yield variant, experiment, directory / variant / f"seed-{seed}"


def run_search(
    experiment: Experiment,
    directory: Path,
    study: str | None = None,
    trackers: Sequence[str] = (),
    finish: Callable[[Path], None] | None = None,
) -> None:
    """Run one search of a study, or what is left of it, to its end; then call `finish`, if given.

    trackers  names, beside those that the search has had before
    """
    if not (directory / "experiment.json").exists():
        run.create(experiment, directory)
    observers = trackings(trackers, experiment, directory, study)
    with run.opened(experiment, directory, observers) as search, tracked(observers, search):
        run.drive(experiment, search)
        run.write_results(experiment, search, directory)
    if finish is not None:
        finish(directory)


def drive(
    study: Study,
    directory: Path,
    workers: int,
    done: Callable[[str, int], None] = lambda variant, seed: None,
    trackers: Sequence[str] = (),
    finish: Callable[[Path], None] | None = None,
) -> list[Outcome]:
    """Run the searches that are not finished; return the outcomes of all.

    workers   number of processes for searches on the inline engine; those on an engine with workers
              of its own run one after another
    done      called with variant and seed of each finished search
    trackers  names of trackers of every search (`mnas.experiment.tracking`), which get what they
              lack of searches that are finished, too
    finish    picklable function that is called with the directory of each search that is run, in
              its process, at its end

    Raises UsageError where another process runs the study, `mnas.loop.search.TooManyFailures`, and
    `RunFailure` where the processes of a search were killed repeatedly. All processes have ended
    when this returns or raises; what they have recorded is kept.
    """
    with locked_directory(directory, "is running this study"):
        todo = []
        for variant, experiment, run_directory in searches(study, directory):
            written = (run_directory / "best.json").exists()
            finished = written and _finished(experiment, run_directory) is not None
            if finished and not lacks_records(trackers, run_directory):
                done(variant, experiment.search.seed)
            else:
                todo.append((variant, experiment, run_directory))
        tasks = [
            functools.partial(run_search, e, run_directory, study.name, trackers, finish)
            for _, e, run_directory in todo
        ]
        inline = [n for n, item in enumerate(todo) if item[1].engine.kind == "inline"]
        for n, (variant, experiment, _) in enumerate(todo):
            if n not in inline or workers == 1:
                prepare_driver(experiment.engine)
                tasks[n]()
                done(variant, experiment.search.seed)
        if inline and workers > 1:
            run_tasks(
                [tasks[n] for n in inline],
                workers,
                functools.partial(prepare_driver, todo[inline[0]][1].engine),
                lambda index: done(todo[inline[index]][0], todo[inline[index]][1].search.seed),
            )
        return [
            Outcome(variant, experiment, load_run(run_directory))
            for variant, experiment, run_directory in searches(study, directory)
        ]


def finished_outcomes(study: Study, directory: Path) -> list[Outcome]:
    """Return the outcomes of the searches in `directory` that have all results."""
    found = []
    for variant, experiment, run_directory in searches(study, directory):
        finished = _finished(experiment, run_directory)
        if finished is not None:
            found.append(Outcome(variant, experiment, finished))
    return found


def _finished(experiment: Experiment, directory: Path) -> Run | None:
    """Return the run of a search that has all results; None for another."""
    if not run.has_begun(directory):
        return None
    found = load_run(directory)
    return found if len(found.results) == experiment.search.trials else None
