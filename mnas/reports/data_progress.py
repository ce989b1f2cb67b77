"""Progress of reading or packing images on standard error: a bar, images/s, the time left."""

import logging
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from mnas.reports.text import clock

logger = logging.getLogger(__name__)

# Without a terminal, a line is logged this often.
QUIET_SECONDS = 60


class DataProgress:
    """Progress of one pass over images, a context manager around it.

    total    number of images; 0 before `start`
    images   number of images read by this process and its workers
    resumed  number of images that were written before

    The rate is that of `images`.
    """

    def __init__(self, console: Console, verb: str) -> None:
        self.total = self.images = self.resumed = 0
        self._console, self._verb = console, verb
        self._begun = self._last_line = time.monotonic()
        self._bar = Progress(
            TextColumn(verb),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> "DataProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def start(self, total: int) -> None:
        """Note the number of images."""
        self.total, self._begun = total, time.monotonic()
        self._last_line = self._begun
        self._task = self._bar.add_task("", total=total, rate="")

    def part(self, images: int, resumed: bool) -> None:
        """Note images that are done, or were before."""
        if resumed:
            self.resumed += images
        else:
            self.images += images
        now, done = time.monotonic(), self.images + self.resumed
        if self._task is not None:
            self._bar.update(self._task, completed=done, rate=self._rate(now))
        if not self._console.is_terminal and now - self._last_line >= QUIET_SECONDS:
            self._last_line = now
            line = f"{self._verb}: {done:,}/{self.total:,} images  {self._rate(now)}"
            logger.info("%s", line, extra={"fields": {"images": done, "total": self.total}})

    def unreadable(self, cause: str) -> None:
        """Log an image that can't be read."""
        logger.info("unreadable: %s", cause)

    def _rate(self, now: float) -> str:
        seconds = now - self._begun
        if not self.images or not seconds:
            return ""
        rate = self.images / seconds
        left = (self.total - self.images - self.resumed) / rate
        return f"{rate:,.0f} images/s  {clock(left)} left"
