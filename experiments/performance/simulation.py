"""Searches in virtual time: utilization of any number of workers.

Real `Search` objects hand out the trials; workers are entries of a heap, ordered by the time at
which they finish. The driver does one thing after another: each `ask` and `tell` takes the CPU time
that it takes here, and each trial a constant of the engine on top.
"""

import dataclasses
import heapq
import time
from collections.abc import Callable

from mnas.evaluation import Evaluation
from mnas.experiments.performance.harness import new_search
from mnas.loop.search import Search
from mnas.loop.trial import Trial


@dataclasses.dataclass(frozen=True)
class Utilization:
    """Fraction of the time that workers train.

    kind           "ray" (sleeping actors) or "simulated"
    stale          updates that a batch's policy lacks, because batches are sampled ahead
    utilization    simulated: from the first child's start; Ray: from the second batch's, because
                   actors are still starting during the first one
    """

    kind: str
    workers: int
    batch: int
    stale: int
    trials: int
    utilization: float


class NullJournal:
    """Journal that records nothing."""

    records = ()
    last = (0, b"")  # number and checksum of the last record, the key of a snapshot

    def append(self, record: object) -> None:
        """Discard the record."""


def simulate(
    workers: int,
    batch: int,
    stale: int,
    duration: Callable[[int, int], float],
    engine_ms: float,
    batches: int = 4,
) -> Utilization:
    """Simulate a random search and return the utilization of its workers.

    duration   (mult-adds, seed) -> seconds of a child
    engine_ms  the engine's own time for each trial, milliseconds
    batches    of each search

    A search that samples `stale` updates ahead is simulated by stale + 1 searches that take turns:
    one of them may sample exactly when a search that samples ahead may.
    """
    trials = batches * batch
    searches = [
        new_search("random", trials, batch, NullJournal(), seed) for seed in range(stale + 1)
    ]
    driver_free_at, idle_workers = 0.0, workers
    running: list[tuple[float, int, int, Trial]] = []
    busy_seconds, end = 0.0, 0.0
    while True:
        while idle_workers:
            index, trial, seconds = next_trial(searches)
            driver_free_at += seconds
            if trial is None:
                break
            idle_workers -= 1
            driver_free_at += engine_ms / 1000
            seconds = duration(trial.cost.mult_adds, trial.seed)
            busy_seconds += seconds
            heapq.heappush(running, (driver_free_at + seconds, trial.number, index, trial))
        if not running:
            break
        end, _, index, trial = heapq.heappop(running)
        driver_free_at = max(driver_free_at, end)
        began = time.process_time()
        searches[index].tell(trial, Evaluation(0.5))
        driver_free_at += time.process_time() - began
        idle_workers += 1
    utilization = busy_seconds / (workers * end)
    return Utilization("simulated", workers, batch, stale, trials * len(searches), utilization)


def next_trial(searches: list[Search]) -> tuple[int, Trial | None, float]:
    """Ask the searches for a trial, the one with the fewest finished batches first.

    Returns (index of the search, trial or None, CPU seconds of asking).
    """
    began = time.process_time()
    order = sorted(range(len(searches)), key=lambda index: (searches[index].batches_done, index))
    for index in order:
        if (trial := searches[index].ask()) is not None:
            break
    return index, trial, time.process_time() - began
