"""What a person sees of a running benchmark: a bar for the phase, and a line for each figure."""

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
    """Writes to standard error. The bar moves only on a terminal; the lines come everywhere."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, markup=False)

    @contextlib.contextmanager
    def phase(self, name: str, total: int) -> Iterator[Callable[..., None]]:
        """A phase of `total` parts. Gives a function to call after each, with a line to show."""
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
                    self.say(line)
                bar.advance(task)

            yield advance

    def say(self, line: str) -> None:
        self.console.print(line, soft_wrap=True)

    def estimate(self, seconds: dict[str, float]) -> None:
        """Says how long the phases that follow will take."""
        parts = (f"{name.replace('_', ' ')} {_minutes(s)}" for name, s in seconds.items() if s)
        self.say(f"estimated to go: {_minutes(sum(seconds.values()))} ({', '.join(parts)})")


def _minutes(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
