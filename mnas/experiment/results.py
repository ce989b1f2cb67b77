"""Read-only view of a run's directory, finished or not. Imports no JAX."""

import dataclasses
import functools
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from mnas.architecture.architecture import Architecture
from mnas.architecture.spec import to_spec
from mnas.errors import UsageError, require_one_of, require_whole, shown
from mnas.experiment.notebook import data_frame, summary_html
from mnas.experiment.registry import accuracy_word
from mnas.files import read_json
from mnas.loop import journal
from mnas.loop.records import (
    ExperimentRecord,
    ProposalsRecord,
    Record,
    RemeasuredRecord,
    ResultRecord,
    UpdateRecord,
)
from mnas.loop.rounds import Rounds
from mnas.loop.selection import Ranked, Remeasured, Selection, grouped, ranking, smoothed
from mnas.loop.spending import Spending, spending
from mnas.reward import RewardConfig


@dataclasses.dataclass(frozen=True)
class Run:
    """The records and settings of a run, as they were when it was loaded.

    settings    all settings by part, as `experiment.json` holds them
    head        the journal's first record
    proposals   by batch
    results     by trial number; of an unfinished batch, those that have arrived
    updates     by batch
    remeasured  further measurements of the best networks, by trial and number; those of an
                unfinished round are left out
    """

    directory: Path
    settings: Mapping[str, Any]
    head: ExperimentRecord
    proposals: tuple[ProposalsRecord, ...] = ()
    results: tuple[ResultRecord, ...] = ()
    updates: tuple[UpdateRecord, ...] = ()
    remeasured: tuple[RemeasuredRecord, ...] = ()

    @classmethod
    def of(cls, directory: Path, settings: Mapping[str, Any], records: list[Record]) -> "Run":
        """Return the view of a journal's records, the first of which is its head."""
        if not records or not isinstance(records[0], ExperimentRecord):
            raise UsageError(f"{directory}: the journal is empty; accepted: a run that has begun")
        results = [record for record in records if isinstance(record, ResultRecord)]
        return cls(
            directory,
            settings,
            records[0],
            tuple(record for record in records if isinstance(record, ProposalsRecord)),
            tuple(sorted(results, key=lambda result: result.trial)),
            tuple(record for record in records if isinstance(record, UpdateRecord)),
            tuple(Rounds(records).counted()),
        )

    @property
    def experiment_name(self) -> str:
        """Return the name of the experiment."""
        return self.head.name

    @property
    def selection(self) -> Selection:
        """Return how the exported network is selected."""
        return self.settings["search"]["selection"]

    @functools.cached_property
    def decisions(self) -> dict[int, tuple[int, ...]]:
        """Return the decisions of every proposed network, by trial number."""
        return journal.decisions_of(self.proposals)

    @property
    def reward(self) -> RewardConfig:
        """Return the search's reward; UsageError where the journal's settings hold none."""
        settings: Any = self.head.settings.get("reward")
        try:
            return RewardConfig(**settings)
        except TypeError:
            raise UsageError(
                f"{self.directory}: settings.reward = {shown(settings)} in the journal; accepted: "
                "the settings of a reward"
            ) from None

    @functools.cached_property
    def ranked(self) -> list[Ranked]:
        """Return what may be exported, best first, with estimates (`mnas.loop.selection`).

        Raises UsageError for a result of a trial that was not proposed.
        """
        for result in self.results:
            if result.trial not in self.decisions:
                raise UsageError(
                    f"{self.directory}: the journal has a result of trial {result.trial}, which it "
                    "does not propose; accepted: a journal as a search writes it"
                )
        reward = self.reward if self.selection == "model" else None
        return ranking(self.selection, self.results, self.decisions, reward, self.remeasured)

    @functools.cached_property
    def ranking(self) -> list[ResultRecord]:
        """Return the results that may be exported, best first; raises as `ranked`."""
        return [ranked.result for ranked in self.ranked]

    @functools.cached_property
    def smoothed(self) -> Mapping[int, float]:
        """Return the accuracies of networks by the model of all accuracies, by trial.

        Whatever the selection is (`mnas.loop.smoothing`); raises as `ranked`.
        """
        exportable = sorted(self.ranking, key=lambda result: result.trial)
        return smoothed(exportable, self.decisions, grouped(self.remeasured))

    @property
    def best(self) -> ResultRecord | None:
        """Return the result that the run exports; None where no evaluation succeeded."""
        return next(iter(self.ranking), None)

    @property
    def trials(self) -> Any:
        """Return a pandas data frame of all trials (`mnas.experiment.trials.trial_rows`).

        Raises ImportError where pandas is not installed.
        """
        return data_frame(self.results, self.remeasured)

    def _repr_html_(self) -> str:
        """Return the counts of trials and the best networks, for notebooks."""
        title = f"{self.experiment_name} in {self.directory}"
        word = accuracy_word(self.head.settings.get("kinds", {}))
        return summary_html(title, self.results, self.ranking, word)

    @property
    def architecture(self) -> Architecture | None:
        """Return the best network."""
        return None if self.best is None else architecture_of(self.best, self.experiment_name)

    @property
    def spec(self) -> dict[str, Any] | None:
        """Return the spec of the best network, as `best.json` holds it."""
        return None if self.best is None else self.spec_of(self.best)

    def spec_of(self, result: ResultRecord) -> dict[str, Any]:
        """Return the spec of a result's network, with its provenance."""
        return result_spec(
            result,
            self.experiment_name,
            self.selection,
            self.settings["search"]["seed"],
            self.smoothed.get(result.trial),
            grouped(self.remeasured).get(result.trial),
            spending(found.timings for found in self.results),
        )


