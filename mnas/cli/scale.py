"""`mnas scale`: compound scaling, the published family, and the points of the grid search."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

from rich.table import Table

from mnas.analysis.grid_ranking import Ranked, is_grid_run, ranked
from mnas.architecture import scaling
from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.scaling_grid import ScalingGrid
from mnas.architecture.sources import find, find_source
from mnas.architecture.spec import to_spec
from mnas.architecture.text_forms import block_strings
from mnas.cli.arguments import Spec, parse, rows_table, write_output
from mnas.errors import UsageError, shown
from mnas.reports.terminal import plain_console

METHODS = "--phi, --published, --depth, --width, --resolution, --family or --grid-search"
PAPER = scaling.PAPER


@dataclasses.dataclass(frozen=True)
class ScaleArguments:
    """Scale a network by the compound formula, as a published model, or by given multipliers.

    Example: mnas scale efficientnet-b0 --phi 2 --out scaled.json
    """

    spec: Spec
    phi: float | None = None
    """Compound coefficient φ: depth alpha^phi, width beta^phi, resolution gamma^phi."""
    alpha: float | None = None
    """Depth multiplier per unit of phi, at least 1; None: 1.2."""
    beta: float | None = None
    """Width multiplier per unit of phi, at least 1; None: 1.1."""
    gamma: float | None = None
    """Resolution multiplier per unit of phi, at least 1; None: 1.15."""
    published: str | None = None
    """Multipliers of a published EfficientNet, b0 to b7; these do not follow the formula."""
    depth: float | None = None
    """Multiplier of the number of layers, rounded up: TF's round_repeats, timm's depth_trunc
    'ceil'."""
    width: float | None = None
    """Multiplier of the number of filters, rounded to the nearest multiple of the divisor, at most
    10% below: TF's round_filters, timm's round_channels."""
    resolution: float | None = None
    """Multiplier of the height and width of images."""
    fixed: scaling.Fixed = "none"
    """none: stem and head are scaled as the stages are (EfficientNet). head: the head is never
    narrower than in SPEC (MobileNetV2 and timm's mobilenetv2_050 to _140). head-stem: stem, head,
    and the layers of the first and last stage stay (EfficientNet-Lite; TF's fix_head_stem, timm's
    fix_stem and fix_first_last)."""
    divisor: int = scaling.DIVISOR
    """Scaled filters are multiples of it; 8 in EfficientNet, fewer for very small networks."""
    family: bool = False
    """Scale by phi 0 to 7 and as the published b0 to b7, side by side."""
    grid_search: bool = False
    """List all (alpha, beta, gamma) of the grid search with their mult-adds; where the spec is a
    run of it (mnas search compound-scaling), ranked by reward."""
    step: float = ScalingGrid.step
    """Step of the grid."""
    tolerance: float = ScalingGrid.tolerance
    """Tolerance of the grid: relative difference of alpha·beta²·gamma² from 2."""
    constraint: Literal["formula", "mult-adds"] = ScalingGrid.constraint
    """Quantity that the tolerance of the grid applies to: alpha·beta²·gamma², or the exact ratio
    of mult-adds."""
    json: bool = False
    """Print one JSON object."""
    out: str | None = None
    """File for the spec of the scaled network."""

    def grid(self) -> dict[str, Any]:
        """Return the settings of the grid that differ from the defaults."""
        names = ("step", "tolerance", "constraint", "divisor")
        values = {name: getattr(self, name) for name in names}
        return {
            name: value for name, value in values.items() if value != getattr(ScalingGrid, name)
        }

    def coefficients(self) -> scaling.Coefficients:
        """Return alpha, beta and gamma, those of the paper where not given."""
        return scaling.Coefficients(
            PAPER.alpha if self.alpha is None else self.alpha,
            PAPER.beta if self.beta is None else self.beta,
            PAPER.gamma if self.gamma is None else self.gamma,
        )


def main(arguments: list[str]) -> None:
    """Run `mnas scale`."""
    options = parse(ScaleArguments, "mnas scale", arguments)
    factors = {
        name: value
        for name in ("depth", "width", "resolution")
        if (value := getattr(options, name)) is not None
    }
    methods = {
        "--phi": options.phi is not None,
        "--published": options.published is not None,
        f"--{next(iter(factors), '')}": bool(factors),
        "--family": options.family,
        "--grid-search": options.grid_search,
    }
    used = [method for method, is_used in methods.items() if is_used]
    if len(used) != 1:
        raise UsageError(f"{' and '.join(used) or 'no scaling'} given; accepted: one of {METHODS}")
    if options.coefficients() != PAPER and used[0] not in ("--phi", "--family"):
        raise UsageError(f"alpha, beta or gamma with {used[0]}; accepted: with --phi or --family")
    if not options.grid_search and (misplaced := set(options.grid()) - {"divisor"}):
        raise UsageError(f"{min(misplaced)} with {used[0]}; accepted: with --grid-search")
    if options.fixed != "none" and options.grid_search:
        raise UsageError(
            f"fixed = {options.fixed!r} with {used[0]}; accepted: with scaled networks"
        )
    if options.out is not None and used[0] in ("--family", "--grid-search"):
        raise UsageError(
            f"out = {shown(options.out)} with {used[0]}; accepted: with one scaled network"
        )
    if options.family:
        _family(options)
    elif options.grid_search:
        _grid_search(options)
    else:
        _scale_one(options, factors)


def _scale_one(options: ScaleArguments, factors: dict[str, float]) -> None:
    """Scale to one network by phi, as a published model, or by `factors`; print and write it."""
    base, origin = find_source(options.spec)
    provenance: dict[str, Any] = {"base": base.name}
    if "search" in origin:
        provenance["base_search"] = origin["search"]
    if options.phi is not None:
        coefficients = options.coefficients()
        network = scaling.scale(base, options.phi, *coefficients, options.divisor, options.fixed)
        factors = scaling.multipliers(options.phi, *coefficients)
        provenance |= {"phi": options.phi, **coefficients._asdict()}
    elif options.published is not None:
        network = scaling.scale_published(base, options.published, options.divisor, options.fixed)
        factors = scaling.published_multipliers(options.published)
        line = scaling.find_variant(options.published)
        provenance |= {"published": options.published.lower(), "dropout": line.dropout}
    else:
        network = scaling.multiply(
            base,
            factors.get("depth", 1.0),
            factors.get("width", 1.0),
            factors.get("resolution", 1.0),
            options.divisor,
            options.fixed,
        )
        network = network.replace(name=f"{base.name}-scaled")
    if options.fixed != "none":
        provenance["fixed"] = options.fixed
    provenance["multipliers"] = {"depth": 1.0, "width": 1.0, "resolution": 1.0, **factors}
    spec = to_spec(network, scaling=provenance)
    if options.out is not None:
        write_output(options.out, json.dumps(spec, indent=2))
    if options.json:
        print(json.dumps(spec, indent=2))
        return
    console = plain_console()
    console.print(_side_by_side(base, network))
    console.print(
        "depth {depth:.3f}, width {width:.3f}, resolution {resolution:.3f}; "
        "one multiply-add counts once".format(**provenance["multipliers"]),
        soft_wrap=True,
    )
    if factors.get("width", 1) != 1 and options.fixed == "none" and base.head:
        console.print(
            "Stem and head are scaled too, as in EfficientNet; MobileNetV2 keeps its head "
            "(--fixed head), EfficientNet-Lite stem and head (--fixed head-stem).",
            soft_wrap=True,
        )
    if options.published is not None:
        phi = scaling.implied_phi(options.published)
        console.print(
            f"dropout {provenance['dropout']}; φ of the formula with the same multiplier: "
            + ", ".join(f"{value:.2f} by {name}" for name, value in phi.items()),
            soft_wrap=True,
        )
    for string in block_strings(network):
        console.print(f"  {string}", soft_wrap=True)


def _side_by_side(base: Architecture, network: Architecture) -> Table:
    costs = network_cost(base), network_cost(network)
    rows = [
        ("resolution", base.resolution, network.resolution),
        ("layers", len(base.layers()), len(network.layers())),
        ("stem", base.stem, network.stem),
        ("head", base.head, network.head),
        ("params", costs[0].params, costs[1].params),
        ("mult-adds", costs[0].mult_adds, costs[1].mult_adds),
    ]
    cells = [(name, f"{a:,}", f"{b:,}", f"×{b / a:.3f}" if a else "") for name, a, b in rows]
    return rows_table(("", base.name, network.name, ""), cells)


def _description(network: Architecture) -> dict[str, Any]:
    cost = network_cost(network)
    return {
        "resolution": network.resolution,
        "params": cost.params,
        "mult_adds": cost.mult_adds,
        "blocks": list(block_strings(network)),
    }


def _figures(row: dict[str, Any]) -> tuple[str, ...]:
    counts = (row["params"], row["mult_adds"])
    texts = (f"{count / 1e6:,.2f}M" if count >= 1e6 else f"{count:,}" for count in counts)
    return f"{row['resolution']}", *texts


def _family(options: ScaleArguments) -> None:
    base, coefficients = find(options.spec), options.coefficients()
    formula = [
        {
            "phi": phi,
            "multipliers": scaling.multipliers(phi, *coefficients),
            **_description(scaling.scale(base, phi, *coefficients, options.divisor, options.fixed)),
        }
        for phi in range(len(scaling.VARIANTS))
    ]
    published = [
        {
            "published": variant,
            "multipliers": scaling.published_multipliers(variant),
            "dropout": line.dropout,
            "implied_phi": scaling.implied_phi(variant),
            **_description(scaling.scale_published(base, variant, options.divisor, options.fixed)),
        }
        for variant, line in scaling.VARIANTS.items()
    ]
    if options.json:
        head = {"base": base.name, **coefficients._asdict()}
        print(json.dumps({**head, "formula": formula, "published": published}, indent=2))
        return
    heads = ("pixels", "params", "mult-adds")
    cells = [
        (
            f"{one['phi']}",
            *_figures(one),
            other["published"],
            *_figures(other),
            *(f"{phi:.2f}" for phi in other["implied_phi"].values()),
        )
        for one, other in zip(formula, published, strict=True)
    ]
    # A narrow terminal folds lines; rich, with the terminal's width, would fold every cell.
    console = plain_console(width=max(plain_console().width, 104))
    table = rows_table(("φ", *heads, "published", *heads, "φ: depth", "width", "pixels"), cells)
    console.print(
        f"{base.name} by the formula, α = {coefficients.alpha:g}, β = {coefficients.beta:g}, "
        f"γ = {coefficients.gamma:g}, and with the multipliers of the published models",
        soft_wrap=True,
    )
    console.print(table)
    console.print(
        "The published multipliers do not follow the formula: the last three columns are the φ "
        "that each multiplier corresponds to, at α = 1.2, β = 1.1, γ = 1.15.",
        soft_wrap=True,
    )


def _grid_search(options: ScaleArguments) -> None:
    directory, ranking = Path(options.spec), None
    if is_grid_run(directory):
        if options.grid():
            raise UsageError(
                f"{', '.join(options.grid())} given with {directory}, which has a grid; "
                "accepted: --grid-search alone"
            )
        grid, ranking = ranked(directory)
    else:
        grid = ScalingGrid(base=options.spec, **options.grid())
    points, base = grid.points(), grid.network()
    madds, combinations = network_cost(base).mult_adds, len(grid.combinations())
    rows = [
        {**point._asdict(), "product": point.product, **_description(network)}
        for point, network in points.items()
    ]
    if ranking is not None:
        rows = [{**_measured(point), **rows[point.index]} for point in ranking]
    if options.json:
        head = {**dataclasses.asdict(grid), "network": base.name, "mult_adds": madds}
        print(json.dumps({**head, "combinations": combinations, "points": rows}, indent=2))
        return
    heads = ["α", "β", "γ", "α·β²·γ²", "pixels", "params", "mult-adds", "ratio"]
    cells = [
        (
            *(f"{row[name]:.2f}" for name in ("alpha", "beta", "gamma")),
            f"{row['product']:.3f}",
            *_figures(row),
            f"{row['mult_adds'] / madds:.2f}",
            *([f"{row['accuracy']:.4f}", f"{row['reward']:.4f}"] if ranking is not None else []),
        )
        for row in rows
    ]
    if ranking is not None:
        heads += ["accuracy", "reward"]
    console = plain_console()
    console.print(rows_table(heads, cells))
    count = f"{len(rows)} of {len(points)}" if ranking is not None else f"{len(points)}"
    console.print(
        f"{count} networks, of {combinations} combinations: those that rounding makes equal count "
        f"once. Ratio of mult-adds to {base.name}'s {madds:,}.",
        soft_wrap=True,
    )


def _measured(point: Ranked) -> dict[str, Any]:
    row = point.row
    return {"trial": row.trial, "accuracy": row.accuracy, "reward": row.reward}
