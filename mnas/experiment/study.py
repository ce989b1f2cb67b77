"""A study: variants of an experiment, several seeds of each.

study.json               name, number of seeds and trials
VARIANT/seed-N/          the run of one search (`mnas.experiment.run`)
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
    takes     duration on stated hardware
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


def run_search(experiment: Experiment, directory: Path) -> None:
    """Run one search, or what is left of it, to its end."""
    if not (directory / "experiment.json").exists():
        run.create(experiment, directory)
    with run.opened(experiment, directory) as search:
        run.drive(experiment, search)
        run.write_results(experiment, search, directory)


def drive(
    study: Study,
    directory: Path,
    workers: int,
    done: Callable[[str, int], None] = lambda variant, seed: None,
) -> list[Outcome]:
    """Run the searches that are not finished; return the outcomes of all.

    workers  number of processes for searches on the inline engine; those on an engine with workers
             of its own run one after another
    done     called with variant and seed of each finished search

    Raises UsageError where another process runs the study, `mnas.loop.search.TooManyFailures`, and
    `RunFailure` where the processes of a search were killed repeatedly. All processes have ended
    when this returns or raises; what they have recorded is kept.
    """
    with locked_directory(directory, "is running this study"):
        todo = []
        for variant, experiment, run_directory in searches(study, directory):
            if _is_finished(experiment, run_directory):
                done(variant, experiment.search.seed)
            else:
                todo.append((variant, experiment, run_directory))
        inline = [item for item in todo if item[1].engine.kind == "inline"]
        for variant, experiment, run_directory in todo:
            if experiment.engine.kind != "inline" or workers == 1:
                prepare_driver(experiment.engine)
                run_search(experiment, run_directory)
                done(variant, experiment.search.seed)
        if inline and workers > 1:
            run_tasks(
                [functools.partial(run_search, e, run_directory) for _, e, run_directory in inline],
                workers,
                functools.partial(prepare_driver, inline[0][1].engine),
                lambda index: done(inline[index][0], inline[index][1].search.seed),
            )
        return [
            Outcome(variant, experiment, load_run(run_directory))
            for variant, experiment, run_directory in searches(study, directory)
        ]


def _is_finished(experiment: Experiment, directory: Path) -> bool:
    if not (directory / "best.json").exists():
        return False
    return len(load_run(directory).results) == experiment.search.trials
