"""A run's best networks trained to the end: accuracies over seeds, and how the proxy ranked them.

Accuracies of seeds are those of a complete training each. Networks that were selected by their
proxy accuracy cover a small range of it, so their rank correlation is below that of random
networks; its interval is wide for so few.
"""

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import Any

from scipy import special, stats

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.loop.selection import half_interval

MIN_NETWORKS = 5  # of a rank correlation with an interval


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A network to train.

    trial           of the run that found it; None for a reference
    proxy_accuracy  as the run measured it; None for a reference
    """

    architecture: Architecture
    trial: int | None = None
    proxy_accuracy: float | None = None


@dataclasses.dataclass(frozen=True)
class Correlation:
    """Kendall's rank correlation τ of n networks with its 95% interval."""

    tau: float
    low: float
    high: float
    n: int


@dataclasses.dataclass(frozen=True)
class Row:
    """A network with its accuracies.

    accuracies  of the seeds whose training has succeeded
    failed      causes of the others
    """

    candidate: Candidate
    accuracies: tuple[float, ...]
    failed: tuple[str, ...] = ()

    @property
    def mean(self) -> float | None:
        """Return the mean accuracy; None where no training succeeded."""
        return statistics.fmean(self.accuracies) if self.accuracies else None

    @property
    def interval(self) -> float | None:
        """Return half of the 95% interval of the mean; None for fewer than two seeds."""
        if len(self.accuracies) < 2:
            return None
        return half_interval(statistics.stdev(self.accuracies), len(self.accuracies))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON and CSV."""
        architecture = self.candidate.architecture
        cost = network_cost(architecture)
        return {
            "network": architecture.name,
            "trial": self.candidate.trial,
            "params": cost.params,
            "mult_adds": cost.mult_adds,
            "proxy_accuracy": self.candidate.proxy_accuracy,
            "accuracy": self.mean,
            "half_interval": self.interval,
            "n": len(self.accuracies),
            "failed": len(self.failed),
        }


def correlation(rows: Sequence[Row]) -> Correlation | None:
    """Return the rank correlation of proxy accuracy and mean accuracy.

    None for fewer than `MIN_NETWORKS` networks that have both, or where all of either are equal.
    """
    pairs = [
        (row.candidate.proxy_accuracy, row.mean)
        for row in rows
        if row.candidate.proxy_accuracy is not None and row.mean is not None
    ]
    if len(pairs) < MIN_NETWORKS:
        return None
    proxy, accuracy = zip(*pairs, strict=True)
    tau = float(stats.kendalltau(proxy, accuracy).statistic)
    return None if math.isnan(tau) else kendall_interval(tau, len(pairs))


def kendall_interval(tau: float, n: int) -> Correlation:
    """Return Kendall's τ of n > 4 pairs with its 95% interval (Fieller et al., Biometrika 1957).

    At ±1, where the interval would have no width, τ is taken half a swap of two networks inside.
    """
    # atanh τ ± z(0.975) · sqrt(0.437 / (n - 4))
    half_swap = 2 / (n * (n - 1))
    center = math.atanh(min(max(tau, half_swap - 1), 1 - half_swap))
    half = float(special.ndtri(0.975)) * math.sqrt(0.437 / (n - 4))
    low, high = math.tanh(center - half), math.tanh(center + half)
    return Correlation(tau, min(low, tau), max(high, tau), n)
