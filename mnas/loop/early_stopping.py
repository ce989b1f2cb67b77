"""Stops children early that are behind, by a rule that needs no order of arrival.

ASHA and median stopping compare a child with those that happen to have finished, so a search with
them can't be repeated. Here a child is compared with the networks of *earlier batches*: when a
batch is proposed, a threshold for each epoch is fixed, and a child whose held-out accuracy is below
that of its epoch ends there. The same journal gives the same thresholds, whoever finishes first, on
every engine, resumed or not.

A stopped child counts with its accuracy at the stop, which is about the least that it would have
reached in the end; the controller takes it for a bad network, which is all it needs to know.
Nothing is exported that was stopped, unless nothing else was trained at all.

What is compared is accuracy, not reward: latency is known only once a child is trained. Where cost
weighs much in the reward, choose a low quantile, or very cheap networks are stopped too readily.
"""

import bisect
import dataclasses
import math
from collections import Counter
from collections.abc import Iterable
from typing import Literal

from mnas.errors import UsageError
from mnas.evaluation import Evaluation


@dataclasses.dataclass(frozen=True)
class StoppingRule:
    """A `report` for evaluators: answers "stop" to an accuracy below the epoch's threshold.

    thresholds  (epoch, accuracy) pairs, of no epoch more than one; where there are none, and at
                other epochs, nothing is stopped
    """

    thresholds: tuple[tuple[int, float], ...] = ()

    def __call__(self, epoch: int, accuracy: float) -> Literal["stop"] | None:
        behind = any(at == epoch and not accuracy >= least for at, least in self.thresholds)
        return "stop" if behind else None  # NaN is behind


@dataclasses.dataclass(frozen=True)
class StoppingConfig:
    """When a child is hopeless. Accuracy is then evaluated after every epoch, which takes time."""

    quantile: float = 0.0
    """A child is stopped below this quantile of the networks of earlier batches at the same epoch;
    0.5 is the median. 0 stops nothing."""
    min_curves: int = 8
    """Networks that must be known at an epoch before anything is stopped there."""
    min_epochs: int = 1
    """Epochs that every child gets."""

    def __post_init__(self) -> None:
        if not 0 <= self.quantile < 1:
            raise UsageError(
                f"stopping: quantile = {self.quantile}; accepted: 0 (stops nothing) to below 1"
            )
        for name in ("min_curves", "min_epochs"):
            if getattr(self, name) < 1:
                raise UsageError(f"stopping: {name} = {getattr(self, name)}; accepted: at least 1")

    def rule(self, earlier: "Curves") -> StoppingRule | None:
        """The rule for a batch, given the curves of all networks before it; None where off.

        A network that was stopped before an epoch counts there as below all others: only the good
        ones get so far, and their quantile alone would rise from batch to batch. So about the same
        share of networks is stopped in all, not at every epoch. Failed ones don't count. The last
        epoch has no threshold, as there is nothing left to save.
        """
        if not self.quantile:
            return None
        thresholds = []
        for epoch, accuracies in sorted(earlier.accuracies.items())[:-1]:
            below = sum(count for last, count in earlier.stopped.items() if last < epoch)
            known = below + len(accuracies)
            if epoch >= self.min_epochs and known >= self.min_curves:
                # The order statistic below: between -inf and a number there is no middle.
                place = math.floor(self.quantile * (known - 1)) - below
                if place >= 0:
                    thresholds.append((epoch, accuracies[place]))
        return StoppingRule(tuple(thresholds))


class Curves:
    """What networks reached, epoch by epoch; to add one costs the same, however many there are.

    accuracies   by epoch, those of all networks that were evaluated there, in ascending order
    stopped      how many networks were stopped, by their last epoch
    """

    def __init__(self, evaluations: Iterable[Evaluation] = ()) -> None:
        self.accuracies: dict[int, list[float]] = {}
        self.stopped: Counter[int] = Counter()
        for evaluation in evaluations:
            self.add(evaluation)

    def add(self, evaluation: Evaluation) -> None:
        """Failed networks, and those that reported nothing, leave no curve."""
        if evaluation.error is not None or not evaluation.history:
            return
        curve = dict(evaluation.history)
        for epoch, accuracy in curve.items():
            bisect.insort(self.accuracies.setdefault(epoch, []), accuracy)
        if evaluation.stopped:
            self.stopped[max(curve)] += 1


def savings(children: Iterable[tuple[int, bool]]) -> tuple[int, int]:
    """(children stopped, epochs they were spared); `children` are (epochs, stopped), no repeats.

    What is spared is counted up to the longest training among them.
    """
    children = list(children)
    longest = max((epochs for epochs, _ in children), default=0)
    spared = [longest - epochs for epochs, stopped in children if stopped]
    return len(spared), sum(spared)
