"""Rank a run's networks under another reward, from its journal, without evaluating any.

Further measurements of the run's best networks count as in the run itself (`mnas.loop.selection`).

The result tells which of the evaluated networks is best under that reward. A search steered by that
reward would have sampled other networks.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from mnas.errors import UsageError
from mnas.experiment.results import Run
from mnas.loop.records import RemeasuredRecord, ResultRecord, number_or_nan
from mnas.loop.selection import Selection, candidates, ranking
from mnas.reward import RewardConfig


@dataclasses.dataclass(frozen=True)
class Row:
    """An evaluated network with its rank under the new reward and under the run's own.

    rank          from 1, by the new reward, or by `expected` under the selection "model"
    old_rank      from 1, by the run's own reward
    architecture  the network, as `Architecture.from_dict` reads it
    expected      new reward at the accuracy by the model (`mnas.loop.selection`); None under the
                  selection "measured", and for networks that the model is not fitted to
    remeasured    mean new reward of further measurements; None where there are none
    """

    rank: int
    old_rank: int
    trial: int
    reward: float
    old_reward: float
    accuracy: float | None
    mult_adds: int
    params: int
    latency_ms: float | None
    hash: str
    decisions: tuple[int, ...]
    architecture: dict[str, Any]
    expected: float | None = None
    remeasured: float | None = None


@dataclasses.dataclass(frozen=True)
class Rescored:
    """Ranked rows, best first, and the numbers of results that are left out.

    stopped     children that early stopping ended; ranked only if no network was trained to its end
    unmeasured  evaluated without the cost that the new reward is of
    """

    rows: tuple[Row, ...]
    duplicates: int
    failed: int
    stopped: int
    unmeasured: int


def reward_of(run: Run) -> RewardConfig:
    """Return the run's own reward; UsageError where its settings hold none."""
    return run.reward


def rescore(run: Run, reward: RewardConfig, selection: Selection = "measured") -> Rescored:
    """Rank the networks of a run under `reward`.

    Raises UsageError where no network can be ranked, or a reward is not finite.
    """
    networks = [result for result in run.results if result.duplicate_of is None]
    failed = sum(result.error is not None for result in networks)
    exportable = candidates(networks)
    measured = [result for result in exportable if (_cost(result, reward) or 0) > 0]
    if exportable and not measured:
        raise UsageError(
            f"reward: cost = {reward.cost!r}, which the run did not measure; "
            "accepted: mult_adds, params"
        )
    if not measured:
        raise UsageError(
            f"no network to rank: {len(run.results)} results, {failed} of them failed; "
            "accepted: a run with results"
        )
    return Rescored(
        _rows(run, exportable, measured, reward, selection),
        duplicates=len(run.results) - len(networks),
        failed=failed,
        stopped=len(networks) - failed - len(exportable),
        unmeasured=len(exportable) - len(measured),
    )


def _rows(
    run: Run,
    exportable: Sequence[ResultRecord],
    measured: Sequence[ResultRecord],
    reward: RewardConfig,
    selection: Selection,
) -> tuple[Row, ...]:
    by_old_reward = sorted(exportable, key=lambda result: (-result.reward, result.trial))
    old_ranks = {result.trial: rank for rank, result in enumerate(by_old_reward, start=1)}
    rescored = {
        result.trial: dataclasses.replace(result, reward=_reward(result, reward))
        for result in measured
    }
    again = [
        dataclasses.replace(record, reward=_reward(_measured_again(result, record), reward))
        for record in run.remeasured
        if (result := rescored.get(record.trial)) is not None and record.evaluation.error is None
    ]
    ranked = ranking(selection, rescored.values(), run.decisions, reward, again)
    old = {result.trial: result.reward for result in measured}
    return tuple(
        Row(
            rank=rank,
            old_rank=old_ranks[result.trial],
            trial=result.trial,
            reward=result.reward,
            old_reward=old[result.trial],
            accuracy=result.accuracy,
            mult_adds=result.mult_adds,
            params=result.params,
            latency_ms=result.latency_ms,
            hash=result.hash,
            decisions=run.decisions[result.trial],
            architecture=result.architecture,
            expected=network.score if network.smoothed is not None else None,
            remeasured=network.remeasured.reward if network.remeasured else None,
        )
        for rank, network in enumerate(ranked, start=1)
        for result in [network.result]
    )


def _measured_again(result: ResultRecord, record: RemeasuredRecord) -> ResultRecord:
    """Return the result with the accuracy of a further measurement, and its latency if measured."""
    latency = result.latency_ms if record.latency_ms is None else record.latency_ms
    return dataclasses.replace(result, accuracy=record.accuracy, latency_ms=latency)


def _cost(result: ResultRecord, reward: RewardConfig) -> float | None:
    """Return the result's cost of the reward's kind."""
    costs = {
        "mult_adds": result.mult_adds,
        "params": result.params,
        "latency_ms": result.latency_ms,
    }
    return costs[reward.cost]


def _reward(result: ResultRecord, reward: RewardConfig) -> float:
    """Return the result's reward; UsageError that names the trial where it is not finite."""
    try:
        return reward(number_or_nan(result.accuracy), number_or_nan(_cost(result, reward)))
    except UsageError as error:
        raise UsageError(f"trial {result.trial}: {error}") from None


def spec_of(row: Row, run: Run, reward: RewardConfig) -> dict[str, Any]:
    """Return the spec of a row's network; its provenance names the run and `reward`."""
    result = next(result for result in run.results if result.trial == row.trial)
    spec = run.spec_of(result)
    provenance = {
        **spec["search"],
        "reward": row.reward,
        "selection": "measured" if row.expected is None else "model",
        "rescored": dataclasses.asdict(reward),
    }
    return {**spec, "search": provenance}
