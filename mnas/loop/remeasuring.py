"""Further measurements of a search's best networks, before one of them is exported.

    source = Remeasuring(search)     # a `TrialSource`, like the search itself
    drive(source, evaluator, engine)

The highest of many noisy accuracies overestimates its network. So after the last trial, the best
`SearchConfig.remeasure` networks, by the selection in force, are evaluated `remeasure_seeds` times
more. They count in the selection from then on (`mnas.loop.selection`).

The search's journal holds the rounds (`mnas.loop.rounds`). A measurement's seed is derived from
(search seed, trial, number), so measurements depend on neither engine nor order of arrival; a
resumed search continues its round, and one with other settings or further trials begins a new round
that measures only what is missing. A failed measurement is recorded and not repeated.
"""

import collections
import dataclasses
from collections.abc import Mapping

from mnas.evaluation import Evaluation, plain_evaluation
from mnas.loop.config import SearchConfig
from mnas.loop.records import RemeasuredRecord, RemeasureRecord, ResultRecord
from mnas.loop.rounds import Key
from mnas.loop.search import Search
from mnas.loop.selection import Ranked, candidates, grouped, ranking, smoothed
from mnas.loop.trial import Result, Trial
from mnas.space import Space


def ranked(search: Search, *, again: bool = True) -> list[Ranked]:
    """Return the results that a search may export, best first.

    again  whether further measurements count
    """
    records, decisions = _records(search)
    counted = search.rounds.counted() if again else ()
    return ranking(search.config.selection, records, decisions, search.reward, counted)


def smoothed_accuracies(search: Search) -> dict[int, float]:
    """Return the accuracies by the model of networks that may be exported, by trial."""
    records, decisions = _records(search)
    return smoothed(candidates(records), decisions, grouped(search.rounds.counted()))


def _records(search: Search) -> tuple[list[ResultRecord], dict[int, list[int]]]:
    """Return the results, in order of their trials, and the decisions by trial."""
    results = [search.results[number] for number in sorted(search.results)]
    decisions = {result.trial.number: result.trial.decisions.tolist() for result in results}
    return [ResultRecord.of(result) for result in results], decisions


class Remeasuring:
    """A search and then the measurements of its best networks: a source of an engine's trials.

    The trials of measurements have numbers from `search.trials` on.
    """

    def __init__(self, search: Search) -> None:
        self.search = search
        self.space: Space = search.space
        self.config: SearchConfig = search.config
        self._queue: collections.deque[Trial] | None = None  # None: the round has not begun here
        self._running: dict[int, Key] = {}  # by the number of the trial that was handed out

    @property
    def results(self) -> Mapping[int, Result]:
        """Return the search's results by trial number."""
        return self.search.results

    @property
    def batches_done(self) -> int:
        """Return the number of complete batches of the search."""
        return self.search.batches_done

    @property
    def done(self) -> bool:
        """Return whether the search is done and its best networks are measured."""
        search = self.search
        if not search.done or not self.config.remeasure or not search.best:
            return search.done
        return self._has_begun() and not search.rounds.missing()

    def ask(self) -> Trial | None:
        """Return the next trial; None while results are outstanding that it needs, or if done."""
        trial = self.search.ask()
        if trial is not None or not self.search.done:
            return trial
        if self._queue is None:
            self._queue = collections.deque(self._round())
        return self._queue.popleft() if self._queue else None

    def tell(self, trial: Trial, evaluation: Evaluation) -> Result:
        """Record the evaluation of a trial returned by `ask`; return its result.

        Raises as `Search.tell`.
        """
        key = self._running.pop(trial.number, None)
        if key is None:
            return self.search.tell(trial, evaluation)
        evaluation = plain_evaluation(evaluation)
        if evaluation.stopped:  # By a scheduler of Ray Tune.
            evaluation = dataclasses.replace(evaluation, error="stopped before its end")
        of_trial, number = key
        result = self.search.score(dataclasses.replace(trial, number=of_trial), evaluation)
        self.search.record(RemeasuredRecord.of(result, number))
        return result

    def _has_begun(self) -> bool:
        """Return whether the last round is that of the present settings and results."""
        rounds = self.search.rounds.all
        if not rounds:
            return False
        last, config = rounds[-1], self.config
        wanted = config.selection, config.remeasure, config.remeasure_seeds
        of_last = last.selection, last.top, last.seeds
        return of_last == wanted and last.results == len(self.search.results)

    def _round(self) -> list[Trial]:
        """Return what is to be measured, after beginning a round for it if need be."""
        search, config = self.search, self.config
        if not config.remeasure or not search.best:
            return []
        if not self._has_begun():
            best = ranked(search, again=False)[: config.remeasure]
            search.record(
                RemeasureRecord(
                    selection=config.selection,
                    top=config.remeasure,
                    seeds=config.remeasure_seeds,
                    results=len(search.results),
                    trials=tuple(network.result.trial for network in best),
                )
            )
        trials = []
        for position, key in enumerate(search.rounds.missing(), start=search.trials):
            trial = search.results[key[0]].trial.again(config.seed, key[1])
            self._running[position] = key
            trials.append(dataclasses.replace(trial, number=position))
        return trials
