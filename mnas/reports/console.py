"""What a person sees of a running search: a line for every batch, a bar, the time left."""

import time
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mnas.loop.search import Search

# Where no bar moves, a batch that takes longer than this gets lines before its end.
QUIET_SECONDS = 60


class SearchProgress:
    """Observes a search; use as a context manager around the driving of it.

    Writes to standard error. The bar moves only on a terminal; the lines come everywhere, one for
    each batch, and in a log at least one a minute while results come in.
    """

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("searching"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("trials"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("{task.fields[best]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._search: Search | None = None

    def follow(self, search: Search) -> "SearchProgress":
        """Takes the search to be shown, with what it has done before."""
        self._search = search
        self._began = self._said = time.monotonic()
        self._before = len(search.results)
        # Counted as they come: a look at all results for every line would grow with the search.
        evaluations = [result.evaluation for result in search.results.values()]
        self._failed = sum(evaluation.error is not None for evaluation in evaluations)
        self._stopped = sum(evaluation.stopped for evaluation in evaluations)
        self._task = self._bar.add_task("", total=search.trials, best="")
        self._show()
        return self

    def __enter__(self) -> "SearchProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, record: dict[str, Any]) -> None:
        if self._search is None:  # what a resumed search settles before it is followed
            return
        self._show()
        if record["kind"] == "result":
            self._failed += record["error"] is not None
            self._stopped += record.get("stopped", False)
            if not self.console.is_terminal and self._in_batch and self._quiet():
                self._say("         ", "")
        if record["kind"] == "update":
            self._say(
                f"batch {record['batch'] + 1:3d}", f"  mean reward {record['mean_reward']:.4f}"
            )

    def _show(self) -> None:
        best = self._search.best
        shown = f"best {best.reward:.4f}" if best else ""
        self._bar.update(self._task, completed=len(self._search.results), best=shown)

    @property
    def _in_batch(self) -> bool:
        """Whether more of the batch is to come: its last result has the batch's own line."""
        done = len(self._search.results)
        return done < self._search.trials and done % self._search.config.batch != 0

    def _quiet(self) -> bool:
        return time.monotonic() - self._said >= QUIET_SECONDS

    def _say(self, head: str, batch_reward: str) -> None:
        self._said = time.monotonic()
        done, total = len(self._search.results), self._search.trials
        left = (self._said - self._began) / (done - self._before) * (total - done)
        line = f"{head}  trials {done:4d}/{total}{batch_reward}"
        if best := self._search.best:
            line += f"  best {best.reward:.4f} (trial {best.trial.number}:"
            line += f" accuracy {best.evaluation.accuracy:.3f},"
            line += f" {best.cost.mult_adds / 1e6:.2f}M mult-adds)"
        if self._failed:
            line += f"  failed {self._failed}"
        if self._stopped:
            line += f"  stopped {self._stopped}"
        self.console.print(f"{line}  {_clock(left)} left", soft_wrap=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
