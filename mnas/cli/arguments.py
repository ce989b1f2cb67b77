"""Typed command lines from dataclasses, and output that several verbs share.

tyro derives flags, types and help from the fields of a dataclass and their docstrings. Its error
boxes are folded into one line, the form of all usage errors.
"""

import contextlib
import csv
import dataclasses
import io
import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from mnas import files
from mnas.architecture.architecture import Architecture
from mnas.cli.flags import REGISTRY, flags, naming_flag, with_plain_booleans
from mnas.cli.help_text import Captured, fitting
from mnas.errors import UsageError

logger = logging.getLogger(__name__)
ACCEPTED = {  # values of the types that tyro names
    "INT": "a whole number such as 64, 50k or 1.5M",
    "FLOAT": "a number such as 0.5, 3e8 or 300M",
}
GAP = 2  # spaces between columns of a table
T = TypeVar("T")
Spec = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(
        metavar="SPEC",
        help="Published name, spec file or other text export, run directory (its best), or block "
        "strings separated by semicolons.",
    ),
]
Directory = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]


def parse(
    kind: type[T],
    program: str,
    arguments: Sequence[str],
    default: T | None = None,
    description: str | None = None,
) -> T:
    """Return the dataclass `kind` with the flags in `arguments` applied.

    program      command that help and errors name
    default      values of flags that are not given; None: the defaults of the class
    description  first lines of the help; None: the docstring of `kind`

    Where `kind` has a class variable `BASIC`, a tuple of flags, --help shows these only, and
    --help-all all flags.

    Raises: UsageError for a mistake in the arguments; SystemExit after printing the help.
    """
    errors, known = io.StringIO(), dict(flags(kind, default))
    words = with_plain_booleans(arguments, [name for name in known if known[name] is bool])
    basic = () if "--help-all" in words else getattr(kind, "BASIC", ())
    words = ["--help" if word == "--help-all" else word for word in words]
    shown = Captured()
    try:
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(shown):
            return tyro.cli(
                kind,
                prog=program,
                args=words,
                default=tyro.MISSING_NONPROP if default is None else default,
                description=description,
                registry=REGISTRY,
            )
    except SystemExit as stop:
        if not stop.code:  # the help was printed
            print(fitting(shown.getvalue(), basic, program, sys.stdout.encoding))
            raise
        raise UsageError(naming_flag(fold(errors.getvalue()), known)) from None
    except UsageError as error:  # of a dataclass whose flags have no prefix
        raise UsageError(naming_flag(str(error), known)) from None


def fold(boxed: str) -> str:
    """Return the text of a tyro error box in one line, without frame and reference to --help."""
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
    joined = re.sub(r"; Argument helptext: .*", "", joined)
    # "no type matching {None}|FLOAT could be instantiated from ['x']. Got errors: ..."
    union = r"no type matching (.+?) could .*? from \[(.*?)\]\..*"
    joined = re.sub(union, r"\2; accepted: \1", joined)
    joined = joined.replace("accepted: {None}|", "accepted: ")
    for kind, accepted in ACCEPTED.items():
        joined = re.sub(f"accepted: {kind}$", f"accepted: {accepted}", joined)
    joined = re.sub(r"^Error parsing (?:[\w.-]+: (?=\w+: \w+ = )|(?=--))", "", joined)
    # The user's words may be of any length; what is accepted stands at the end.
    return joined if len(joined) <= 440 else f"{joined[:220]} … {joined[-200:]}"


@dataclasses.dataclass(frozen=True)
class Changes:
    """Changes to a spec before it is counted, compared or exported."""

    resolution: int | None = None
    """Height and width of input images, pixels; None: those of the spec."""
    classes: int | None = None
    """Outputs of the classifier; None: those of the spec."""

    def apply(self, architecture: Architecture) -> Architecture:
        """Return the changed architecture."""
        changes = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        return architecture.replace(**changes)


def require_writable(path: str) -> None:
    """Raise UsageError, before the work, where a file can't be written."""
    if os.path.isdir(path):
        raise UsageError(f"{path} can't be written: it is a directory; accepted: a file")
    if os.path.exists(path) and not os.path.isfile(path):
        return  # a pipe or a device
    parent = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(parent):
        raise UsageError(f"{path} can't be written: no such directory")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UsageError(f"{path} can't be written: no permission for its directory")


def rows_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table of texts, the first column left-aligned and the others right-aligned."""
    table = Table(heads[0], box=None, pad_edge=False)
    for head in heads[1:]:
        # Folded rather than truncated in a narrow terminal.
        table.add_column(head, justify="right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def fitting_columns(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    least: Sequence[tuple[int, ...]],
    width: int,
) -> list[int]:
    """Return the places of the columns of `rows_table` that fit a width in characters.

    least  groups of columns that may be left out, the least important one first
    """
    widths = [max(map(cell_len, cells)) for cells in zip(heads, *rows, strict=True)]
    kept = list(range(len(heads)))
    for group in least:
        if sum(widths[place] + GAP for place in kept) - GAP <= width:
            break
        kept = [place for place in kept if place not in group]
    return kept


def print_fitting(
    console: Console,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    least: Sequence[tuple[int, ...]],
    total: Sequence[str] | None = None,
) -> None:
    """Print a table without the columns that don't fit, and a line that names these.

    least  as of `fitting_columns`
    total  last row, below a line of its own
    """
    every = [*rows] if total is None else [*rows, total]
    kept = fitting_columns(heads, every, least, console.width)

    def cells(row: Sequence[str]) -> list[str]:
        return [row[place] for place in kept]

    table = rows_table(cells(heads), [cells(row) for row in rows])
    if total is not None:
        table.add_section()
        table.add_row(*cells(total))
    console.print(table)
    if len(kept) < len(heads):
        left_out = [head for place, head in enumerate(heads) if place not in kept]
        console.print(f"in a wider terminal, also {', '.join(left_out)}", soft_wrap=True)


def print_csv(records: Sequence[Mapping[str, Any]]) -> None:
    """Print records as CSV on standard output: the first one's keys as columns, None as empty."""
    if records:
        writer = csv.DictWriter(sys.stdout, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)


def write_output(path: str, text: str) -> None:
    """Write a file that the user asked for and log it.

    Raises: UsageError where it cannot be written.
    """
    try:
        files.write_text(Path(path), text + "\n")
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}") from None
    logger.info("written: %s", path)
