"""`mnas list`: experiments and studies with their cost and expected result."""

import dataclasses

from rich.console import Console
from rich.table import Table

from mnas.cli.arguments import parse
from mnas.experiment import registry


@dataclasses.dataclass(frozen=True)
class ListArguments:
    """List experiments and studies with their cost and expected result.

    Example: mnas list
    """


def main(arguments: list[str]) -> int:
    """Run `mnas list` and return the exit status."""
    parse(ListArguments, "mnas list", arguments)
    table = Table("experiment", "takes", "expect", box=None, pad_edge=False)
    for name, entry in registry.entries("experiment").items():
        try:
            experiment = entry.load()
        except Exception as error:  # a broken plug-in must not hide the others
            table.add_row(name, "", f"can't be loaded: {type(error).__name__}: {error}")
        else:
            table.add_row(name, experiment.takes, experiment.expect)
    Console().print(table)
    return 0
