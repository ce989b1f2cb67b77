"""Processor time of a search's evaluations, with that of what they share."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mnas.evaluation import CPU_SECONDS, SHARED_CPU_SECONDS


class Spending(NamedTuple):
    """Processor time of evaluations, seconds.

    evaluations  number of those that measured it; not copies of earlier ones
    own          of all of them together
    shared       of what was trained once for all of them, a weight bank
    """

    evaluations: int
    own: float
    shared: float

    @property
    def per_child(self) -> float:
        """Return the processor time of one evaluation, all included, seconds."""
        return (self.own + self.shared) / self.evaluations


def spending(timings: Iterable[Mapping[str, float]]) -> Spending | None:
    """Return the processor time of evaluations from their `timings`; None where none measured it.

    Each evaluation has the time of what all share as a whole; it counts once.
    """
    measured = [of_one for of_one in timings if CPU_SECONDS in of_one]
    if not measured:
        return None
    own = sum(of_one[CPU_SECONDS] for of_one in measured)
    shared = max(of_one.get(SHARED_CPU_SECONDS, 0.0) for of_one in measured)
    return Spending(len(measured), own, shared)
