"""Non-dominated sets of cost and accuracy, and the hypervolume that they dominate.

A point is dominated by another of at most its cost and at least its accuracy, one of them better.
The hypervolume is the part of a rectangle of costs and accuracies that the points dominate, as a
fraction of its area (Zitzler and Thiele, IEEE Trans. Evol. Comput. 3(4), 1999).
"""

import bisect
import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np

# Pairs of (cost, accuracy), None or NaN where a trial has no such value.
Values = Sequence[float | None]


@dataclasses.dataclass(frozen=True)
class Box:
    """Rectangle of costs and accuracies; (most, least) is the reference point.

    cheapest, most   lowest and highest cost
    least, greatest  lowest and highest accuracy
    """

    cheapest: float
    most: float
    least: float
    greatest: float

    @classmethod
    def around(cls, points: Iterable[tuple[float | None, float | None]]) -> Self | None:
        """Return the smallest rectangle that holds all points; None where there are none."""
        known = [point for point in points if _is_point(*point)]
        if not known:
            return None
        costs, accuracies = zip(*known, strict=True)
        return cls(min(costs), max(costs), min(accuracies), max(accuracies))

    @property
    def area(self) -> float:
        """Return the area, 0 where all costs or all accuracies are equal."""
        return (self.most - self.cheapest) * (self.greatest - self.least)


def non_dominated(costs: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """Return the indices of points that no other dominates, by rising cost.

    Of equal points the first is kept.
    """
    order = sorted(range(len(costs)), key=lambda index: (costs[index], -accuracies[index], index))
    front: list[int] = []
    for index in order:
        if not front or accuracies[index] > accuracies[front[-1]]:
            front.append(index)
    return front


def hypervolumes(costs: Values, accuracies: Values, box: Box) -> np.ndarray:
    """Return the hypervolume after each point, float64 [N] in 0 to 1.

    Points without a cost or an accuracy change nothing; NaN where the rectangle has no area.
    """
    front: list[tuple[float, float]] = []  # by rising cost, and so by rising accuracy
    volume, volumes = 0.0, []
    for cost, accuracy in zip(costs, accuracies, strict=True):
        if _is_point(cost, accuracy) and _insert(front, float(cost or 0), float(accuracy or 0)):
            volume = _volume(front, box)
        volumes.append(volume)
    return np.array(volumes) if box.area > 0 else np.full(len(volumes), np.nan)


def _is_point(cost: float | None, accuracy: float | None) -> bool:
    return cost is not None and accuracy is not None and math.isfinite(cost + accuracy)


def _insert(front: list[tuple[float, float]], cost: float, accuracy: float) -> bool:
    """Add a point to a front and drop what it dominates; return whether it was not dominated."""
    place = bisect.bisect_right(front, (cost, math.inf))
    if place and front[place - 1][1] >= accuracy:
        return False
    first = place - 1 if place and front[place - 1][0] == cost else place
    last = place
    while last < len(front) and front[last][1] <= accuracy:
        last += 1
    front[first:last] = [(cost, accuracy)]
    return True


def _volume(front: Sequence[tuple[float, float]], box: Box) -> float:
    """Return the dominated fraction of the rectangle."""
    ends = [cost for cost, _ in front[1:]] + [box.most]
    area = sum(
        max(0.0, min(end, box.most) - max(cost, box.cheapest)) * max(0.0, accuracy - box.least)
        for (cost, accuracy), end in zip(front, ends, strict=True)
    )
    return area / box.area if box.area > 0 else math.nan
