"""Typed command lines from dataclasses, and mistakes reported in one line.

tyro makes the flags, their types and their help from the dataclasses; its error boxes are folded
into one line here, so that all mistakes look the same.
"""

import contextlib
import dataclasses
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro
from rich.table import Table

from mnas.architecture.architecture import Architecture
from mnas.errors import UsageError

T = TypeVar("T")
Spec = Annotated[str, tyro.conf.Positional]

USAGE_ERROR = 2
READER_GONE = 141  # what a shell reports of a program that SIGPIPE ended


def parse(
    kind: Any, program: str, arguments: Sequence[str], default: T, description: str = ""
) -> T:
    """`default` with the flags in `arguments` applied; ValueError for a mistake in them."""
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(
                kind,
                prog=program,
                args=list(arguments),
                default=default,
                description=description,
            )
    except SystemExit as stop:
        if not stop.code:
            raise  # --help was shown
        raise UsageError(fold(errors.getvalue())) from None


def fold(boxed: str) -> str:
    """The text of an error box in one line, without its frame and its pointer to --help."""
    lines = []
    for line in boxed.splitlines():
        text = re.sub(r"^[│|]|[│|]$", "", line.strip()).strip()
        if text.startswith(("╭", "╰", "+")) or not text:
            continue
        if text.startswith("For full helptext"):
            break
        lines.append(";" if set(text) <= {"─", "-"} else text)
    joined = " ".join(lines).rstrip("; ")
    joined = re.sub(r"\s+;", ";", re.sub(r"\s+", " ", joined))
    return re.sub(r"^Error parsing [\w.-]+: (?=\w+: \w+ = )", "", joined)


def report_mistakes(program: str, main: Callable[[], int | None]) -> int:
    """Runs `main`; its exit status. A ValueError is the user's mistake: one line, status 2.

    Where nobody reads standard output any more, as after `| head`, the rest of it is left unsaid.
    """
    try:
        status = main() or 0
        sys.stdout.flush()
        return status
    except UsageError as error:
        message = " ".join(str(error).split())
        print(f"{program}: {message}", file=sys.stderr)
        return USAGE_ERROR
    except BrokenPipeError:
        try:
            print(flush=True)  # into the same pipe again?
        except BrokenPipeError:
            # Else the interpreter tries once more at its end, and complains.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return READER_GONE
        raise  # some other pipe's


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
        raise UsageError(f"{out} can't be written: {error.strerror}") from None
    print(f"written: {out}", file=sys.stderr)
