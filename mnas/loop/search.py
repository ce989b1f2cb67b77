"""The search loop: ask, evaluate or copy from the journal, record, update the controller.

`Search` combines controller, space, reward and journal and is independent of processes. An engine
runs

    while (trial := search.ask()) is not None:    # None: done, or waiting for results
        search.tell(trial, evaluate(trial.architecture, trial.seed, trial.report))  # in any order

and may hold several trials at a time. The trials of a batch are handed out by decreasing mult-adds:
starting the longest evaluations first keeps workers from idling at the end of the batch. The search
depends on neither that nor the order of results:

- the controller is updated with a complete batch, ordered by trial number;
- a trial's seed is derived from (search seed, trial number);
- a network proposed before, whether finished or not, is not handed out again but gets the first
  one's evaluation (a duplicate);
- early stopping compares a child with the batches before its own (`mnas.loop.early_stopping`).

Every step is recorded in the journal before it takes effect; observers are called after it has. A
search built on a journal that has records replays them and continues, if they are what this search
would have recorded. A snapshot (`mnas.loop.snapshot`) only spares it updates of the controller.
"""

import collections
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from mnas.controller import Controller, Proposals, State
from mnas.errors import RunFailure, UsageError
from mnas.evaluation import Evaluation, plain_evaluation
from mnas.loop.config import SearchConfig
from mnas.loop.early_stopping import Curves, StoppingRule
from mnas.loop.failed_reward import FailedReward
from mnas.loop.journal import Journal
from mnas.loop.records import (
    ProposalsRecord,
    Record,
    RemeasuredRecord,
    RemeasureRecord,
    ResultRecord,
    UpdateRecord,
    finite_or_none,
    number_or_nan,
)
from mnas.loop.replay import misplaced, require_close, require_equal
from mnas.loop.rounds import Rounds
from mnas.loop.snapshot import Snapshots
from mnas.loop.stateful_controller import StatefulController
from mnas.loop.trial import Result, Trial
from mnas.reward import RewardConfig
from mnas.space import Space

Observer = Callable[[Record], None]


class TooManyFailures(RunFailure):
    """More evaluations failed than the search allows; the message names the commonest cause."""


