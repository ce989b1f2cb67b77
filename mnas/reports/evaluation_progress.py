"""Progress of evaluations of listed networks (`mnas.experiment.network_list`)."""

import logging
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from mnas.loop.records import Record, ResultRecord
from mnas.reports.time_left import TimeLeft, TimeLeftColumn

logger = logging.getLogger(__name__)

QUIET_SECONDS = 60.0  # between lines about a preparation


class EvaluationProgress:
    """Bar and lines of finished evaluations; a context manager.

    total  number of evaluations
    what   plural noun for them
    """

    def __init__(self, console: Console, total: int, what: str) -> None:
        self._what, self._left = what, TimeLeft(total)
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn(what))
        self._bar = Progress(
            *columns, TimeLeftColumn(), console=console, disable=not console.is_terminal
        )
        self._done, self._all = 0, total
        self._last_line: float | None = None
        self._task = self._bar.add_task("", total=self._all)

    def __enter__(self) -> "EvaluationProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def resume(self, done: int) -> None:
        """Begin with evaluations that have ended before."""
        self._done, self._left = done, TimeLeft(self._all, done)
        self._bar.update(self._task, completed=done)
        if done:
            logger.info("resumed after %d of %d %s", done, self._all, self._what)

    def prepare(self, done: int, total: int, line: str) -> None:
        """Log the progress of what the evaluator needs before, at most one line a minute."""
        now = time.monotonic()
        if done < total and self._last_line and now - self._last_line < QUIET_SECONDS:
            return
        self._last_line = now
        logger.info("%s, step %d/%d", line, done, total)

    def observe(self, record: Record) -> None:
        """Log a result."""
        if not isinstance(record, ResultRecord):
            return
        self._done += 1
        self._bar.update(self._task, completed=self._done)
        outcome = record.error or f"accuracy {record.accuracy:.4f}"
        name = f"{record.architecture['name']}, seed {record.seed}"
        self._left.note(self._done)
        fields = {
            "event": "evaluation",
            "done": self._done,
            "total": self._all,
            "network": record.architecture["name"],
            "seed": record.seed,
            "accuracy": record.accuracy,
            "error": record.error,
            "seconds": record.seconds,
            "seconds_left": self._left.seconds(),
        }
        parts = (
            f"{self._done}/{self._all}",
            f"{name}: {outcome}",
            f"{record.seconds:.0f} s",
            self._left.text() if self._done < self._all else "",
        )
        logger.info("%s", "  ".join(filter(None, parts)), extra={"fields": fields})
