"""`mnas list`: experiments and studies with their cost and expected result."""

import dataclasses

from rich.table import Table

from mnas.cli.arguments import parse
from mnas.experiment import registry
from mnas.experiment.study import Study
from mnas.reports.terminal import plain_console


@dataclasses.dataclass(frozen=True)
class ListArguments:
    """List experiments and studies with their cost and expected result.

    Example: mnas list
    """


def main(arguments: list[str]) -> None:
    """Run `mnas list`."""
    parse(ListArguments, "mnas list", arguments)
    tables = {
        kind: Table(kind, "takes", "expect", box=None, pad_edge=False)
        for kind in ("experiment", "study")
    }
    for name, entry in registry.entries("experiment").items():
        try:
            experiment = entry.load()
        except Exception as error:  # a broken plug-in must not hide the others
            tables["experiment"].add_row(
                name, "", f"can't be loaded: {type(error).__name__}: {error}"
            )
        else:
            kind = "study" if isinstance(experiment, Study) else "experiment"
            tables[kind].add_row(name, experiment.takes, experiment.expect)
    # Of equal widths, so that the columns of both stand below each other.
    width = max(map(len, registry.entries("experiment")))
    for table in tables.values():
        table.columns[0].min_width = width
    plain_console().print(tables["experiment"], "", tables["study"])
    plain_console(stderr=True).print(
        "\nto run one: mnas search NAME; settings: mnas search NAME --help"
    )
