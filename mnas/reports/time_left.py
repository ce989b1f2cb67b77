"""Time left of a work of equal parts, told once it is known."""

import bisect
import collections
import time

from rich.progress import ProgressColumn, Task
from rich.text import Text

from mnas.reports.text import clock


class TimeLeft:
    """Estimate of the seconds left, by the rate of the latest half of the parts.

    The first part does not count: it compiles, or fills caches. Nothing is known unless the last
    three estimates agree within a factor of two.

    total    parts in all
    done     parts that were done before
    """

    def __init__(self, total: float, done: float = 0) -> None:
        self._total = total
        self._marks: list[tuple[float, float]] = [(done, time.monotonic())]
        self._paces: collections.deque[float] = collections.deque(maxlen=3)  # seconds per part

    def note(self, done: float, moment: float | None = None) -> None:
        """Note the number of parts that are done now, or at another time of `time.monotonic`."""
        if done <= self._marks[-1][0]:
            return
        begun = self._marks[0][0]
        self._marks.append((done, time.monotonic() if moment is None else moment))
        # The latest mark that leaves half of the parts behind it, the first two excluded.
        half = bisect.bisect_right(self._marks, ((begun + done) / 2, float("inf"))) - 1
        start = max(1, min(half, len(self._marks) - 2))
        if start == len(self._marks) - 1:
            return
        (first, since), (last, now) = self._marks[start], self._marks[-1]
        self._paces.append((now - since) / (last - first))

    def seconds(self) -> float | None:
        """Return the seconds left since the last note; None while they aren't known."""
        done = self._marks[-1][0]
        if done >= self._total:
            return 0.0
        return None if self.rate is None else (self._total - done) / self.rate

    @property
    def rate(self) -> float | None:
        """The parts per second; None while they aren't known."""
        if len(self._paces) < 3 or not 0 < max(self._paces) <= 2 * min(self._paces):
            return None
        return 1 / self._paces[-1]

    def text(self) -> str:
        """Return "1:23 left", or "2.5 h left"; nothing while it isn't known."""
        seconds = self.seconds()
        if seconds is None:
            return ""
        hours = seconds / 3600
        if hours < 1:
            return f"{clock(seconds)} left"
        return f"{hours:.{1 if hours < 9.95 else 0}f} h left"


class TimeLeftColumn(ProgressColumn):
    """Column of a bar with the time left of its task."""

    def __init__(self) -> None:
        super().__init__()
        self._estimates: dict[int, TimeLeft] = {}

    def render(self, task: Task) -> Text:
        """Return the time left as text."""
        if task.total is None:
            return Text()
        estimate = self._estimates.get(task.id)
        if estimate is None:
            estimate = self._estimates[task.id] = TimeLeft(task.total, task.completed)
        estimate.note(task.completed)
        return Text(estimate.text())
