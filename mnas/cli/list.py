"""`mnas list`: experiments and studies with their cost and expected result."""

import dataclasses

from rich.table import Table

from mnas.cli.arguments import parse
from mnas.experiment import registry
from mnas.reports.terminal import plain_console


@dataclasses.dataclass(frozen=True)
class ListArguments:
    """List experiments and studies with their cost and expected result.

    Example: mnas list
    """


def main(arguments: list[str]) -> None:
    """Run `mnas list`."""
    parse(ListArguments, "mnas list", arguments)
    table = Table("experiment", "takes", "expect", box=None, pad_edge=False)
    for name, entry in registry.entries("experiment").items():
        try:
            experiment = entry.load()
        except Exception as error:  # a broken plug-in must not hide the others
            table.add_row(name, "", f"can't be loaded: {type(error).__name__}: {error}")
        else:
            table.add_row(name, experiment.takes, experiment.expect)
    plain_console().print(table)
