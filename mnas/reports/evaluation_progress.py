"""Progress of evaluations of listed networks (`mnas.experiment.network_list`)."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mnas.loop.records import Record, ResultRecord


class EvaluationProgress:
    """Bar and lines of finished evaluations; a context manager.

    total  number of evaluations
    what   plural noun for them
    """

    def __init__(self, console: Console, total: int, what: str) -> None:
        self._console, self._what = console, what
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn(what))
        self._bar = Progress(
            *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
        )
        self._done, self._all = 0, total
        self._task = self._bar.add_task("", total=self._all)

    def __enter__(self) -> "EvaluationProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def resume(self, done: int) -> None:
        """Begin with evaluations that have ended before."""
        self._done = done
        self._bar.update(self._task, completed=done)
        if done:
            self._console.print(f"resumed after {done} of {self._all} {self._what}")

    def observe(self, record: Record) -> None:
        """Show a result."""
        if not isinstance(record, ResultRecord):
            return
        self._done += 1
        self._bar.update(self._task, completed=self._done)
        outcome = record.error or f"accuracy {record.accuracy:.4f}"
        name = f"{record.architecture['name']}, seed {record.seed}"
        self._console.print(
            f"{self._done}/{self._all}  {name}: {outcome}  {record.seconds:.0f} s", soft_wrap=True
        )
