"""The journal's records."""

import dataclasses
import math
from typing import Any

from mnas.evaluation import Evaluation
from mnas.loop.trial import Result


def plain(value: float) -> float | None:
    """For JSON: NaN and infinities, which it lacks, are null."""
    return value if math.isfinite(value) else None


def from_plain(value: float | None) -> float:
    return math.nan if value is None else value


def in_plain_numbers(evaluation: Evaluation) -> Evaluation:
    """As it is read back from the journal: Python's own numbers, whatever the evaluator uses."""
    latency = evaluation.latency_ms
    return dataclasses.replace(
        evaluation,
        accuracy=float(evaluation.accuracy),
        latency_ms=None if latency is None else plain(float(latency)),
        epochs=int(evaluation.epochs),
        seconds=float(evaluation.seconds),
        timings={k: float(v) for k, v in evaluation.timings.items() if math.isfinite(v)},
        history=tuple((int(e), float(a)) for e, a in evaluation.history if math.isfinite(a)),
        stopped=bool(evaluation.stopped),
    )


def to_record(result: Result) -> dict[str, Any]:
    """The journal's line of a result (`mnas.loop.journal`)."""
    evaluation = result.evaluation
    # Only of searches that report at all: the others' journals have no such lines.
    reported = {"history": evaluation.history, "stopped": evaluation.stopped}
    return {
        "kind": "result",
        "trial": result.trial.number,
        "hash": result.trial.hash,
        "seed": result.trial.seed,
        "duplicate_of": result.duplicate_of,
        # For readers that don't have the space (`mnas.analysis.rescoring`, `mnas.reports.run_report`).
        "architecture": result.trial.architecture.to_dict(),
        "reward": result.reward,
        "accuracy": plain(evaluation.accuracy),
        "params": result.cost.params,
        "mult_adds": result.cost.mult_adds,
        "latency_ms": evaluation.latency_ms,
        "epochs": evaluation.epochs,
        "error": evaluation.error,
        "seconds": evaluation.seconds,
        "timings": evaluation.timings,
        **(reported if evaluation.history or evaluation.stopped else {}),
    }


def to_evaluation(record: dict[str, Any]) -> Evaluation:
    names = ("latency_ms", "epochs", "error", "seconds", "timings")
    return Evaluation(
        from_plain(record["accuracy"]),
        **{name: record[name] for name in names},
        history=tuple((epoch, accuracy) for epoch, accuracy in record.get("history", ())),
        stopped=record.get("stopped", False),
    )
