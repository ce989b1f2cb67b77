"""Trials of a run as rows: one dictionary of plain values per result."""

from collections.abc import Iterable
from typing import Any, Literal

from mnas.loop.records import RemeasuredRecord, ResultRecord
from mnas.loop.selection import Remeasured, grouped

Status = Literal["complete", "duplicate", "stopped", "failed"]


def status(result: ResultRecord) -> Status:
    """Return what became of a trial; a duplicate of a failed one has failed too."""
    if result.error is not None:
        return "failed"
    if result.duplicate_of is not None:
        return "duplicate"
    return "stopped" if result.stopped else "complete"


def trial_rows(
    results: Iterable[ResultRecord], remeasured: Iterable[RemeasuredRecord] = ()
) -> list[dict[str, Any]]:
    """Return a row for each result, in their order; None where a trial lacks a value.

    remeasured  further measurements (`Run.remeasured`)

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

    Of further measurements: remeasured, their number without failures; remeasured_accuracy and
    remeasured_reward, means; remeasured_half_interval, half of the 95% interval of the accuracy.
    """
    again = grouped(remeasured)
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
            **_remeasured(again.get(result.trial)),
        }
        for result in results
    ]


def _remeasured(again: Remeasured | None) -> dict[str, float | None]:
    return {
        "remeasured": None if again is None else len(again.records),
        "remeasured_accuracy": None if again is None else again.mean,
        "remeasured_half_interval": None if again is None else again.half_interval,
        "remeasured_reward": again.reward if again is not None and again.records else None,
    }


COLUMNS = (
    *("trial", "status", "reward", "accuracy", "mult_adds", "params", "latency_ms", "epochs"),
    *("seconds", "duplicate_of", "error", "blocks", "hash", "remeasured"),
    *("remeasured_accuracy", "remeasured_half_interval", "remeasured_reward"),
)
