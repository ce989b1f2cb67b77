"""Trials of a run as rows: one dictionary of plain values per result."""

from collections.abc import Iterable
from typing import Any, Literal

from mnas.loop.records import ResultRecord

Status = Literal["complete", "duplicate", "stopped", "failed"]


def status(result: ResultRecord) -> Status:
    """Return what became of a trial; a duplicate of a failed one has failed too."""
    if result.error is not None:
        return "failed"
    if result.duplicate_of is not None:
        return "duplicate"
    return "stopped" if result.stopped else "complete"


def trial_rows(results: Iterable[ResultRecord]) -> list[dict[str, Any]]:
    """Return a row for each result, in their order; None where a trial lacks a value.

    trial         number of the trial, from 0
    status        complete, duplicate (of an earlier network), stopped (early) or failed
    reward        of the search; of a failed trial, what the controller was given
    accuracy      0 to 1
    mult_adds     one multiply-add counts once
    latency_ms    milliseconds for one image
    epochs        trained
    seconds       of the evaluation
    duplicate_of  trial of the same network
    error         cause of a failure
    blocks        block strings, separated by semicolons: a SPEC of the command line, up to stem,
                  head and classes
    hash          canonical hash of the network
    """
    return [
        {
            "trial": result.trial,
            "status": status(result),
            "reward": result.reward,
            "accuracy": result.accuracy,
            "mult_adds": result.mult_adds,
            "params": result.params,
            "latency_ms": result.latency_ms,
            "epochs": result.epochs,
            "seconds": result.seconds,
            "duplicate_of": result.duplicate_of,
            "error": result.error,
            "blocks": ";".join(result.architecture["blocks"]),
            "hash": result.hash,
        }
        for result in results
    ]


COLUMNS = (
    *("trial", "status", "reward", "accuracy", "mult_adds", "params", "latency_ms", "epochs"),
    *("seconds", "duplicate_of", "error", "blocks", "hash"),
)
