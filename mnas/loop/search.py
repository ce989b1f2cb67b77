"""The search itself: ask, answer from the journal or evaluate, tell, record.

`Search` knows controller, space, reward and journal, and nothing of processes. An engine does

    while (trial := search.ask()) is not None:    # None: done, or nothing until a result comes in
        search.tell(trial, evaluate(trial.architecture, trial.seed, trial.report))  # in any order

and may ask for several before it tells. A batch is handed out in the order of its networks'
mult-adds, the largest first, as whoever is done waits for the last one. What happens depends
neither on that nor on who finishes first: the controller is updated with a whole batch, ordered by
trial number; a trial's seed is folded from (search seed, trial number); and a network that has
stood before in the search, finished or not, is never handed out again but gets the first one's
evaluation (a repeat). Where hopeless children are stopped, it is by what was known before their
batch (`mnas.loop.early_stopping`).

Everything that happens is a line of the journal before it counts, and a search built on a journal
that has lines already replays them and goes on.
"""

import collections
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from mnas.architecture.cost import network_cost
from mnas.controller import Controller, Proposals
from mnas.errors import UsageError
from mnas.evaluation import Evaluation
from mnas.loop.config import SearchConfig
from mnas.loop.early_stopping import Curves
from mnas.loop.journal import Journal
from mnas.loop.records import from_plain, in_plain_numbers, plain, to_evaluation, to_record
from mnas.loop.trial import Result, Trial
from mnas.reward import RewardConfig
from mnas.space import Space


class TooManyFailures(RuntimeError):
    """More children failed than a search can learn anything from; the message says of what."""


