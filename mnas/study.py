"""A study: searches side by side. Variants of an experiment, several seeds of each, one table.

study.json               name, seeds and trials, for `--resume`
VARIANT/seed-N/          the run of one search, as `mnas.run` makes it
runs.csv                 a line for every search and sample count; table.csv: mean and spread
report.html              the table and plots (`mnas.study_report`)

What counts is what a search would export after so many samples (`mnas.loop.selection`), by rewards *as the
search saw them*. Where evaluations are noisy those are not its true worth, so a study may name a
judge, an evaluator without noise, whose accuracy then stands in the table.
"""

import concurrent.futures
import csv
import dataclasses
import functools
import multiprocessing
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mnas import engines, run
from mnas.architecture.architecture import Architecture
from mnas.evaluation import EvaluatorConfig
from mnas.experiment import Experiment
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
        return found[worth(self.experiment.search.choice, decisions, rewards).argmax()]


@dataclasses.dataclass(frozen=True)
class Row:
    """What one search would have exported after `samples`; rewards and accuracy are judged."""

    variant: str
    seed: int
    samples: int
    trial: int
    reward: float
    judged_reward: float
    accuracy: float
    mult_adds: int
    params: int
    networks: int


@dataclasses.dataclass(frozen=True)
class Summary:
    """Of one variant at one sample count, over its seeds: mean, standard deviation, worst."""

    variant: str
    samples: int
    seeds: int
    reward: float
    reward_std: float
    reward_worst: float
    accuracy: float
    mult_adds: float
    params: float
    networks: float


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
            engines.prepare_driver(experiment.engine)
            search(experiment, place)
            done(variant, experiment.search.seed)
    if inline and workers > 1:
        context = multiprocessing.get_context("spawn")  # JAX doesn't survive a fork
        prepare = functools.partial(engines.prepare_driver, inline[0][1].engine)
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


def rows(study: Study, outcomes: Sequence[Outcome]) -> list[Row]:
    """One for every search and mark of the study."""
    judge = study.judge.build() if study.judge else None
    found = []
    for outcome in outcomes:
        for samples in study.marks:
            best = outcome.best(samples)
            if best is None:
                continue
            accuracy = best["accuracy"]
            if judge is not None:
                architecture = Architecture.from_dict(best["architecture"])
                accuracy = judge(architecture, outcome.seed).accuracy
            reward = outcome.experiment.reward
            distinct = sum(result["repeat_of"] is None for result in outcome.results[:samples])
            found.append(
                Row(
                    variant=outcome.variant,
                    seed=outcome.seed,
                    samples=samples,
                    trial=best["trial"],
                    reward=best["reward"],
                    judged_reward=reward(accuracy, best[reward.cost]),
                    accuracy=accuracy,
                    mult_adds=best["mult_adds"],
                    params=best["params"],
                    networks=distinct,
                )
            )
    return found


def summaries(found: Sequence[Row]) -> list[Summary]:
    """One for every variant and sample count, in the order of the rows."""
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in found:
        groups.setdefault((row.variant, row.samples), []).append(row)
    made = []
    for (variant, samples), group in groups.items():
        rewards = [row.judged_reward for row in group]
        made.append(
            Summary(
                variant=variant,
                samples=samples,
                seeds=len(group),
                reward=statistics.fmean(rewards),
                reward_std=statistics.stdev(rewards) if len(rewards) > 1 else 0.0,
                reward_worst=min(rewards),
                accuracy=statistics.fmean(row.accuracy for row in group),
                mult_adds=statistics.fmean(row.mult_adds for row in group),
                params=statistics.fmean(row.params for row in group),
                networks=statistics.fmean(row.networks for row in group),
            )
        )
    return made


def write_csv(path: Path, items: Sequence[Row] | Sequence[Summary]) -> None:
    """Dataclasses as lines."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in dataclasses.fields(items[0])] if items else ())
        writer.writerows(dataclasses.astuple(item) for item in items)
