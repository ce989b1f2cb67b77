"""The verbs of the `mnas` command, a file each: their arguments, what they print, no algorithm.

Here is what several of them share. People-facing output goes to standard error where `--json` is
given, and standard output then has one JSON object and nothing else.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.table import Table

from mnas.architecture.architecture import Architecture

Spec = Annotated[str, tyro.conf.Positional]


@dataclasses.dataclass(frozen=True)
class Changes:
    """What to change of the spec before it is counted, compared or exported."""

    resolution: int | None = None
    """Side of the input image, pixels."""
    classes: int | None = None
    """Outputs of the classifier."""

    def apply(self, architecture: Architecture) -> Architecture:
        changes = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        return architecture.replace(**changes)


def rows_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Text in columns, the first to the left, the others to the right."""
    table = Table(heads[0], box=None, pad_edge=False)
    for head in heads[1:]:
        table.add_column(head, justify="right", overflow="fold")  # narrow, but never cut off
    for row in rows:
        table.add_row(*row)
    return table


def write(out: str, text: str) -> None:
    """A text into a file of the user's choice, and a line that says so; ValueError if it can't."""
    try:
        Path(out).write_text(text + "\n")
    except OSError as error:
        raise ValueError(f"{out} can't be written: {error.strerror}") from None
    print(f"written: {out}", file=sys.stderr)
