"""`mnas compare`: an architecture and a reference, stage by stage."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Annotated

import tyro

from mnas.analysis import comparison
from mnas.architecture.sources import find
from mnas.cli.arguments import Changes, Spec, parse, print_fitting
from mnas.evaluators.surrogate_fits import predict
from mnas.reports import comparison_tables
from mnas.reports.terminal import plain_console


@dataclasses.dataclass(frozen=True)
class CompareArguments:
    """Compare the decisions and costs of an architecture with a reference, stage by stage.

    Example: mnas compare runs/digits-1 efficientnet-b0
    """

    spec: Spec
    reference: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="REFERENCE")] = (
        "efficientnet-b0"
    )
    """Spec of the reference; it is resized to the resolution and classes of SPEC."""
    changes: Annotated[Changes, tyro.conf.arg(name="")] = Changes()
    json: bool = False
    """Print one JSON object."""


def main(arguments: list[str]) -> None:
    """Run `mnas compare`."""
    options = parse(CompareArguments, "mnas compare", arguments)
    architecture = options.changes.apply(find(options.spec))
    result = comparison.compare(architecture, find(options.reference), predict)
    if options.json:
        print(json.dumps(comparison.to_dict(result), indent=2))
        return
    console = plain_console()
    for heads, rows in comparison_tables.tables(result):
        print_fitting(console, heads, rows, _least(heads, rows))
        console.print()
    for note in comparison_tables.notes(result):
        console.print(note, soft_wrap=True)


def _least(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[tuple[int, ...]]:
    """Return the columns that a narrow terminal goes without, the least important ones first.

    Of decisions, those that are the same in both networks; of costs, the params of both.
    """
    if "reference" in heads:
        return [(3, 4)]
    places = range(len(heads) - 1, 2 if "change" in heads else 0, -1)
    differing = [place for place in places if any("(" in row[place] for row in rows)]
    return [(place,) for place in (*(p for p in places if p not in differing), *differing)]
