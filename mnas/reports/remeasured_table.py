"""Table of the networks that a search measured again, as text."""

from collections.abc import Sequence

from mnas.loop.selection import Ranked, Remeasured
from mnas.reports.text import plus_minus

HEADS = ("rank", "trial", "accuracy", "measured again", "n", "failed", "reward")
BY_MODEL = "by the model"


def table(ranked: Sequence[Ranked]) -> tuple[list[str], list[list[str]]]:
    """Return heads and rows: a row for each network with further measurements, best first.

    ranked  as of `mnas.loop.selection.ranking`
    """
    again = [
        (rank, network, network.remeasured)
        for rank, network in enumerate(ranked, start=1)
        if network.remeasured is not None
    ]
    heads = list(HEADS)
    rows = [
        [
            f"{rank}",
            f"{network.result.trial}",
            f"{network.result.evaluation.accuracy:.4f}",
            _accuracy(remeasured),
            f"{len(remeasured.records)}",
            f"{remeasured.failed}",
            f"{network.score:.4f}",
        ]
        for rank, network, remeasured in again
    ]
    if any(network.smoothed is not None for _, network, _ in again):
        heads.insert(3, BY_MODEL)
        for row, (_, network, _) in zip(rows, again, strict=True):
            row.insert(3, "-" if network.smoothed is None else f"{network.smoothed:.4f}")
    return heads, rows


def _accuracy(remeasured: Remeasured) -> str:
    """Return the mean accuracy with half of its 95% interval; "-" where all failed."""
    if remeasured.mean is None:
        return "-"
    half = remeasured.half_interval
    return f"{remeasured.mean:.4f}" if half is None else plus_minus(remeasured.mean, half)
