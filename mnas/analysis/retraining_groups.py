"""Searches compared by their best networks, trained to the end, and with reference networks.

A group is the best networks of one search, or one reference. The value of a network is its mean
accuracy over seeds, and the interval of a search's mean is over these values: it holds the spread
of seeds and of networks, and not that of searches with other seeds. A reference's values are the
accuracies of its seeds.
"""

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from scipy import special

from mnas.errors import UsageError, is_finite, is_number, shown
from mnas.loop.selection import half_interval


@dataclasses.dataclass(frozen=True)
class Group:
    """Networks whose mean accuracy is compared.

    values     of a search's networks, or of a reference's seeds; one or more
    networks   number of networks
    trainings  number of trainings that have succeeded
    mult_adds  mean over the networks
    """

    name: str
    values: tuple[float, ...]
    networks: int
    trainings: int
    mult_adds: float

    @property
    def mean(self) -> float:
        """Return the mean of the values."""
        return statistics.fmean(self.values)

    @property
    def interval(self) -> float | None:
        """Return half of the 95% interval of the mean; None for fewer than two values."""
        if len(self.values) < 2:
            return None
        return half_interval(statistics.stdev(self.values), len(self.values))


def difference(first: Group, second: Group) -> tuple[float, float | None]:
    """Return the first mean less the second, and half of its 95% interval (Welch, 1947).

    The half is None where either has fewer than two values.
    """
    distance, groups = first.mean - second.mean, (first, second)
    if min(len(group.values) for group in groups) < 2:
        return distance, None
    # v_i = s_i² / n_i;  degrees of freedom (v_1 + v_2)² / Σ v_i² / (n_i - 1)
    variances = [statistics.variance(group.values) / len(group.values) for group in groups]
    total = sum(variances)
    if not total:
        return distance, 0.0
    freedom = total**2 / sum(
        v**2 / (len(group.values) - 1) for v, group in zip(variances, groups, strict=True)
    )
    return distance, float(special.stdtrit(freedom, 0.975)) * math.sqrt(total)


def groups_of(data: Any, name: str, path: str) -> list[Group]:
    """Return the groups of a finished `mnas retrain`: its search's networks, then its references.

    data  content of retrained.json, the file `path`
    name  of the search

    Networks of which no training has succeeded are left out. Raises UsageError, which names the
    file, where it is no such content, or where none is left.
    """
    rows = data.get("networks") if isinstance(data, Mapping) else None
    accuracies = data.get("accuracies") if isinstance(data, Mapping) else None
    if not isinstance(rows, list) or not isinstance(accuracies, Mapping):
        raise UsageError(f"{path} is not of mnas retrain; accepted: its retrained.json")
    found: list[tuple[float, int, float]] = []
    references: list[Group] = []
    for row in rows:
        network, trained = _network(row, accuracies, path)
        if not trained:
            continue
        if row.get("trial") is None:
            label = f"{name}: {network}"
            references.append(Group(label, trained, 1, len(trained), row["mult_adds"]))
        else:
            found.append((statistics.fmean(trained), len(trained), row["mult_adds"]))
    if not found:
        raise UsageError(f"{path} has no network of a search that was trained to the end")
    means, trainings, madds = zip(*found, strict=True)
    best = Group(name, means, len(means), sum(trainings), statistics.fmean(madds))
    return [best, *references]


def _network(row: Any, accuracies: Mapping[str, Any], path: str) -> tuple[str, tuple[float, ...]]:
    """Return name and accuracies of a row of retrained.json; UsageError where it is malformed."""
    network = row.get("network") if isinstance(row, Mapping) else None
    trained = accuracies.get(network) if isinstance(network, str) else None
    if (
        not isinstance(network, str)
        or not isinstance(trained, list)
        or not all(is_number(value) and 0 <= value <= 1 for value in trained)
        or not is_finite(row.get("mult_adds"))
    ):
        raise UsageError(
            f"{path}: networks has {shown(row)}; accepted: network, mult_adds, and accuracies from "
            "0 to 1 by network"
        )
    return network, tuple(map(float, trained))


def require_same_training(retrainings: Mapping[str, Any]) -> None:
    """Raise UsageError where contents of retrained.json, by name, differ in training or images."""
    (first, expected), *others = retrainings.items()
    for name, data in others:
        for field in ("training", "measured_on"):
            before, now = expected.get(field), data.get(field)
            if isinstance(before, Mapping) and isinstance(now, Mapping):
                field, before, now = _first_difference(field, before, now)
            if before != now:
                raise UsageError(
                    f"{name}: {field} = {shown(now)}, and {first} has {shown(before)}; accepted: "
                    "retrainings with the same settings"
                )


def _first_difference(
    field: str, before: Mapping[str, Any], now: Mapping[str, Any]
) -> tuple[str, Any, Any]:
    """Return dotted name and both values of the first setting that differs, if any does."""
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            return f"{field}.{key}", before.get(key), now.get(key)
    return field, before, before


def records(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return plain data of each group; differences are those of the first group to it."""
    found = []
    for group in groups:
        distance, half = (None, None) if group is groups[0] else difference(groups[0], group)
        found.append(
            {
                "name": group.name,
                "networks": group.networks,
                "trainings": group.trainings,
                "mult_adds": group.mult_adds,
                "accuracy": group.mean,
                "half_interval": group.interval,
                "difference": distance,
                "difference_half_interval": half,
            }
        )
    return found
