"""Text for people on a terminal, printed as it is."""

import logging
from typing import Any

from rich.console import Console

from mnas.reports.log import LogLines, current

LOG_WIDTH = 200  # columns of tables whose lines are logged


def plain_console(stderr: bool = False, width: int | None = None) -> Console:
    """Return a console without markup, emoji codes and highlighting.

    Paths, names and messages of errors are other people's text: `[/b]` and `:x:` in them mean
    nothing. What is printed on a console of standard error is at level INFO of the log: nothing is
    printed by a command that shows warnings only, and a command that logs JSON logs its lines.
    """
    config = current()
    if stderr and config.level > logging.INFO:
        return Console(quiet=True, force_terminal=False, markup=False, emoji=False)
    if stderr and config.json:
        lines: Any = LogLines()
        return Console(file=lines, width=LOG_WIDTH, markup=False, emoji=False, highlight=False)
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)
