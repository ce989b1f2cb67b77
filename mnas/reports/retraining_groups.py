"""Table of searches compared by their retrained networks, as text.

"±" is half of a 95% interval by Student's t distribution (`mnas.analysis.retraining_groups`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mnas.reports.text import plus_minus

HEADS = ("best networks of", "networks", "trainings", "mult-adds", "accuracy", "difference")


def lines(records: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the cells of the table, a list for each group."""
    return [
        [
            record["name"],
            str(record["networks"]),
            str(record["trainings"]),
            f"{record['mult_adds']:,.0f}",
            _number(record["accuracy"], record["half_interval"]),
            _number(record["difference"], record["difference_half_interval"]),
        ]
        for record in records
    ]


def _number(value: float | None, half: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if half is None else plus_minus(value, half)


def notes(measured_on: str) -> list[str]:
    """Return the lines below the table.

    measured_on  the images of the accuracy, as in "10,000 test images"
    """
    return [
        f"accuracy: top-1 on {measured_on}; mean over networks of their means over seeds, or over "
        "a reference's seeds, ± half of its 95% interval",
        "difference: the first row's mean less this one's, by Welch's interval; one search each, "
        "so that the spread between searches of other seeds is not in it",
    ]
