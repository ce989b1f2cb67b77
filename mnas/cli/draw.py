"""`mnas draw`: a network as SVG, stage by stage, alone or beside a second one."""

import dataclasses
from typing import Annotated

import tyro

from mnas.architecture.sources import find
from mnas.cli.arguments import Changes, Spec, parse, write_output
from mnas.errors import UsageError
from mnas.reports.drawing import draw


@dataclasses.dataclass(frozen=True)
class DrawArguments:
    """Draw a network stage by stage as SVG, or two side by side with their differences marked.

    Example: mnas draw runs/digits-1 efficientnet-b0 --out found.svg
    """

    spec: Spec
    second: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[SPEC]")] = None
    """Spec of the network on the right; it is resized to the resolution and classes of SPEC."""
    out: str | None = None
    """File to write, whose name ends in .svg; None: standard output."""
    changes: Annotated[Changes, tyro.conf.arg(name="")] = Changes()


def main(arguments: list[str]) -> None:
    """Run `mnas draw`."""
    options = parse(DrawArguments, "mnas draw", arguments)
    if options.out is not None and not options.out.lower().endswith(".svg"):
        raise UsageError(f"--out {options.out}; accepted: a file name that ends in .svg")
    network = options.changes.apply(find(options.spec))
    drawing = draw(network, None if options.second is None else find(options.second))
    if options.out is None:
        print(drawing)
    else:
        write_output(options.out, drawing)
