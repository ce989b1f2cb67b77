"""Progress of the further measurements of a search's best networks: a bar, and lines in the log."""

import logging
import time

from rich.progress import Progress, TaskID

from mnas.loop.records import RemeasuredRecord, RemeasureRecord
from mnas.loop.rounds import Rounds
from mnas.reports.time_left import TimeLeft

logger = logging.getLogger(__name__)

# Without a terminal, a round that lasts longer than this logs lines before its end.
QUIET_SECONDS = 60


class RemeasuringProgress:
    """Observer of one round of measurements.

    bar     of the search, to which a task is added
    rounds  of the search
    """

    def __init__(self, bar: Progress, rounds: Rounds) -> None:
        self._bar, self._rounds = bar, rounds
        self._task: tuple[TaskID, TimeLeft] | None = None
        self._total, self._last_line_time = 0, 0.0

    def __call__(self, record: RemeasureRecord | RemeasuredRecord) -> None:
        """Move the bar, and log the beginning, the end, and a line a minute without a terminal.

        Each measurement is logged at level DEBUG.
        """
        waiting = len(self._rounds.missing())
        if isinstance(record, RemeasureRecord):
            networks = len(record.trials)
            logger.info(
                "measuring the best %d network%s again: %d evaluations",
                networks,
                "" if networks == 1 else "s",
                waiting,
                extra={"fields": {"event": "remeasure", "trials": list(record.trials)}},
            )
            self._begin(waiting)
            return
        if self._task is None:  # A resumed round.
            self._begin(waiting + 1)
        assert self._task is not None
        task, left = self._task
        self._log(record)
        done = self._total - waiting
        left.note(done)
        self._bar.update(task, completed=done, left=left.text())
        quiet = time.monotonic() - self._last_line_time >= QUIET_SECONDS
        if not waiting or (quiet and not self._bar.console.is_terminal):
            self._last_line_time = time.monotonic()
            text = left.text() if waiting else ""
            fields = {"event": "remeasuring", "done": done, "total": self._total}
            line = f"measured again {done}/{self._total}  {text}".rstrip()
            logger.info("%s", line, extra={"fields": fields})

    def _begin(self, waiting: int) -> None:
        """Begin the bar of the last round, of which so many measurements are missing."""
        last = self._rounds.all[-1]
        self._total = len(last.trials) * last.seeds
        done = self._total - waiting
        task = self._bar.add_task(
            "", total=self._total, best="", doing="measuring again", unit="evaluations", left=""
        )
        self._task = task, TimeLeft(self._total, done)
        self._last_line_time = time.monotonic()

    def _log(self, record: RemeasuredRecord) -> None:
        found = f"accuracy {record.accuracy:.4f}" if record.accuracy is not None else "failed"
        text = found if record.error is None else f"failed: {record.error}"
        names = ("trial", "number", "reward", "accuracy", "latency_ms", "seconds", "error")
        fields = {"event": "remeasured", **{name: getattr(record, name) for name in names}}
        logger.debug(
            "trial %d measured again: %s, %.1f s",
            record.trial,
            text,
            record.seconds,
            extra={"fields": fields},
        )
