"""`mnas list`: experiments and studies with their cost and expected result."""

import dataclasses
import textwrap
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from mnas.cli.arguments import parse
from mnas.experiment import registry
from mnas.experiment.study import Study
from mnas.reports.terminal import plain_console

NARROW = 60  # columns, below which tables would break words

Rows = Mapping[str, Sequence[tuple[str, str, str]]]  # (name, takes, expect) by kind


@dataclasses.dataclass(frozen=True)
class ListArguments:
    """List experiments and studies with their cost and expected result.

    Example: mnas list
    """


def main(arguments: list[str]) -> None:
    """Run `mnas list`."""
    parse(ListArguments, "mnas list", arguments)
    rows: dict[str, list[tuple[str, str, str]]] = {"experiment": [], "study": []}
    for name, entry in registry.entries("experiment").items():
        try:
            experiment = entry.load()
        except Exception as error:  # a broken plug-in must not hide the others
            cause = f"can't be loaded: {type(error).__name__}: {error}"
            rows["experiment"].append((name, "", cause))
        else:
            kind = "study" if isinstance(experiment, Study) else "experiment"
            rows[kind].append((name, experiment.takes, experiment.expect))
    console = plain_console()
    show = _print_blocks if console.width < NARROW else _print_tables
    show(console, rows)
    plain_console(stderr=True).print(
        "\ndurations are of whole commands on otherwise idle cores\n"
        "to run one: mnas search NAME; settings: mnas search NAME --help"
    )


def _print_tables(console: Console, rows: Rows) -> None:
    """Print a table of experiments and one of studies, with columns of equal widths."""
    width = max(len(name) for of_kind in rows.values() for name, _, _ in of_kind)
    tables = [Table(kind, "takes", "expect", box=None, pad_edge=False) for kind in rows]
    for table, of_kind in zip(tables, rows.values(), strict=True):
        table.columns[0].min_width = width
        for row in of_kind:
            table.add_row(*row)
    console.print(tables[0], "", tables[1])


def _print_blocks(console: Console, rows: Rows) -> None:
    """Print each name with what it takes and its expected result below, between words."""
    wrapper = textwrap.TextWrapper(console.width, initial_indent="  ", subsequent_indent="  ")
    for number, (kind, of_kind) in enumerate(rows.items()):
        console.print(f"\n{kind}" if number else kind)
        for name, takes, expect in of_kind:
            console.print(name)
            for text in filter(None, (takes, expect)):
                console.print(wrapper.fill(text), soft_wrap=True)
