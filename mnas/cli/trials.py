"""`mnas trials`: the trials of a run as a table, CSV or JSON."""

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

from mnas.analysis.trial_table import arranged, column, condition
from mnas.cli.arguments import Directory, parse, print_csv, print_fitting
from mnas.cli.flags import number
from mnas.errors import UsageError, printable, require_whole
from mnas.experiment.registry import accuracy_word
from mnas.experiment.results import load_run
from mnas.experiment.trials import trial_rows
from mnas.reports.failures import failure_groups
from mnas.reports.terminal import plain_console
from mnas.reports.text import plus_minus

SHOWN = ("trial", "reward", "accuracy", "mult_adds", "params", "seconds", "status")
# Columns that a narrow terminal goes without, the least important one first.
LEAST = ("seconds", "params", "latency_ms", "remeasured", "status", "mult_adds")
CAUSES = 5  # lines about failures


@dataclasses.dataclass(frozen=True)
class TrialsArguments:
    """Show the trials of a run as a table, as CSV or as JSON.

    Columns are trial, status (complete, duplicate, stopped, failed), reward, accuracy, mult_adds,
    params, latency_ms, epochs, seconds, duplicate_of, error, blocks and hash; of networks that were
    measured again, remeasured (how often), remeasured_accuracy and remeasured_reward (means) and
    remeasured_half_interval (half of the accuracy's 95% interval).

    Example: mnas trials runs/digits-1 --sort reward --where 'mult_adds<=6M' 'status=complete'
    """

    run: Directory
    """Directory of a run, finished or not, or a journal."""
    sort: str = "trial"
    """Column to sort by; reward and accuracy from high to low, others from low to high."""
    reverse: bool = False
    """Sort the other way round."""
    where: tuple[str, ...] = ()
    """Conditions that all hold: a column, one of <= >= != = < > ~ (contains), and a value."""
    top: int | None = None
    """Number of rows; None: all."""
    columns: tuple[str, ...] = ()
    """Columns to show; none: the most important ones in the table, all in CSV and JSON."""
    csv: bool = False
    """Print CSV."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        if self.top is not None:
            require_whole("trials", "top", self.top)
        if self.csv and self.json:
            raise UsageError("trials: both --csv and --json; accepted: one of them")


def main(arguments: list[str]) -> None:
    """Run `mnas trials`."""
    options = parse(TrialsArguments, "mnas trials", arguments)
    sort = column(options.sort)
    names = list(dict.fromkeys(column(name) for name in options.columns))
    conditions = [condition(text, number) for text in options.where]
    run = load_run(Path(options.run))
    every = trial_rows(run.results, run.remeasured)
    rows = arranged(every, conditions, sort, options.reverse, options.top)
    selected = [{name: row[name] for name in names or row} for row in rows]
    if options.csv:
        print_csv(selected)
        return
    if options.json:
        result = {"run": str(options.run), "trials": len(run.results), "rows": selected}
        print(json.dumps(result, indent=2, allow_nan=False))
        return
    optional = () if names else LEAST
    if not names:
        latencies = any(row["latency_ms"] is not None for row in rows)
        names = [*SHOWN[:5], *(["latency_ms"] if latencies else []), *SHOWN[5:]]
        if any(row["remeasured"] is not None for row in rows):
            # In place of params and seconds, so that a line fits 80 columns.
            names = [name for name in names if name not in ("params", "seconds")]
            names[3:3] = ["remeasured_accuracy", "remeasured"]
    word = accuracy_word(run.head.settings.get("kinds", {}))
    console = plain_console()
    cells = [[_cell(name, row) for name in names] for row in rows]
    least = [(names.index(name),) for name in optional if name in names]
    print_fitting(console, [_head(name, word) for name in names], cells, least)
    counts = Counter(row["status"] for row in rows)
    parts = [f"{count} {status}" for status, count in counts.items()]
    line = f"{len(rows)} of {len(run.results)} trials"
    console.print(f"{line}: {', '.join(parts)}" if parts else line, soft_wrap=True)
    shown = {row["trial"] for row in rows}
    failures = failure_groups(result for result in run.results if result.trial in shown)
    for cause, trials in failures[:CAUSES]:
        console.print(f"failed {len(trials)}, first trial {trials[0]}: {cause}", soft_wrap=True)
    if len(failures) > CAUSES:
        console.print(f"and {len(failures) - CAUSES} other causes (--where status=failed --csv)")


def _head(name: str, accuracy: str) -> str:
    """Return the head of a column; `accuracy` is what accuracies are called."""
    heads = {"accuracy": accuracy, "mult_adds": "mult-adds", "latency_ms": "ms"}
    heads |= {"remeasured_accuracy": "measured again", "remeasured": "n"}
    return heads.get(name, name.replace("_", " "))


def _cell(name: str, row: dict[str, Any]) -> str:
    """Return a value as text for the table."""
    value = row[name]
    if value is None:
        return "-"
    if name == "status" and value == "duplicate":
        return f"as {row['duplicate_of']}"
    if name == "remeasured_accuracy" and row["remeasured_half_interval"] is not None:
        return plus_minus(value, row["remeasured_half_interval"])
    if isinstance(value, float):
        return f"{value:.{1 if name == 'seconds' else 4}f}"
    return f"{value:,}" if isinstance(value, int) else printable(value, 10_000)
