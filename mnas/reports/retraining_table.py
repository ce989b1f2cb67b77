"""Table of retrained networks as text.

"±" is half of the 95% interval of the mean over seeds, by Student's t distribution.
"""

from collections.abc import Sequence

from mnas.analysis.retraining import Correlation, Row
from mnas.architecture.cost import network_cost
from mnas.reports.text import plus_minus

HEADS = ("network", "params", "mult-adds", "proxy accuracy", "accuracy", "n")


def lines(rows: Sequence[Row]) -> list[list[str]]:
    """Return the cells of the table, a list for each network."""
    return [[*_network(row), _accuracy(row), _seeds(row)] for row in rows]


def _network(row: Row) -> tuple[str, str, str, str]:
    cost, proxy = network_cost(row.candidate.architecture), row.candidate.proxy_accuracy
    return (
        row.candidate.architecture.name,
        f"{cost.params:,}",
        f"{cost.mult_adds:,}",
        "-" if proxy is None else f"{proxy:.4f}",
    )


def _accuracy(row: Row) -> str:
    if row.mean is None:
        return "-"
    return f"{row.mean:.4f}" if row.interval is None else plus_minus(row.mean, row.interval)


def _seeds(row: Row) -> str:
    return f"{len(row.accuracies)}" + (f" ({len(row.failed)} failed)" if row.failed else "")


def notes(rows: Sequence[Row], correlation: Correlation | None, measured_on: str) -> list[str]:
    """Return the lines below the table.

    measured_on  the images of the accuracy, as in "297 test images"
    """
    found = [f"accuracy: top-1 on {measured_on}, mean ± half of its 95% interval over n seeds"]
    if correlation is not None:
        found.append(
            f"proxy and accuracy: Kendall τ {correlation.tau:.2f} (95% interval "
            f"{correlation.low:.2f} to {correlation.high:.2f}, n = {correlation.n}); lower than "
            "for random networks, because the proxy selected these"
        )
    causes = dict.fromkeys(cause for row in rows for cause in row.failed)
    return found + [f"failed: {cause}" for cause in causes]
