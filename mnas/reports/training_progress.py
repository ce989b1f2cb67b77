"""Progress of a training: a line per epoch in the log, a bar, images/s, the time left."""

import dataclasses
import logging
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from mnas.reports.time_left import TimeLeft
from mnas.reports.training_log import EpochRow

logger = logging.getLogger(__name__)

# Without a terminal, an epoch that lasts longer than this logs lines before its end.
QUIET_SECONDS = 60
# Between two notes of how far the training is.
NOTE_SECONDS = 1


class TrainingProgress:
    """Progress of one training, a context manager around it.

    epochs      of the whole training
    steps       of an epoch
    batch_size  images of a step
    done        steps that were done before, in all

    Rates are those of the latest half of the steps, without the first one, which compiles.
    """

    def __init__(
        self, console: Console, epochs: int, steps: int, batch_size: int, done: int = 0
    ) -> None:
        self.console = console
        self._epochs, self._steps, self._batch_size, self._done = epochs, steps, batch_size, done
        self._left = TimeLeft(epochs * steps, done)
        self._last_line = self._last_note = time.monotonic()
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
        if now - self._last_note >= NOTE_SECONDS:
            self._note(now)
        self._bar.update(self._task, completed=self._done, rate=self._rate())
        if not self.console.is_terminal and now - self._last_line >= QUIET_SECONDS:
            epoch = (self._done - 1) // self._steps + 1
            line = f"epoch {epoch:3d}/{self._epochs}  step {step}/{self._steps}"
            self._log({"event": "step", "epoch": epoch, "step": step}, line, self._rate())

    def on_epoch(self, row: EpochRow) -> None:
        """Show an epoch, after its validation."""
        self._note(time.monotonic())
        line = (
            f"epoch {row.epoch:3d}/{self._epochs}  loss {row.loss:.4f}  "
            f"accuracy {row.validation_accuracy:.4f}"
        )
        rate = "" if row.images_per_second is None else f"{row.images_per_second:,.0f} images/s"
        self._log({"event": "epoch", **dataclasses.asdict(row)}, line, rate, self._left.text())

    def _log(self, fields: dict[str, Any], *parts: str) -> None:
        self._last_line = time.monotonic()
        fields |= {"epochs": self._epochs, "seconds_left": self._left.seconds()}
        logger.info("%s", "  ".join(filter(None, parts)), extra={"fields": fields})

    def _note(self, now: float) -> None:
        self._last_note = now
        self._left.note(self._done, now)

    def _rate(self) -> str:
        rate = self._left.rate
        if rate is None:
            return ""
        return f"{rate * self._batch_size:,.0f} images/s  {self._left.text()}"
