"""Runs made of records by hand, in memory and on disk."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.experiment.results import Run
from mnas.loop.config import SearchConfig
from mnas.loop.journal import Journal
from mnas.loop.records import (
    ExperimentRecord,
    ProposalsRecord,
    Record,
    RemeasuredRecord,
    RemeasureRecord,
    ResultRecord,
)
from mnas.reward import RewardConfig

ACCURACY = RewardConfig(w=0.0)  # reward = accuracy


def settings(reward: RewardConfig = ACCURACY, **search: Any) -> dict[str, Any]:
    """Return the settings of an experiment, as far as the readers of runs use them."""
    config = SearchConfig(**search)
    return {"reward": dataclasses.asdict(reward), "search": dataclasses.asdict(config)}


def network(kernel: int = 3) -> Architecture:
    """Return a network of one block."""
    blocks = (Block(kernel=kernel, stride=2, filters=8),)
    return Architecture(blocks, resolution=8, stem=4, head=8, classes=10)


def result(trial: int, reward: float = 0.5, **changes: Any) -> ResultRecord:
    """Return a record whose accuracy is its reward; every trial has a network of its own."""
    architecture = network(2 * trial + 1)
    fields = {
        "trial": trial,
        "hash": architecture.canonical_hash(),
        "seed": trial,
        "architecture": architecture.to_dict(),
        "reward": reward,
        "accuracy": reward,
        "params": 1,
        "mult_adds": 1,
        "seconds": 1.0,
    }
    return ResultRecord(**(fields | changes))


def proposals(
    decisions: Sequence[Sequence[int]], first_trial: int = 0, batch: int = 0
) -> ProposalsRecord:
    return ProposalsRecord(
        batch=batch,
        first_trial=first_trial,
        decisions=tuple(map(tuple, decisions)),
        log_probs=(0.0,) * len(decisions),
    )


def remeasure(trials: Sequence[int], seeds: int, **changes: Any) -> RemeasureRecord:
    """Return the beginning of a round of further measurements."""
    fields = {"selection": "measured", "top": len(trials), "results": 6}
    return RemeasureRecord(**(fields | changes), seeds=seeds, trials=tuple(trials))


def remeasured(
    trial: int, number: int, accuracy: float | None, error: str | None = None
) -> RemeasuredRecord:
    """Return a further measurement whose reward is its accuracy."""
    fields = {"trial": trial, "number": number, "seed": 1, "seconds": 3.0, "error": error}
    return RemeasuredRecord(
        reward=-1.0 if accuracy is None else accuracy, accuracy=accuracy, **fields
    )


def head(**changes: Any) -> ExperimentRecord:
    return ExperimentRecord(**({"name": "hand", "settings": settings()} | changes))


def run_of(records: Sequence[Record], directory: Path = Path("run"), **search: Any) -> Run:
    """Return the view of a run with these records after a head; `search` are its settings."""
    whole = settings(**search)
    return Run.of(directory, whole, [head(settings=whole), *records])


def write_run(
    directory: Path,
    records: Sequence[Record],
    first: ExperimentRecord | None = None,
    described: Mapping[str, Any] | None = None,
) -> Path:
    """Write experiment.json and a journal of `first` and `records`; return the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    content = {"name": "hand", **settings(seed=7)} if described is None else described
    (directory / "experiment.json").write_text(json.dumps(content))
    with Journal(directory / "journal.jsonl", first or head()) as journal:
        for record in records:
            journal.append(record)
    return directory
