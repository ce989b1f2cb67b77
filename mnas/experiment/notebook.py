"""Views of a run for notebooks: a data frame of its trials, and a summary in HTML."""

import html
from collections import Counter
from collections.abc import Sequence
from typing import Any

from mnas.experiment.trials import COLUMNS, status, trial_rows
from mnas.loop.records import RemeasuredRecord, ResultRecord

TOP = 5  # rows of the summary


def data_frame(results: Sequence[ResultRecord], remeasured: Sequence[RemeasuredRecord] = ()) -> Any:
    """Return a pandas data frame with a row for each result and the columns of `trial_rows`.

    remeasured  further measurements

    The index is the trial's number; missing values are NaN or None. Raises ImportError where pandas
    is not installed.
    """
    try:
        import pandas
    except ImportError:
        message = "run.trials needs pandas (pip install pandas); run.results does not"
        raise ImportError(message) from None
    return pandas.DataFrame(trial_rows(results, remeasured), columns=list(COLUMNS)).set_index(
        "trial"
    )


def summary_html(
    title: str, results: Sequence[ResultRecord], ranking: Sequence[ResultRecord], accuracy: str
) -> str:
    """Return the counts of trials and a table of the best networks, best first, as HTML.

    ranking   results that may be exported, best first
    accuracy  what accuracies are called
    """
    counts = Counter(status(result) for result in results)
    parts = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    heads = ("trial", "reward", accuracy, "mult-adds", "params", "blocks")
    rows = [
        (
            f"{result.trial}",
            f"{result.reward:.4f}",
            "" if result.accuracy is None else f"{result.accuracy:.4f}",
            f"{result.mult_adds:,}",
            f"{result.params:,}",
            ";".join(result.architecture["blocks"]),
        )
        for result in ranking[:TOP]
    ]
    table = _row("th", heads) + "".join(_row("td", row) for row in rows)
    return (
        f"<p><b>{html.escape(title)}</b>: {len(results):,} trials ({parts})</p>"
        f"<table>{table}</table>"
    )


def _row(tag: str, cells: Sequence[str]) -> str:
    inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{inner}</tr>"
