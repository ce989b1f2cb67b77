"""Progress of a running search on standard error: a line per batch, a bar, the time left."""

import time

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mnas.loop.records import Record, ResultRecord, UpdateRecord
from mnas.loop.search import Search
from mnas.reports.terminal import plain_console
from mnas.reports.text import clock

# Without a terminal, a batch that lasts longer than this logs lines before its end.
QUIET_SECONDS = 60


class SearchProgress:
    """Observer of a search that logs its progress; use it as a context manager around the run.

    On a terminal a bar moves with every result. Everywhere, each batch logs a line at its end;
    without a terminal, also at most one line a minute while its results arrive.
    """

    def __init__(self) -> None:
        self.console = plain_console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.fields[doing]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("{task.fields[best]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task(
            "", start=False, total=None, best="", doing="searching", unit="trials"
        )
        self._preparation: TaskID | None = None
        self._search: Search | None = None
        self._start_time = self._last_line_time = 0.0
        self._resumed_results = self._failed = self._stopped = 0

    def follow(self, search: Search) -> "SearchProgress":
        """Begin with a search, new or resumed; records before this call are ignored."""
        self._search = search
        self._start_time = self._last_line_time = time.monotonic()
        self._resumed_results = len(search.results)
        # Counted incrementally from here on: work per line must not grow with the search.
        evaluations = [result.evaluation for result in search.results.values()]
        self._failed = sum(evaluation.error is not None for evaluation in evaluations)
        self._stopped = sum(evaluation.stopped for evaluation in evaluations)
        self._bar.start_task(self._task)
        self._bar.update(self._task, total=search.trials)
        self._move_bar(search)
        return self

    def prepare(self, done: int, total: int, line: str) -> None:
        """Log the progress of what the evaluator needs before the first trial.

        On a terminal it has a bar until it is done; elsewhere a line, at most one a minute.
        """
        first, last = self._preparation is None, done == total
        if self._preparation is None:
            self._preparation = self._bar.add_task("", best="", doing="preparing", unit="steps")
        self._bar.update(self._preparation, completed=done, total=total, best=line)
        if last or (not self.console.is_terminal and (first or self._is_quiet())):
            self._last_line_time = time.monotonic()
            self.console.print(f"{line}, step {done:,}/{total:,}", soft_wrap=True)
        if last:
            self._bar.remove_task(self._preparation)
            self._start_time = self._last_line_time  # of the trials, whose end is estimated

    def __enter__(self) -> "SearchProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, record: Record) -> None:
        if self._search is None:  # Duplicates that a resumed search answers at once.
            return
        search = self._search
        self._move_bar(search)
        if isinstance(record, ResultRecord):
            self._failed += record.error is not None
            self._stopped += record.stopped
            if not self.console.is_terminal and _within_batch(search) and self._is_quiet():
                self._print_line(search, "         ")
        elif isinstance(record, UpdateRecord):
            mean = f"  mean reward {record.mean_reward:.4f}"
            self._print_line(search, f"batch {record.batch + 1:3d}", mean)

    def _move_bar(self, search: Search) -> None:
        best = f"best {search.best.reward:.4f}" if search.best else ""
        self._bar.update(self._task, completed=len(search.results), best=best)

    def _is_quiet(self) -> bool:
        return time.monotonic() - self._last_line_time >= QUIET_SECONDS

    def _print_line(self, search: Search, head: str, mean_reward: str = "") -> None:
        self._last_line_time = time.monotonic()
        done, total = len(search.results), search.trials
        seconds = self._last_line_time - self._start_time
        left = seconds / (done - self._resumed_results) * (total - done)
        line = f"{head}  trials {done:4d}/{total}{mean_reward}"
        if best := search.best:
            line += f"  best {best.reward:.4f} (trial {best.trial.number}:"
            line += f" accuracy {best.evaluation.accuracy:.3f},"
            line += f" {best.cost.mult_adds / 1e6:.2f}M mult-adds)"
        if self._failed:
            line += f"  failed {self._failed}"
        if self._stopped:
            line += f"  stopped {self._stopped}"
        self.console.print(f"{line}  {clock(left)} left", soft_wrap=True)


def _within_batch(search: Search) -> bool:
    """Return whether the current batch has results to come; its last one has the batch's line."""
    done = len(search.results)
    return done < search.trials and done % search.config.batch != 0
