"""Tables of a study: a row for every search and sample count, and summaries over seeds."""

import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path

from mnas import files
from mnas.architecture.architecture import Architecture
from mnas.experiment.study import Outcome, Study


@dataclasses.dataclass(frozen=True)
class Row:
    """What one search would have exported after `samples`; rewards and accuracy are judged."""

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
    """Of one variant at one sample count, over its seeds: mean, standard deviation, worst."""

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


def rows(study: Study, outcomes: Sequence[Outcome]) -> list[Row]:
    """One for every search and mark of the study."""
    judge = study.judge.build() if study.judge else None
    found = []
    for outcome in outcomes:
        for samples in study.marks:
            best = outcome.best(samples)
            if best is None:
                continue
            accuracy = best["accuracy"]
            if judge is not None:
                architecture = Architecture.from_dict(best["architecture"])
                accuracy = judge(architecture, outcome.seed).accuracy
            reward = outcome.experiment.reward
            distinct = sum(result["duplicate_of"] is None for result in outcome.results[:samples])
            found.append(
                Row(
                    variant=outcome.variant,
                    seed=outcome.seed,
                    samples=samples,
                    trial=best["trial"],
                    reward=best["reward"],
                    judged_reward=reward(accuracy, best[reward.cost]),
                    accuracy=accuracy,
                    mult_adds=best["mult_adds"],
                    params=best["params"],
                    networks=distinct,
                )
            )
    return found


def summaries(found: Sequence[Row]) -> list[Summary]:
    """One for every variant and sample count, in the order of the rows."""
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in found:
        groups.setdefault((row.variant, row.samples), []).append(row)
    made = []
    for (variant, samples), group in groups.items():
        rewards = [row.judged_reward for row in group]
        made.append(
            Summary(
                variant=variant,
                samples=samples,
                seeds=len(group),
                reward=statistics.fmean(rewards),
                reward_std=statistics.stdev(rewards) if len(rewards) > 1 else 0.0,
                reward_worst=min(rewards),
                accuracy=statistics.fmean(row.accuracy for row in group),
                mult_adds=statistics.fmean(row.mult_adds for row in group),
                params=statistics.fmean(row.params for row in group),
                networks=statistics.fmean(row.networks for row in group),
            )
        )
    return made


def write_csv(path: Path, items: Sequence[Row] | Sequence[Summary]) -> None:
    """Dataclasses as lines."""
    files.write_csv(path, [dataclasses.asdict(item) for item in items])
