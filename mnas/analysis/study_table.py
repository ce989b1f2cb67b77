"""Tables of a study: a row per search and sample count, and summaries over seeds."""

import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path

from mnas import files
from mnas.architecture.architecture import Architecture
from mnas.evaluation import Evaluator
from mnas.experiment.study import Outcome, Study
from mnas.loop.selection import half_interval


@dataclasses.dataclass(frozen=True)
class Row:
    """The network that a search would have exported after `samples` samples.

    reward         as the search measured it
    judged_reward  at the judge's accuracy, or the search's own where the study names no judge
    accuracy       the judge's, likewise
    networks       number of different networks among the samples
    """

    variant: str
    seed: int
    samples: int
    trial: int
    reward: float
    judged_reward: float
    accuracy: float
    mult_adds: int
    params: int
    networks: int


@dataclasses.dataclass(frozen=True)
class Summary:
    """The rows of a variant at one sample count, over its seeds; means where not said otherwise.

    reward        mean of the judged reward
    reward_std    its sample standard deviation; 0 for a single seed
    reward_worst  its minimum
    """

    variant: str
    samples: int
    seeds: int
    reward: float
    reward_std: float
    reward_worst: float
    accuracy: float
    mult_adds: float
    params: float
    networks: float

    @property
    def reward_interval(self) -> float | None:
        """Half of the 95% interval of the mean reward; None for a single seed."""
        return half_interval(self.reward_std, self.seeds) if self.seeds > 1 else None


def rows(study: Study, outcomes: Sequence[Outcome]) -> list[Row]:
    """Return a row for every search and mark of the study; none where no evaluation succeeded."""
    judge = study.judge.build() if study.judge else None
    table = (_row(outcome, samples, judge) for outcome in outcomes for samples in study.marks)
    return [row for row in table if row is not None]


def _row(outcome: Outcome, samples: int, judge: Evaluator | None) -> Row | None:
    best = outcome.best(samples)
    if best is None:
        return None
    accuracy = best.evaluation.accuracy
    if judge is not None:
        accuracy = judge(Architecture.from_dict(best.architecture), outcome.seed).accuracy
    reward = outcome.experiment.reward
    return Row(
        variant=outcome.variant,
        seed=outcome.seed,
        samples=samples,
        trial=best.trial,
        reward=best.reward,
        judged_reward=reward(accuracy, getattr(best, reward.cost)),
        accuracy=accuracy,
        mult_adds=best.mult_adds,
        params=best.params,
        networks=sum(result.duplicate_of is None for result in outcome.results[:samples]),
    )


def summaries(table: Sequence[Row]) -> list[Summary]:
    """Return a summary for every variant and sample count, in the order of the rows."""
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in table:
        groups.setdefault((row.variant, row.samples), []).append(row)
    return [_summary(group) for group in groups.values()]


def _summary(group: Sequence[Row]) -> Summary:
    rewards = [row.judged_reward for row in group]
    return Summary(
        variant=group[0].variant,
        samples=group[0].samples,
        seeds=len(group),
        reward=statistics.fmean(rewards),
        reward_std=statistics.stdev(rewards) if len(rewards) > 1 else 0.0,
        reward_worst=min(rewards),
        accuracy=statistics.fmean(row.accuracy for row in group),
        mult_adds=statistics.fmean(row.mult_adds for row in group),
        params=statistics.fmean(row.params for row in group),
        networks=statistics.fmean(row.networks for row in group),
    )


def write_csv(path: Path, items: Sequence[Row] | Sequence[Summary]) -> None:
    """Write rows or summaries as CSV with a header; an empty file where there are none."""
    files.write_csv(path, [dataclasses.asdict(item) for item in items])
