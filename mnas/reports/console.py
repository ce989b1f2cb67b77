"""Progress of a running search: a line per batch in the log, a bar on a terminal, the time left."""

import logging
import time
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from mnas.loop.records import (
    Record,
    RemeasuredRecord,
    RemeasureRecord,
    ResultRecord,
    UpdateRecord,
)
from mnas.loop.search import Search
from mnas.reports.remeasuring_progress import RemeasuringProgress
from mnas.reports.terminal import plain_console
from mnas.reports.text import short_count
from mnas.reports.time_left import TimeLeft

logger = logging.getLogger(__name__)

# Without a terminal, a batch that lasts longer than this logs lines before its end.
QUIET_SECONDS = 60


class SearchProgress:
    """Observer of a search that logs its progress; use it as a context manager around the run.

    accuracy  what an accuracy is called: "predicted" where it is a prediction

    On a terminal a bar moves with every result. Each batch logs a line at its end; without a
    terminal, also at most one line a minute while its results arrive. Each result is logged at
    level DEBUG.
    """

    def __init__(self, accuracy: str = "accuracy") -> None:
        self.console = plain_console(stderr=True)
        self._accuracy = accuracy
        self._bar = Progress(
            TextColumn("{task.fields[doing]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[best]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task(
            "", start=False, total=None, best="", doing="searching", unit="trials", left=""
        )
        self._preparation: tuple[TaskID, TimeLeft] | None = None
        self._search: Search | None = None
        self._left = TimeLeft(0)
        self._last_line_time = self._last_note_time = 0.0
        self._failed = self._stopped = 0
        self._remeasuring: RemeasuringProgress | None = None

    def follow(self, search: Search) -> "SearchProgress":
        """Begin with a search, new or resumed; records before this call are ignored."""
        self._search = search
        self._begin_trials()
        # Counted incrementally from here on: work per line must not grow with the search.
        evaluations = [result.evaluation for result in search.results.values()]
        self._failed = sum(evaluation.error is not None for evaluation in evaluations)
        self._stopped = sum(evaluation.stopped for evaluation in evaluations)
        self._bar.start_task(self._task)
        self._bar.update(self._task, total=search.trials)
        self._move_bar(search)
        return self

    def _begin_trials(self) -> None:
        self._last_line_time = self._last_note_time = time.monotonic()
        if self._search is not None:
            self._left = TimeLeft(self._search.trials, len(self._search.results))

    def prepare(self, done: int, total: int, line: str) -> None:
        """Log the progress of what the evaluator needs before the first trial.

        On a terminal each of its parts has a bar until it is done; elsewhere a line, at most one a
        minute.
        """
        first, last = self._preparation is None, done == total
        if self._preparation is None:
            task = self._bar.add_task("", best="", doing="preparing", unit="steps", left="")
            self._preparation = task, TimeLeft(total, done)
        task, left = self._preparation
        left.note(done)
        self._bar.update(task, completed=done, total=total, best=line, left=left.text())
        if last or (not self.console.is_terminal and (first or self._is_quiet())):
            self._last_line_time = time.monotonic()
            fields = {"event": "preparation", "done": done, "total": total}
            text = "" if last else left.text()
            _log(line, f"step {done:,}/{total:,}", text, fields=fields, separator=", ")
        if last:
            self._bar.remove_task(task)
            self._preparation = None  # another part, with steps of its own, may follow
            self._begin_trials()

    def __enter__(self) -> "SearchProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, record: Record) -> None:
        if self._search is None:  # Duplicates that a resumed search answers at once.
            return
        search = self._search
        if isinstance(record, ResultRecord):
            self._failed += record.error is not None
            self._stopped += record.stopped
            self._log_result(record)
            if time.monotonic() - self._last_note_time >= QUIET_SECONDS:
                self._note(search)
            if not self.console.is_terminal and _within_batch(search) and self._is_quiet():
                self._log_progress(search, {"event": "progress"})
        elif isinstance(record, UpdateRecord):
            self._note(search)
            fields = {"event": "batch", "batch": record.batch, "mean_reward": record.mean_reward}
            self._log_progress(search, fields, f"mean {record.mean_reward:.3f}")
        elif isinstance(record, RemeasureRecord | RemeasuredRecord):
            if self._remeasuring is None or isinstance(record, RemeasureRecord):
                self._remeasuring = RemeasuringProgress(self._bar, search.rounds)
            self._remeasuring(record)
        self._move_bar(search)

    def _note(self, search: Search) -> None:
        self._last_note_time = time.monotonic()
        self._left.note(len(search.results))

    def _move_bar(self, search: Search) -> None:
        best = f"best {search.best.reward:.4f}" if search.best else ""
        self._bar.update(
            self._task, completed=len(search.results), best=best, left=self._left.text()
        )

    def _is_quiet(self) -> bool:
        return time.monotonic() - self._last_line_time >= QUIET_SECONDS

    def _log_result(self, record: ResultRecord) -> None:
        """Log one result at level DEBUG."""
        if record.error is not None:
            text = f"failed: {record.error}"
        else:
            text = f"{self._accuracy} {record.accuracy:.4f}, reward {record.reward:.4f}"
        if record.duplicate_of is not None:
            text += f", as trial {record.duplicate_of}"
        names = (
            *("trial", "reward", "accuracy", "mult_adds", "params", "latency_ms", "seconds"),
            *("error", "duplicate_of", "stopped"),
        )
        fields = {"event": "trial", **{name: getattr(record, name) for name in names}}
        logger.debug(
            "trial %d: %s, %s mult-adds, %.1f s",
            record.trial,
            text,
            short_count(record.mult_adds),
            record.seconds,
            extra={"fields": fields},
        )

    def _log_progress(self, search: Search, fields: dict[str, Any], mean: str = "") -> None:
        """Log one line of the whole search: within 80 columns, counts of failures aside."""
        self._last_line_time = time.monotonic()
        done, total = len(search.results), search.trials
        fields |= {"trials": done, "total": total, "failed": self._failed, "stopped": self._stopped}
        fields["seconds_left"] = self._left.seconds()
        best = ""
        if found := search.best:
            accuracy, mult_adds = found.evaluation.accuracy, found.cost.mult_adds
            best = (
                f"best {found.reward:.4f}: {self._accuracy} {accuracy:.3f}, "
                f"{short_count(mult_adds)} mult-adds"
            )
            fields["best"] = {
                "trial": found.trial.number,
                "reward": found.reward,
                "accuracy": accuracy,
                "mult_adds": mult_adds,
                "params": found.cost.params,
            }
        failed = f"failed {self._failed}" if self._failed else ""
        stopped = f"stopped {self._stopped}" if self._stopped else ""
        count = f"{done:{len(str(total))}d}/{total}"
        left = "" if done == total else self._left.text()
        _log(count, mean, best, failed, stopped, left, fields=fields)


def _log(*parts: str, fields: dict[str, Any], separator: str = "  ") -> None:
    logger.info("%s", separator.join(filter(None, parts)), extra={"fields": fields})


def _within_batch(search: Search) -> bool:
    """Return whether the current batch has results to come; its last one has the batch's line."""
    done = len(search.results)
    return done < search.trials and done % search.config.batch != 0
