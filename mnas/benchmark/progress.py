"""Progress of a benchmark: a bar for the phase and a line for each measurement."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class BenchmarkProgress:
    """Progress on standard error: lines always, the bar only on a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        plain = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self.console = console or plain

    @contextlib.contextmanager
    def phase(self, name: str, total: int) -> Iterator[Callable[..., None]]:
        """Show a phase of `total` parts; yields a function to call after each, with a line."""
        bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        with bar:
            task = bar.add_task(name, total=total)

            def advance(line: str = "") -> None:
                if line:
                    self.log(line)
                bar.advance(task)

            yield advance

    def log(self, line: str) -> None:
        """Print a line."""
        self.console.print(line, soft_wrap=True)

    def estimate(self, seconds: dict[str, float]) -> None:
        """Print the estimated seconds of the remaining phases."""
        parts = (f"{name.replace('_', ' ')} {_minutes(s)}" for name, s in seconds.items() if s)
        self.log(f"estimated time left: {_minutes(sum(seconds.values()))} ({', '.join(parts)})")


def _minutes(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
