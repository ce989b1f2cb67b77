"""Progress of a training on standard error: a line per epoch, a bar, images/s, the time left."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from mnas.reports.text import clock
from mnas.reports.training_log import EpochRow

# Without a terminal, an epoch that lasts longer than this logs lines before its end.
QUIET_SECONDS = 60


class TrainingProgress:
    """Progress of one training, a context manager around it.

    epochs      of the whole training
    steps       of an epoch
    batch_size  images of a step
    done        steps that were done before, in all

    Rates are those since the first step of this process, which compiles.
    """

    def __init__(
        self, console: Console, epochs: int, steps: int, batch_size: int, done: int = 0
    ) -> None:
        self.console = console
        self._epochs, self._steps, self._batch_size, self._done = epochs, steps, batch_size, done
        self._first: tuple[float, int] | None = None  # moment and number of the first step
        self._last_line = time.monotonic()
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=epochs * steps, completed=done, rate="")

    def __enter__(self) -> "TrainingProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def on_step(self, step: int) -> None:
        """Show a step, by its number in the epoch from 1."""
        now = time.monotonic()
        self._done += 1
        if self._first is None:
            self._first = now, self._done
        self._bar.update(self._task, completed=self._done, rate=self._rate())
        if not self.console.is_terminal and now - self._last_line >= QUIET_SECONDS:
            epoch = (self._done - 1) // self._steps + 1
            self._print(f"epoch {epoch:3d}/{self._epochs}  step {step}/{self._steps}", self._rate())

    def on_epoch(self, row: EpochRow) -> None:
        """Show an epoch, after its validation."""
        line = (
            f"epoch {row.epoch:3d}/{self._epochs}  loss {row.loss:.4f}  "
            f"accuracy {row.validation_accuracy:.4f}"
        )
        rate = "" if row.images_per_second is None else f"{row.images_per_second:,.0f} images/s"
        self._print(line, "  ".join(filter(None, [rate, self._left()])))

    def _print(self, *parts: str) -> None:
        self._last_line = time.monotonic()
        self.console.print("  ".join(filter(None, parts)), soft_wrap=True)

    def _seconds_per_step(self) -> float | None:
        if self._first is None or self._done == self._first[1]:
            return None
        moment, first = self._first
        return (time.monotonic() - moment) / (self._done - first)

    def _rate(self) -> str:
        seconds = self._seconds_per_step()
        if not seconds:
            return ""
        return f"{self._batch_size / seconds:,.0f} images/s  {self._left()}"

    def _left(self) -> str:
        seconds = self._seconds_per_step()
        if seconds is None:
            return ""
        return f"{clock(seconds * (self._epochs * self._steps - self._done))} left"
