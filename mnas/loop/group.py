"""Several searches that an engine runs as one, such as those of several seeds.

Workers that the last trials of one search leave idle go on with the next search.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Protocol

from mnas.evaluation import Evaluation
from mnas.loop.config import SearchConfig
from mnas.loop.search import Search
from mnas.loop.trial import Result, Trial
from mnas.space import Space


class TrialSource(Protocol):
    """Source of an engine's trials: a `Search`, or a `SearchGroup`."""

    space: Space
    config: SearchConfig

    @property
    def results(self) -> Mapping[int, Result]:
        """Results so far by trial number."""
        ...

    @property
    def batches_done(self) -> int:
        """Number of complete batches."""
        ...

    @property
    def done(self) -> bool:
        """Whether every trial has its result."""
        ...

    def ask(self) -> Trial | None:
        """Return the next trial; None while results are outstanding that it needs, or if done."""
        ...

    def tell(self, trial: Trial, evaluation: Evaluation) -> Result:
        """Record the evaluation of a trial returned by `ask`; return its result."""
        ...


class SearchGroup:
    """Searches over one space with the same settings but for the seed, run together.

    A search's trials are handed out when the searches before it have none, numbered in that order;
    in its journal a trial has the search's own number.

    Raises ValueError without a search.
    """

    def __init__(self, searches: Sequence[Search]) -> None:
        if not searches:
            raise ValueError("no search; accepted: one or more")
        self.space, self.config = searches[0].space, searches[0].config
        self.results: dict[int, Result] = {}
        self._searches = tuple(searches)
        self._running: dict[int, tuple[Search, Trial]] = {}
        self._numbers = itertools.count()

    @property
    def batches_done(self) -> int:
        """Return the number of complete batches of all searches."""
        return sum(search.batches_done for search in self._searches)

    @property
    def done(self) -> bool:
        """Return whether every trial of every search has its result."""
        return all(search.done for search in self._searches)

    def ask(self) -> Trial | None:
        """Return the next trial of the first search that has one; None if none has.

        Raises as `Search.ask`.
        """
        for search in self._searches:
            trial = search.ask()
            if trial is not None:
                number = next(self._numbers)
                self._running[number] = search, trial
                return dataclasses.replace(trial, number=number)
        return None

    def tell(self, trial: Trial, evaluation: Evaluation) -> Result:
        """Record the evaluation of a trial returned by `ask` in its search; return its result.

        Raises ValueError for a trial that is not waiting for a result, else as `Search.tell`.
        """
        if trial.number not in self._running:
            raise ValueError(f"trial {trial.number} is not waiting for a result")
        search, own = self._running.pop(trial.number)
        result = search.tell(own, evaluation)
        self.results[trial.number] = result
        return result
