"""`mnas cost`: params and mult-adds, part by part."""

import dataclasses
import json
from typing import Annotated

import tyro
from rich.console import Console

from mnas.architecture.architecture import block_strings
from mnas.architecture.cost import network_cost, parts
from mnas.architecture.spec import find
from mnas.cli.arguments import Changes, Spec, parse, rows_table


@dataclasses.dataclass(frozen=True)
class CostArguments:
    """Params and mult-adds of an architecture, part by part."""

    spec: Spec
    """A published name, a spec file, a run's directory (its best), or block strings joined by ;."""
    changes: Annotated[Changes, tyro.conf.arg(name="")] = Changes()
    verify: bool = False
    """Also count the built Flax model: its parameter leaves, and the multiply-adds of its jaxpr."""
    json: bool = False
    """One JSON object on standard output."""


def cost(arguments: list[str]) -> None:
    """`mnas cost`."""
    chosen = parse(CostArguments, "mnas cost", arguments, tyro.MISSING_NONPROP)
    architecture = chosen.changes.apply(find(chosen.spec))
    total, rows = network_cost(architecture), list(parts(architecture))
    counted = None
    if chosen.verify:
        from mnas.nn.count import model_cost  # the one verb option that needs JAX

        counted = model_cost(architecture)
    if chosen.json:
        described = {
            "name": architecture.name,
            "params": total.params,
            "mult_adds": total.mult_adds,
            "resolution": architecture.resolution,
            "parts": [
                {
                    "name": row.name,
                    "params": row.cost.params,
                    "mult_adds": row.cost.mult_adds,
                    "out_resolution": row.resolution,
                    "out_filters": row.filters,
                }
                for row in rows
            ],
        }
        if counted:
            described["model"] = dataclasses.asdict(counted)
        print(json.dumps(described, indent=2))
        return
    shown = [
        (
            row.name,
            f"{row.resolution}×{row.resolution}×{row.filters}",
            f"{row.cost.params:,}",
            f"{row.cost.mult_adds:,}",
        )
        for row in rows
    ]
    table = rows_table(("part", "output", "params", "mult-adds"), shown)
    table.add_section()
    table.add_row(architecture.name, "", f"{total.params:,}", f"{total.mult_adds:,}")
    console = Console(highlight=False, markup=False)
    console.print(table)
    resolution = architecture.resolution
    console.print(
        f"{total.params / 1e6:.2f}M params, {total.mult_adds / 1e6:.1f}M mult-adds "
        f"at {resolution}×{resolution} (one multiply-add counts once)"
    )
    if counted:
        agrees = "the same" if counted == total else "NOT the same"
        console.print(
            f"counted from the Flax model: {counted.params:,} params, "
            f"{counted.mult_adds:,} mult-adds, {agrees}"
        )
    for string in block_strings(architecture):
        console.print(f"  {string}", soft_wrap=True)