class Search:
    """A search over `space` by `controller`, recorded in `journal`.

    trials        number of networks to sample
    results       every result so far by trial number, duplicates included
    best          the successful result of highest reward, the earliest of equals; a network that
                  was stopped early only if none was trained to its end
    rounds        further measurements of its best networks (`mnas.loop.remeasuring`)
    snapshots     of the controller's state, beside the journal; None: all updates are replayed
    observers     called with each record that is added to the journal, after it is on disk and the
                  search has the fact

    Raises UsageError that names the line of the first record of the journal that isn't this
    search's.
    """

    def __init__(
        self,
        space: Space,
        controller: Controller,
        reward: RewardConfig,
        config: SearchConfig,
        journal: Journal,
        observers: tuple[Observer, ...] = (),
        snapshots: Snapshots | None = None,
    ) -> None:
        self.space, self.controller, self.reward = space, controller, reward
        self.config, self.journal, self.observers = config, journal, observers
        self.trials = space.cardinality() if config.trials is None else config.trials
        self.results: dict[int, Result] = {}
        self.best: Result | None = None
        self.rounds = Rounds()
        self._stateful = StatefulController(controller, config.seed, snapshots)
        self._curves = Curves()  # Of complete batches.
        self._failed_reward = FailedReward(config.failed_reward, reward)
        self._first_by_hash: dict[str, int] = {}
        # The current batch: proposals, all trials, the duplicates among them, trials to hand out.
        self._proposals = Proposals(np.zeros((0, len(space.sizes)), np.int32), np.zeros(0))
        self._batch: list[Trial] = []
        self._duplicates: list[Trial] = []
        self._queue: collections.deque[Trial] = collections.deque()
        self._replay()

    # --- interface of engines ---

    @property
    def state(self) -> State:
        """Return the controller's state after all complete batches."""
        return self._stateful.state

    @property
    def batches_done(self) -> int:
        """Return the number of complete batches."""
        return self._stateful.updates

    @property
    def done(self) -> bool:
        """Return whether every trial has its result.

        Becomes true in `tell`, or in `ask` where the last trials are duplicates; `ask` then returns
        None.
        """
        return self._proposed >= self.trials and not self._batch

    def ask(self) -> Trial | None:
        """Return the next trial to evaluate; None if the batch waits for results, or if done.

        Raises TooManyFailures where a batch of duplicates completes the checked batches.
        """
        while not self._batch and not self.done:
            self._propose()
            self._settle()
        return self._queue.popleft() if self._queue else None

    def tell(self, trial: Trial, evaluation: Evaluation) -> Result:
        """Record the evaluation of a trial returned by `ask`; return its result.

        Raises ValueError for a trial that is not waiting for a result, and TooManyFailures after an
        update.
        """
        if self._waiting(trial.number) is None:
            raise ValueError(f"trial {trial.number} is not waiting for a result")
        result = self._record(trial, evaluation)
        self._settle()
        return result

    # --- a batch begins ---

    @property
    def _proposed(self) -> int:
        return self._batch[-1].number + 1 if self._batch else len(self.results)

    def _waiting(self, number: int) -> Trial | None:
        """Return the trial of the batch that has this number, if it has no result."""
        index = number - self._batch[0].number if self._batch else -1
        if number in self.results or not 0 <= index < len(self._batch):
            return None
        return self._batch[index]

    def _propose(self) -> None:
        """Sample a batch from the controller, record it and begin it."""
        batch, first = self.batches_done, len(self.results)
        count = min(self.config.batch, self.trials - first)
        proposals = self._stateful.ask(count)
        # In the journal's precision, so that a resumed search updates with the same values.
        decisions = self.space.canonical(proposals.decisions)
        log_probs = np.asarray(proposals.log_probs, np.float32)
        record = ProposalsRecord(
            batch=batch,
            first_trial=first,
            decisions=tuple(map(tuple, decisions.tolist())),
            log_probs=tuple(finite_or_none(value) for value in log_probs.tolist()),
        )
        self.journal.append(record)
        self._begin(first, Proposals(decisions, log_probs))
        self._notify(record)

    def _begin(self, first: int, proposals: Proposals) -> None:
        """Make trials of the proposals, separate the duplicates and queue the others."""
        self._proposals = proposals
        report = self.config.stopping.rule(self._curves)
        for number, decisions in enumerate(proposals.decisions, start=first):
            trial = self._trial(number, decisions, report)
            self._batch.append(trial)
            if (cost := self._cost(trial)) is not None:
                self._failed_reward.add(cost)
            if self._first_by_hash.setdefault(trial.hash, number) != number:
                self._duplicates.append(trial)
        new = [trial for trial in self._batch if self._first_by_hash[trial.hash] == trial.number]
        self._queue.extend(sorted(new, key=lambda trial: -trial.cost.mult_adds))

    def _trial(self, number: int, decisions: np.ndarray, report: StoppingRule | None) -> Trial:
        architecture = self.space.decode(decisions)
        return Trial.of(number, decisions, architecture, self.config.seed, report)

    # --- a result arrives ---

    def _record(
        self, trial: Trial, evaluation: Evaluation, duplicate_of: int | None = None
    ) -> Result:
        """Score an evaluation, record the result and keep it."""
        result = self.score(trial, plain_evaluation(evaluation), duplicate_of)
        record = ResultRecord.of(result)
        self.journal.append(record)
        self._keep(result)
        self._notify(record)
        return result

    def _cost(self, trial: Trial, evaluation: Evaluation | None = None) -> float | None:
        """Return the reward's cost; of a latency None where the evaluation doesn't have one."""
        latency = None if evaluation is None else evaluation.latency_ms
        cost = self.reward.cost
        return latency if cost == "latency_ms" else getattr(trial.cost, cost)

    def score(
        self, trial: Trial, evaluation: Evaluation, duplicate_of: int | None = None
    ) -> Result:
        """Return the result with its reward; an evaluation without the reward's cost has failed."""
        cost = self._cost(trial, evaluation)
        if evaluation.error is None and cost is None:
            message = f"the evaluator measured no {self.reward.cost}"
            evaluation = dataclasses.replace(evaluation, error=message)
        reward = self._failed_reward.value
        if evaluation.error is None and cost is not None:
            try:
                reward = self.reward(evaluation.accuracy, cost)
            except UsageError as error:  # The reward of such a cost isn't finite.
                evaluation = dataclasses.replace(evaluation, error=str(error))
        return Result(trial, evaluation, reward, duplicate_of)

    def _keep(self, result: Result) -> None:
        self.results[result.trial.number] = result
        if result.evaluation.error is not None:
            return
        if self.best is None or result.rank < self.best.rank:
            self.best = result

    # --- a batch is completed ---

    def _settle(self) -> None:
        """Answer the duplicates that can be answered; update if the batch is complete."""
        for trial in self._duplicates:
            first = self._first_by_hash[trial.hash]
            if trial.number not in self.results and first in self.results:
                evaluation = self.results[first].evaluation
                self._record(trial, dataclasses.replace(evaluation, seconds=0.0, timings={}), first)
        if self._batch and len(self.results) == self._proposed:  # Earlier batches are complete.
            proposals = self._proposals
            record = self._update_record(self._update(), proposals)
            self.journal.append(record)
            self._stateful.keep(*self.journal.last)
            self._notify(record)
            self._check_failures()

    def _update(self) -> list[float]:
        """Update controller, curves and failed reward with the complete batch, and end it.

        Returns the rewards that the controller was updated with.
        """
        results = [self.results[trial.number] for trial in self._batch]
        for result in results:
            evaluation = result.evaluation
            if evaluation.error is None and (cost := self._cost(result.trial, evaluation)):
                self._failed_reward.add(cost)
            if result.duplicate_of is None:
                self._curves.add(evaluation)
        rewards = [
            result.reward if result.evaluation.error is None else self._failed_reward.value
            for result in results
        ]
        self._stateful.tell(self._proposals, np.array(rewards, np.float32))
        self._batch, self._duplicates = [], []
        return rewards

    def _update_record(self, rewards: list[float], proposals: Proposals) -> UpdateRecord:
        summary = self._stateful.summary()
        return UpdateRecord(
            batch=self.batches_done - 1,
            mean_reward=sum(rewards) / len(rewards),
            mean_log_prob=finite_or_none(float(np.mean(proposals.log_probs))),
            controller={name: finite_or_none(value) for name, value in summary.items()},
        )

    def _check_failures(self) -> None:
        """Raise TooManyFailures if too many trials of the first batches failed."""
        checked = self.config.failed_batches
        if self.batches_done != checked and not (self.done and self.batches_done < checked):
            return
        errors = [result.evaluation.error for result in self.results.values()]
        errors = [error for error in errors if error is not None]
        if len(errors) > self.config.failed_fraction * len(self.results):
            cause, count = collections.Counter(errors).most_common(1)[0]
            raise TooManyFailures(
                f"{len(errors)} of the first {len(self.results)} children failed; "
                f"most often ({count} times): {cause}"
            )

    # --- the journal ---

    def record(self, record: RemeasureRecord | RemeasuredRecord) -> None:
        """Record the beginning of a round of measurements, or one of its measurements."""
        self.journal.append(record)
        self.rounds.add(record)
        self._notify(record)

    def _notify(self, record: Record) -> None:
        for observe in self.observers:
            observe(record)

    def _replay(self) -> None:
        """Restore the state that the journal's records lead to, and continue an unfinished step."""
        steps: dict[type[Record], Callable[[Any], None]] = {
            ProposalsRecord: self._replay_proposals,
            ResultRecord: self._replay_result,
            UpdateRecord: self._replay_update,
            RemeasureRecord: self._replay_round,
            RemeasuredRecord: self._replay_measurement,
        }
        for number, record in enumerate(self.journal.records[1:], start=1):
            try:
                if type(record) not in steps:
                    raise misplaced(f"record of kind {record.kind}", "a step of the search")
                steps[type(record)](record)
            except UsageError as error:
                raise UsageError(f"{self.journal.path}, line {number + 1}: {error}") from None
            if isinstance(record, UpdateRecord):
                self._stateful.keep(number, self.journal.sums[number])
        waiting = (trial for trial in self._queue if trial.number not in self.results)
        self._queue = collections.deque(waiting)
        self._settle()

    def _replay_proposals(self, record: ProposalsRecord) -> None:
        where = f"proposals of batch {record.batch}"
        if self._batch:
            raise misplaced(where, f"the update of batch {self.batches_done}")
        require_equal(f"{where}: batch", record.batch, self.batches_done)
        require_equal(f"{where}: first_trial", record.first_trial, len(self.results))
        if not 1 <= len(record.decisions) <= self.config.batch:
            require_equal(f"{where}: number", len(record.decisions), self.config.batch)
        require_equal(f"{where}: log_probs", len(record.log_probs), len(record.decisions))
        try:
            decisions = self.space.canonical(np.array(record.decisions))
        except ValueError as error:
            raise UsageError(f"{where}: {error}") from None
        require_equal(
            f"{where}: decisions", record.decisions, tuple(map(tuple, decisions.tolist()))
        )
        log_probs = np.array([number_or_nan(value) for value in record.log_probs], np.float32)
        self._begin(record.first_trial, Proposals(decisions, log_probs))

    def _replay_result(self, record: ResultRecord) -> None:
        where = f"result of trial {record.trial}"
        trial = self._waiting(record.trial)
        if trial is None:
            raise misplaced(where, "a result of a trial that waits for one")
        first = self._first_by_hash[trial.hash]
        require_equal(f"{where} of space {self.space.name}: hash", record.hash, trial.hash)
        require_equal(f"{where}: seed", record.seed, trial.seed)
        require_equal(f"{where}: params", record.params, trial.cost.params)
        require_equal(f"{where}: mult_adds", record.mult_adds, trial.cost.mult_adds)
        duplicate_of = None if first == trial.number else first
        require_equal(f"{where}: duplicate_of", record.duplicate_of, duplicate_of)
        if duplicate_of is not None and first not in self.results:
            raise misplaced(where, f"the result of trial {first}")
        result = self.score(trial, record.evaluation, record.duplicate_of)
        require_equal(f"{where}: error", record.error, result.evaluation.error)
        require_close(f"{where}: reward", record.reward, result.reward)
        self._keep(dataclasses.replace(result, reward=record.reward))

    def _replay_update(self, record: UpdateRecord) -> None:
        where = f"update of batch {record.batch}"
        require_equal(f"{where}: batch", record.batch, self.batches_done)
        missing = [trial.number for trial in self._batch if trial.number not in self.results]
        if missing or not self._batch:
            raise misplaced(where, f"the result of trial {[*missing, len(self.results)][0]}")
        rewards = self._update()
        mean = sum(rewards) / len(rewards)
        require_close(f"{where}: mean_reward", record.mean_reward, mean)

    def _replay_round(self, record: RemeasureRecord) -> None:
        where = f"measurements after {record.results} results"
        if self._batch:
            raise misplaced(where, f"the update of batch {self.batches_done}")
        require_equal(f"{where}: results", record.results, len(self.results))
        for number in record.trials:
            result = self.results.get(number)
            if result is None or result.evaluation.error or result.duplicate_of is not None:
                raise misplaced(f"{where}: trial {number}", "trials of evaluated networks")
        self.rounds.add(record)

    def _replay_measurement(self, record: RemeasuredRecord) -> None:
        where = f"measurement {record.number} of trial {record.trial}"
        self.rounds.add(record)
        trial = self.results[record.trial].trial.again(self.config.seed, record.number)
        require_equal(f"{where}: seed", record.seed, trial.seed)
        result = self.score(trial, record.evaluation)
        require_equal(f"{where}: error", record.error, result.evaluation.error)
        require_close(f"{where}: reward", record.reward, result.reward)