def load_run(directory: Path | str) -> Run:
    """Return the view of a run's directory, or of the journal of a `Search` without one.

    directory  of a run; or a journal, or a directory with one, without experiment.json

    Raises UsageError where there is no run or a file of it cannot be read.
    """
    directory = Path(directory)
    path = directory / "journal.jsonl"
    if os.path.isfile(directory):
        directory, path = directory.parent, directory
    if os.path.lexists(directory / "experiment.json") or not os.path.lexists(path):
        settings = read_settings(directory)
    else:
        settings = {"search": {"selection": "measured", "seed": None}}
    run = Run.of(directory, settings, journal.read(path))
    _check_head(run.head, path)
    trials = [result.trial for result in run.results]
    for trial in trials:
        if trial not in run.decisions:
            raise UsageError(f"{path}: result of trial {trial}, which was not proposed")
    if len(set(trials)) < len(trials):
        raise UsageError(f"{path}: several results of one trial")
    return run


def _check_head(head: ExperimentRecord, path: Path) -> None:
    """Raise UsageError where settings in a journal's head are not of the kind that readers use."""
    where = f"{path}, line 1: settings"
    for part, settings in head.settings.items():
        if not isinstance(settings, dict):
            raise UsageError(f"{where}.{part} = {shown(settings)}; accepted: settings by name")
    fields = [field.name for field in dataclasses.fields(RewardConfig)]
    reward = head.settings.get("reward")
    if reward is not None:
        if reward.keys() != set(fields):
            raise UsageError(f"{where}.reward = {shown(reward)}; accepted: {', '.join(fields)}")
        try:
            RewardConfig(**reward)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None


def read_settings(directory: Path) -> dict[str, Any]:
    """Return the content of a run's experiment.json.

    Raises UsageError where there is none, or where what every reader needs is of another kind.
    """
    path = directory / "experiment.json"
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"{directory} holds no run; accepted: a directory that mnas search made"
        ) from None
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    settings = read_json(path)
    if not isinstance(settings, dict):
        raise UsageError(f"{path}: {shown(settings)}; accepted: an object")
    search = settings.get("search")
    if not isinstance(search, dict):
        raise UsageError(f"{path}: search = {shown(search)}; accepted: settings by name")
    require_one_of(str(path), "search.selection", search.get("selection"), get_args(Selection))
    require_whole(str(path), "search.seed", search.get("seed"), least=0)
    return settings


def architecture_of(result: ResultRecord, experiment_name: str) -> Architecture:
    """Return a result's network, named after the experiment and the network's hash."""
    name = f"{experiment_name}-{result.hash[:8]}"
    return Architecture.from_dict(result.architecture).replace(name=name)


def result_spec(
    result: ResultRecord,
    experiment_name: str,
    selection: Selection,
    seed: int | None,
    smoothed_accuracy: float | None = None,
    remeasured: Remeasured | None = None,
    spent: Spending | None = None,
) -> dict[str, Any]:
    """Return the spec of a result's network; its provenance is under the key "search".

    seed               of the search; None if it isn't recorded
    smoothed_accuracy  by the model of all accuracies (`mnas.loop.smoothing`), if known
    remeasured         further measurements; None where there are none
    spent              processor time of all evaluations of the search; None where unknown

    `reward` and `accuracy` are those of the search's own evaluation.
    """
    if smoothed_accuracy is not None:
        smoothed_accuracy = round(min(max(smoothed_accuracy, 0.0), 1.0), 6)
    provenance = {
        "experiment": experiment_name,
        "trial": result.trial,
        "reward": result.reward,
        "accuracy": result.accuracy,
        "smoothed_accuracy": smoothed_accuracy,
        "remeasured": None if remeasured is None else _measurements(remeasured),
        "latency_ms": result.latency_ms,
        "selection": selection,
        "seed": seed,
        "cpu_seconds_per_child": None if spent is None else spent.per_child,
        "version": version("mnas"),
    }
    return to_spec(architecture_of(result, experiment_name), provenance)


def _measurements(remeasured: Remeasured) -> dict[str, Any]:
    """Return mean accuracy, 95% interval, and numbers of further measurements."""
    low, high = remeasured.interval or (None, None)
    return {
        "accuracy": remeasured.mean,
        "low": low,
        "high": high,
        "reward": remeasured.reward if remeasured.records else None,
        "n": len(remeasured.records),
        "failed": remeasured.failed,
    }
