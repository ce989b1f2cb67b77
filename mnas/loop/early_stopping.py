"""Early stopping of underperforming children by a rule that is independent of arrival order.

ASHA and median stopping compare a child with the children that happen to have finished, so their
searches are not reproducible. Here the thresholds of a batch are fixed when it is proposed, from
the learning curves of *earlier batches*: a child whose held-out accuracy falls below the threshold
of its epoch is stopped there. The same journal gives the same thresholds on every engine and after
resuming.

A stopped child's evaluation holds its accuracy at the stop, roughly a lower bound of its final one,
and its reward is computed from that. A stopped network is exported only if no network was trained
to its end.

The rule compares accuracies, not rewards, because latency is known only after training. Where cost
dominates the reward, choose a low quantile; a higher one stops very cheap networks too often.
"""

import bisect
import dataclasses
import math
from collections import Counter
from collections.abc import Iterable
from typing import Literal

from mnas.errors import require_fraction, require_whole
from mnas.evaluation import Evaluation


@dataclasses.dataclass(frozen=True)
class StoppingRule:
    """A `report` for evaluators that answers "stop" below the epoch's threshold.

    thresholds  (epoch, accuracy) pairs, at most one per epoch; other epochs are never stopped
    """

    thresholds: tuple[tuple[int, float], ...] = ()

    def __call__(self, epoch: int, accuracy: float) -> Literal["stop"] | None:
        # `not >=` rather than `<`: an accuracy of NaN is stopped, too.
        below = any(at == epoch and not accuracy >= least for at, least in self.thresholds)
        return "stop" if below else None


@dataclasses.dataclass(frozen=True)
class StoppingConfig:
    """Settings of early stopping. If on, accuracy is evaluated after every epoch, at a cost."""

    quantile: float = 0.0
    """Stop a child below this quantile of the networks of earlier batches at the same epoch; 0.5 is
    the median, 0 disables early stopping."""
    min_curves: int = 8
    """Minimum number of networks known at an epoch before any child is stopped there."""
    min_epochs: int = 1
    """Number of epochs before which no child is stopped."""

    def __post_init__(self) -> None:
        require_fraction("stopping", "quantile", self.quantile)
        require_whole("stopping", "min_curves", self.min_curves, most=10**9)
        require_whole("stopping", "min_epochs", self.min_epochs, most=10**9)

    def rule(self, earlier: "Curves") -> StoppingRule | None:
        """Return the rule of a batch from the curves of all earlier batches; None where off.

        A network stopped before an epoch ranks below all others at that epoch. Without that, only
        the survivors would count, and the quantile would rise from batch to batch; with it, the
        fraction of networks stopped stays about the same. Failed networks are left out. The last
        epoch has no threshold, because stopping there saves nothing.
        """
        if not self.quantile:
            return None
        thresholds = []
        for epoch, accuracies in sorted(earlier.accuracies.items())[:-1]:
            below = sum(count for last, count in earlier.stopped.items() if last < epoch)
            known = below + len(accuracies)
            if epoch >= self.min_epochs and known >= self.min_curves:
                # The lower order statistic; interpolation with -inf is undefined.
                index = math.floor(self.quantile * (known - 1)) - below
                if index >= 0:
                    thresholds.append((epoch, accuracies[index]))
        return StoppingRule(tuple(thresholds))


class Curves:
    """Learning curves of networks, with insertion cost independent of their number.

    accuracies  by epoch, ascending: of all networks evaluated at that epoch
    stopped     number of stopped networks, by their last epoch
    """

    def __init__(self, evaluations: Iterable[Evaluation] = ()) -> None:
        self.accuracies: dict[int, list[float]] = {}
        self.stopped: Counter[int] = Counter()
        for evaluation in evaluations:
            self.add(evaluation)

    def add(self, evaluation: Evaluation) -> None:
        """Add a network's curve; failed evaluations and those without history add nothing."""
        if evaluation.error is not None or not evaluation.history:
            return
        curve = dict(evaluation.history)
        for epoch, accuracy in curve.items():
            bisect.insort(self.accuracies.setdefault(epoch, []), accuracy)
        if evaluation.stopped:
            self.stopped[max(curve)] += 1


def savings(children: Iterable[tuple[int, bool]]) -> tuple[int, int]:
    """Return (number of stopped children, epochs saved by stopping them).

    children  (epochs, stopped) of each network, duplicates left out

    Epochs saved are counted against the longest training among the children.
    """
    children = list(children)
    longest = max((epochs for epochs, _ in children), default=0)
    saved = [longest - epochs for epochs, stopped in children if stopped]
    return len(saved), sum(saved)
