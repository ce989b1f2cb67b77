"""`mnas cost`: params and mult-adds of an architecture."""

import dataclasses
import json
from typing import Annotated

import tyro

from mnas.architecture.cost import network_cost, parts
from mnas.architecture.sources import find
from mnas.architecture.text_forms import block_strings
from mnas.cli.arguments import Changes, Spec, parse, print_fitting
from mnas.reports.terminal import plain_console


@dataclasses.dataclass(frozen=True)
class CostArguments:
    """Count params and mult-adds of an architecture, part by part.

    Example: mnas cost efficientnet-b0 --resolution 380
    """

    spec: Spec
    changes: Annotated[Changes, tyro.conf.arg(name="")] = Changes()
    verify: bool = False
    """Also count parameters and mult-adds of the Flax model that is built from the spec."""
    json: bool = False
    """Print one JSON object."""


def main(arguments: list[str]) -> None:
    """Run `mnas cost`."""
    options = parse(CostArguments, "mnas cost", arguments)
    architecture = options.changes.apply(find(options.spec))
    total, rows = network_cost(architecture), list(parts(architecture))
    counted = None
    if options.verify:
        from mnas.nn.count import model_cost  # imports JAX

        counted = model_cost(architecture)
    if options.json:
        result = {
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
            result["model"] = dataclasses.asdict(counted)
        print(json.dumps(result, indent=2))
        return
    cells = [
        (
            row.name,
            f"{row.resolution}×{row.resolution}×{row.filters}",
            f"{row.cost.params:,}",
            f"{row.cost.mult_adds:,}",
        )
        for row in rows
    ]
    console = plain_console()
    all_parts = (architecture.name, "", f"{total.params:,}", f"{total.mult_adds:,}")
    print_fitting(console, ("part", "output", "params", "mult-adds"), cells, [(1,)], all_parts)
    resolution = architecture.resolution
    console.print(
        f"{total.params / 1e6:.2f}M params, {total.mult_adds / 1e6:.1f}M mult-adds "
        f"at {resolution}×{resolution} (one multiply-add counts once)"
    )
    if counted:
        agreement = "equal" if counted == total else "NOT equal"
        console.print(
            f"Flax model: {counted.params:,} params, {counted.mult_adds:,} mult-adds, {agreement}"
        )
    for string in block_strings(architecture):
        console.print(f"  {string}", soft_wrap=True)
