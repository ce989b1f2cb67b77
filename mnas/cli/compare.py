"""`mnas compare`: an architecture against a reference."""

import dataclasses
import json
from typing import Annotated

import tyro
from rich.console import Console

from mnas.analysis import comparison as comparing
from mnas.architecture.spec import find
from mnas.cli.arguments import Changes, Spec, parse, rows_table


@dataclasses.dataclass(frozen=True)
class CompareArguments:
    """How an architecture differs from a reference: decisions, costs, stage by stage."""

    spec: Spec
    """A published name, a spec file, a run's directory (its best), or block strings joined by ;."""
    reference: Spec = "efficientnet-b0"
    """The same; it is brought to the resolution and the classes of the spec."""
    changes: Annotated[Changes, tyro.conf.arg(name="")] = Changes()
    json: bool = False
    """One JSON object on standard output."""


def compare(arguments: list[str]) -> None:
    """`mnas compare`."""
    from mnas.evaluators.surrogate_fits import predict

    chosen = parse(CompareArguments, "mnas compare", arguments, tyro.MISSING_NONPROP)
    network = chosen.changes.apply(find(chosen.spec))
    comparison = comparing.compare(network, find(chosen.reference), predict)
    if chosen.json:
        print(json.dumps(comparing.to_dict(comparison), indent=2))
        return
    console = Console(highlight=False, markup=False)
    for heads, rows in comparing.tables(comparison):
        console.print(rows_table(heads, rows), "")
    for note in comparing.notes(comparison):
        console.print(note, soft_wrap=True)
