"""Selection of the network that a search exports.

    measured  the network of the highest reward
    model     the network of the highest reward at its accuracy as `mnas.loop.smoothing` estimates
              it from all accuracies

With noisy accuracies, as training gives, the highest of many rewards overestimates its network; the
model removes noise without further evaluations. Networks that were measured again
(`mnas.loop.rounds`) come before all others:

    measured  by the mean reward of these measurements, without the one by which they were selected
    model     as above, with all their measurements in the model

A network whose further measurements all failed is ranked with those that have none, by the search's
own. Imports no JAX.
"""

import dataclasses
import functools
import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from scipy import special

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import depth
from mnas.errors import UsageError
from mnas.loop.records import RemeasuredRecord, ResultRecord
from mnas.loop.smoothing import covariates, posterior_means
from mnas.reward import RewardConfig

Selection = Literal["measured", "model"]
MOST = 10**18  # mult-adds or params in the model


@dataclasses.dataclass(frozen=True)
class Remeasured:
    """Further measurements of a network that succeeded.

    failed  number of those that failed
    """

    records: tuple[RemeasuredRecord, ...]
    failed: int = 0

    @property
    def accuracies(self) -> list[float]:
        """Return the accuracies, without the search's own."""
        return [record.evaluation.accuracy for record in self.records]

    @property
    def mean(self) -> float | None:
        """Return the mean accuracy; None where all failed."""
        return statistics.fmean(self.accuracies) if self.records else None

    @property
    def reward(self) -> float:
        """Return the mean reward of at least one measurement."""
        return statistics.fmean(record.reward for record in self.records)

    @property
    def half_interval(self) -> float | None:
        """Return half of the 95% interval of the mean accuracy; None for fewer than two."""
        if len(self.records) < 2:
            return None
        return half_interval(statistics.stdev(self.accuracies), len(self.records))

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return the 95% interval of the mean accuracy, within 0 to 1; None for fewer than two."""
        mean, half = self.mean, self.half_interval
        if mean is None or half is None:
            return None
        return max(mean - half, 0.0), min(mean + half, 1.0)


@dataclasses.dataclass(frozen=True)
class Ranked:
    """A network that may be exported.

    score       reward by which it is ranked; minus infinity where the model is not fitted to it
    smoothed    accuracy by the model; None under the selection "measured", and where the model is
                not fitted to the network
    remeasured  None where it was not measured again
    """

    result: ResultRecord
    score: float
    smoothed: float | None = None
    remeasured: Remeasured | None = None


def half_interval(std: float, n: int) -> float:
    """Return half of the 95% interval of a mean of n > 1 values, by Student's t distribution.

    std  their sample standard deviation
    """
    # t(0.975, n - 1) · s / √n
    return float(special.stdtrit(n - 1, 0.975)) * std / n**0.5


def candidates(results: Iterable[ResultRecord]) -> list[ResultRecord]:
    """Return the results that may be exported, in their order.

    Failed results and duplicates are left out; so are stopped ones, unless no network was trained
    to its end.
    """
    unique = [r for r in results if r.error is None and r.duplicate_of is None]
    return [result for result in unique if not result.stopped] or unique


def ranking(
    selection: Selection,
    results: Iterable[ResultRecord],
    decisions: Mapping[int, Sequence[int]],
    reward: RewardConfig | None,
    remeasured: Iterable[RemeasuredRecord] = (),
) -> list[Ranked]:
    """Return the results that may be exported, best first; of equals, the earliest.

    results     in order of their trials
    decisions   by trial number
    reward      of the search; may be None under the selection "measured"
    remeasured  further measurements (`Rounds.counted`)
    """
    exportable, again = candidates(results), grouped(remeasured)
    found = [
        Ranked(
            result, _measured_reward(result, again.get(result.trial)), None, again.get(result.trial)
        )
        for result in exportable
    ]
    if selection == "model":
        if reward is None:
            raise ValueError("reward = None; accepted with the selection model: a reward")
        means = smoothed(exportable, decisions, again)
        found = [_by_model(ranked, means, reward) for ranked in found]
    return sorted(found, key=lambda ranked: (not _measured_again(ranked), -ranked.score))


def smoothed(
    results: Sequence[ResultRecord],
    decisions: Mapping[int, Sequence[int]],
    remeasured: Mapping[int, Remeasured],
) -> dict[int, float]:
    """Return the accuracies by the model of networks that it is fitted to, by trial.

    results  successful ones of different networks

    Raises UsageError where decisions are no vectors of one space, as in a damaged journal.
    """
    known = [result for result in results if result.evaluation.error is None]
    vectors = [decisions[result.trial] for result in known]
    if len(set(map(len, vectors))) > 1:
        raise UsageError("decisions of different lengths; accepted: vectors of one space")
    if not known:
        return {}
    measured = [_accuracies(result, remeasured.get(result.trial)) for result in known]
    means = posterior_means(
        np.array(vectors),
        covariates(
            np.array([min(result.mult_adds, MOST) for result in known], float),
            np.array([min(result.params, MOST) for result in known], float),
            np.array([_depth(json.dumps(result.architecture)) for result in known]),
        ),
        np.array([statistics.fmean(values) for values in measured]),
        np.array([len(values) for values in measured], float),
    )
    pairs = zip(known, means.tolist(), strict=True)
    return {result.trial: mean for result, mean in pairs if math.isfinite(mean)}


def _accuracies(result: ResultRecord, again: Remeasured | None) -> list[float]:
    """Return all measurements of a network."""
    return [result.evaluation.accuracy, *(again.accuracies if again else ())]


def grouped(records: Iterable[RemeasuredRecord]) -> dict[int, Remeasured]:
    """Return further measurements by trial."""
    of_trials: dict[int, list[RemeasuredRecord]] = {}
    for record in records:
        of_trials.setdefault(record.trial, []).append(record)
    return {
        trial: Remeasured(
            tuple(record for record in found if record.evaluation.error is None),
            sum(record.evaluation.error is not None for record in found),
        )
        for trial, found in of_trials.items()
    }


def _measured_again(ranked: Ranked) -> bool:
    return ranked.remeasured is not None and bool(ranked.remeasured.records)


def _measured_reward(result: ResultRecord, again: Remeasured | None) -> float:
    return again.reward if again is not None and again.records else result.reward


def _by_model(ranked: Ranked, means: Mapping[int, float], reward: RewardConfig) -> Ranked:
    """Return the network with its accuracy by the model, and the reward at that."""
    result, again = ranked.result, ranked.remeasured
    if result.trial not in means:
        return dataclasses.replace(ranked, score=-math.inf)
    latencies = [record.latency_ms for record in (again.records if again else ())]
    known = [latency for latency in latencies if latency is not None]
    cost = {
        "mult_adds": result.mult_adds,
        "params": result.params,
        "latency_ms": statistics.fmean(known) if known else result.latency_ms,
    }[reward.cost]
    accuracy = means[result.trial]
    score = -math.inf if cost is None else reward(accuracy, cost)
    return dataclasses.replace(ranked, score=score, smoothed=accuracy)


@functools.lru_cache(maxsize=100_000)
def _depth(architecture: str) -> int:
    return depth(Architecture.from_dict(json.loads(architecture)))