class Search:
    """A search over `space`, steered by `controller`, recorded in `journal`.

    trials     networks to sample in all, as configured
    done       every trial has its result; turns true in `tell`, or in `ask` where the last ones
               are repeats (`ask` then answers None)
    results    by trial number, every result so far, repeats too
    best       of the results that did not fail, the one of highest reward; the earliest of equals.
               One that was stopped only where none was trained to its end
    observers  called with every record that is added to the journal, after it is on disk

    Raises ValueError where the journal's records don't fit the space.
    """

    def __init__(
        self,
        space: Space,
        controller: Controller,
        reward: RewardConfig,
        config: SearchConfig,
        journal: Journal,
        observers: tuple[Callable[[dict[str, Any]], None], ...] = (),
    ) -> None:
        self.space, self.controller, self.reward = space, controller, reward
        self.config, self.journal, self.observers = config, journal, observers
        self.trials = space.cardinality() if config.trials is None else config.trials
        self.results: dict[int, Result] = {}
        self.best: Result | None = None
        self.batches_done = 0
        self._key = jax.random.key(config.seed)
        self.state = controller.init(jax.random.fold_in(self._key, 0))
        self._curves = Curves()  # of the batches before the one under way
        self._first_by_hash: dict[str, int] = {}
        self._proposals: Proposals | None = None  # of the batch under way
        self._batch: list[Trial] = []
        self._repeats: list[Trial] = []  # of the batch
        self._queue: collections.deque[Trial] = collections.deque()  # of the batch, not handed out
        self._replay()

    # --- what engines use ---

    @property
    def done(self) -> bool:
        return self._proposed >= self.trials and not self._batch

    def ask(self) -> Trial | None:
        """The next trial to evaluate; None while the batch waits for results, or when done."""
        while not self._batch and not self.done:
            self._propose()
            self._settle()
        return self._queue.popleft() if self._queue else None

    def tell(self, trial: Trial, evaluation: Evaluation) -> Result:
        """Records what came of a trial that was asked for; each trial once."""
        place = trial.number - self._batch[0].number if self._batch else -1
        if trial.number in self.results or not 0 <= place < len(self._batch):
            raise ValueError(f"trial {trial.number} is not waiting for a result")
        result = self._record(trial, evaluation)
        self._settle()
        return result

    # --- the steps ---

    @property
    def _proposed(self) -> int:
        return self._batch[-1].number + 1 if self._batch else len(self.results)

    def _propose(self) -> None:
        batch, first = self.batches_done, len(self.results)
        count = min(self.config.batch, self.trials - first)
        key = jax.random.fold_in(jax.random.fold_in(self._key, 1), batch)
        proposals = self.controller.ask(self.state, key, count)
        # As they will be read back: a resumed search must tell the controller the very same.
        decisions = self.space.canonical(proposals.decisions)
        proposals = Proposals(decisions, np.asarray(proposals.log_probs, np.float32))
        self._append(
            {
                "kind": "proposals",
                "batch": batch,
                "first_trial": first,
                "decisions": proposals.decisions.tolist(),
                "log_probs": [plain(value) for value in proposals.log_probs.tolist()],
            }
        )
        self._begin(first, proposals)

    def _begin(self, first: int, proposals: Proposals) -> None:
        self._proposals = proposals
        report = self.config.stopping.rule(self._curves)
        for number, decisions in enumerate(proposals.decisions, start=first):
            architecture = self.space.decode(decisions)
            seed = int(np.random.SeedSequence([self.config.seed, number]).generate_state(1)[0])
            name = architecture.canonical_hash()
            cost = network_cost(architecture)
            trial = Trial(number, decisions, architecture, name, cost, seed, report)
            self._batch.append(trial)
            if self._first_by_hash.setdefault(trial.hash, number) != number:
                self._repeats.append(trial)
        new = [trial for trial in self._batch if self._first_by_hash[trial.hash] == trial.number]
        # What takes longest first: the workers that are done wait for the rest of the batch.
        self._queue.extend(sorted(new, key=lambda trial: -trial.cost.mult_adds))

    def _record(self, trial: Trial, evaluation: Evaluation, duplicate_of: int | None = None) -> Result:
        result = self._score(trial, in_plain_numbers(evaluation), duplicate_of)
        self._append(to_record(result))
        self._keep(result)
        return result

    def _score(self, trial: Trial, evaluation: Evaluation, duplicate_of: int | None) -> Result:
        costs = {**dataclasses.asdict(trial.cost), "latency_ms": evaluation.latency_ms}
        if evaluation.error is None and costs[self.reward.cost] is None:
            message = f"the evaluator measured no {self.reward.cost}"
            evaluation = dataclasses.replace(evaluation, error=message)
        reward = self.config.failed_reward
        if evaluation.error is None:
            try:
                reward = self.reward(evaluation.accuracy, costs[self.reward.cost])
            except ValueError as error:  # a latency that is none: the evaluator's fault
                evaluation = dataclasses.replace(evaluation, error=str(error))
        return Result(trial, evaluation, reward, duplicate_of)

    def _keep(self, result: Result) -> None:
        self.results[result.trial.number] = result
        if result.evaluation.error is not None:
            return
        if self.best is None or result.rank < self.best.rank:
            self.best = result

    def _settle(self) -> None:
        """Answers the repeats whose first has its result; updates once the batch is complete."""
        for trial in self._repeats:
            first = self._first_by_hash[trial.hash]
            if trial.number not in self.results and first in self.results:
                evaluation = self.results[first].evaluation
                self._record(trial, dataclasses.replace(evaluation, seconds=0.0, timings={}), first)
        if self._batch and len(self.results) == self._proposed:  # those before it all have theirs
            rewards = [self.results[trial.number].reward for trial in self._batch]
            self._update()
            summary = self.controller.summary(self.state)
            self._append(
                {
                    "kind": "update",
                    "batch": self.batches_done - 1,
                    "mean_reward": sum(rewards) / len(rewards),
                    "mean_log_prob": plain(float(np.mean(self._proposals.log_probs))),
                    "controller": {name: plain(value) for name, value in summary.items()},
                }
            )
            self._check_failures()

    def _update(self) -> None:
        rewards = np.array([self.results[t.number].reward for t in self._batch], np.float32)
        self.state = self.controller.tell(self.state, self._proposals, rewards)
        # Of complete batches only, here and when the journal is replayed.
        for result in (self.results[trial.number] for trial in self._batch):
            if result.duplicate_of is None:
                self._curves.add(result.evaluation)
        self.batches_done += 1
        self._batch, self._repeats = [], []

    def _check_failures(self) -> None:
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

    def _append(self, record: dict[str, Any]) -> None:
        record = {**record, "time": time.time()}
        self.journal.append(record)
        for observe in self.observers:
            observe(record)

    def _replay(self) -> None:
        """Brings the search to where the journal's records leave it, then finishes what is due."""
        for record in self.journal.records:
            if record["kind"] == "proposals":
                decisions = self.space.canonical(np.array(record["decisions"], np.int32))
                log_probs = np.array([from_plain(v) for v in record["log_probs"]], np.float32)
                self._begin(record["first_trial"], Proposals(decisions, log_probs))
            elif record["kind"] == "result":
                trial = next((t for t in self._batch if t.number == record["trial"]), None)
                if trial is None or trial.hash != record["hash"]:
                    raise UsageError(
                        f"{self.journal.path}: trial {record['trial']} is network "
                        f"{record['hash']}, which space {self.space.name} does not give for it; "
                        "accepted: the journal of a search over this space"
                    )
                evaluation = to_evaluation(record)
                self._keep(self._score(trial, evaluation, record["duplicate_of"]))
            elif record["kind"] == "update":
                self._update()
        self._queue = collections.deque(t for t in self._queue if t.number not in self.results)
        self._settle()
