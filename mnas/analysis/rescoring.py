"""A finished or running search under another reward: its journal ranked anew, nothing evaluated.

What the search would have *sampled* under that reward is another question; this one is which of
the networks that it did evaluate would have won.
"""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import mnas
from mnas.architecture.architecture import Architecture
from mnas.architecture.spec import from_spec, to_spec
from mnas.errors import UsageError
from mnas.files import read_json
from mnas.loop import journal
from mnas.loop.selection import Selection, candidates, worth
from mnas.reward import RewardConfig


@dataclasses.dataclass(frozen=True)
class Row:
    """A network that was evaluated, with its place under the new reward and under the run's own.

    Ranks count from 1, by reward and then by trial. `architecture` is `Architecture.to_dict`'s;
    None in journals of before it was written. `expected` is the new reward that a model of all of
    them expects, and by which they are ranked where that is the choice (`mnas.loop.selection`); else None,
    and for those of a very long run that the model isn't fitted to.
    """

    rank: int
    old_rank: int
    trial: int
    reward: float
    old_reward: float
    accuracy: float
    mult_adds: int
    params: int
    latency_ms: float | None
    hash: str
    decisions: tuple[int, ...]
    architecture: dict[str, Any] | None
    expected: float | None = None


@dataclasses.dataclass(frozen=True)
class Rescored:
    """The ranked rows, best first, and how many results are not among them for what reason."""

    rows: tuple[Row, ...]
    repeats: int
    failed: int
    stopped: int
    """Stopped early; ranked only where no network was trained to its end."""
    unmeasured: int
    """Evaluated, but without the cost that the new reward is of."""


def read(directory: Path) -> list[dict[str, Any]]:
    """The journal of a run that has begun; ValueError where there is none."""
    records = journal.read(directory / "journal.jsonl")
    if not records:
        raise UsageError(f"{directory}: the journal is empty; accepted: a run that has begun")
    return records


def reward_of(records: Sequence[dict[str, Any]]) -> RewardConfig:
    """The run's own reward."""
    settings = records[0].get("settings", {}).get("reward")
    try:
        return RewardConfig(**settings)
    except TypeError:
        raise UsageError(
            f"the journal's first line: settings.reward = {settings!r}; accepted: the settings "
            "of a reward, as search.py writes them"
        ) from None


def rescore(
    records: Sequence[dict[str, Any]], reward: RewardConfig, selection: Selection = "measured"
) -> Rescored:
    """Ranks a journal's networks under `reward`; ValueError where none of them can be."""
    decisions = journal.decisions_of(records)
    results = [record for record in records if record["kind"] == "result"]
    firsts = [result for result in results if result["duplicate_of"] is None]
    failed = sum(result["error"] is not None for result in firsts)
    found = candidates(results)
    measured = [result for result in found if (result[reward.cost] or 0) > 0]
    if found and not measured:
        raise UsageError(
            f"reward: cost = {reward.cost!r}, which the run did not measure; "
            "accepted: mult_adds, params"
        )
    if not measured:
        raise UsageError(
            f"no network to rank: {len(results)} results, {failed} of them failed; "
            "accepted: a run with results"
        )
    old = sorted(found, key=lambda result: (-result["reward"], result["trial"]))
    old_ranks = {result["trial"]: rank for rank, result in enumerate(old, start=1)}
    measured.sort(key=lambda result: result["trial"])
    scores = [_score(result, reward) for result in measured]
    values = worth(selection, [decisions[result["trial"]] for result in measured], scores)
    best_first = np.argsort(-values, kind="stable").tolist()
    rows = tuple(
        Row(
            rank=rank,
            old_rank=old_ranks[result["trial"]],
            trial=result["trial"],
            reward=scores[index],
            old_reward=result["reward"],
            accuracy=result["accuracy"],
            mult_adds=result["mult_adds"],
            params=result["params"],
            latency_ms=result["latency_ms"],
            hash=result["hash"],
            decisions=decisions[result["trial"]],
            architecture=result.get("architecture"),
            expected=_finite(values[index]) if selection == "model" else None,
        )
        for rank, index in enumerate(best_first, start=1)
        for result in (measured[index],)
    )
    return Rescored(
        rows,
        repeats=len(results) - len(firsts),
        failed=failed,
        stopped=len(firsts) - failed - len(found),
        unmeasured=len(found) - len(measured),
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _score(result: dict[str, Any], reward: RewardConfig) -> float:
    try:
        score = reward(result["accuracy"], result[reward.cost])
    except OverflowError:
        score = math.inf
    if not math.isfinite(score):
        raise UsageError(
            f"reward: target = {reward.target:g} gives trial {result['trial']} with "
            f"{reward.cost} = {result[reward.cost]:g} no finite reward; accepted: a target and "
            "exponents nearer to the run's"
        )
    return score


def architecture_of(row: Row, directory: Path) -> Architecture:
    """The network of a row: the journal's, or for an older journal that of the run's top.json."""
    path = directory / "top.json"
    if row.architecture is not None:
        return Architecture.from_dict(row.architecture)
    specs = read_json(path) if path.is_file() else []
    for architecture in (from_spec(spec, str(path)) for spec in specs):
        if architecture.canonical_hash() == row.hash:
            return architecture
    raise UsageError(
        f"{directory}: the journal, which is an older one, describes no networks, and top.json "
        f"has not that of trial {row.trial}; accepted: a reward under which one of it is best"
    )


def spec_of(
    row: Row, records: Sequence[dict[str, Any]], directory: Path, reward: RewardConfig
) -> dict[str, Any]:
    """The spec of a row, with the search that found the network and the reward that chose it."""
    head = records[0]
    provenance = {
        "experiment": head["name"],
        "trial": row.trial,
        "reward": row.reward,
        "accuracy": row.accuracy,
        "latency_ms": row.latency_ms,
        "selection": "measured" if row.expected is None else "model",
        "seed": head["settings"]["search"]["seed"],
        "version": mnas.__version__,
        "rescored": dataclasses.asdict(reward),
    }
    name = f"{head['name']}-{row.hash[:8]}"
    return to_spec(architecture_of(row, directory).replace(name=name), provenance)
