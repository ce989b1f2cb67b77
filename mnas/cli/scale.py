"""`mnas scale`: compound scaling, the published family, and the grid search's points."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

import tyro
from rich.console import Console

from mnas.analysis.grid_ranking import Ranked, is_grid_run, ranked
from mnas.architecture import scaling
from mnas.architecture.architecture import Architecture, block_strings
from mnas.architecture.cost import network_cost
from mnas.architecture.scaling_grid import ScalingGrid
from mnas.architecture.spec import find, to_spec
from mnas.cli.arguments import Spec, parse, rows_table, write
from mnas.errors import UsageError

WAYS = "--phi, --published, --depth, --width, --resolution, --family or --grid-search"
PAPER = scaling.PAPER


@dataclasses.dataclass(frozen=True)
class ScaleArguments:
    """A network scaled: by the formula, as a published model was, or by multipliers."""

    spec: Spec
    """A published name, a spec file, a run's directory (its best), or block strings joined by ;."""
    phi: float | None = None
    """Compound scaling: depth alpha^phi, width beta^phi, resolution gamma^phi."""
    alpha: float | None = None
    """Depth for each unit of phi, at least 1; 1.2 where not given."""
    beta: float | None = None
    """Width for each unit of phi, at least 1; 1.1 where not given."""
    gamma: float | None = None
    """Resolution for each unit of phi, at least 1; 1.15 where not given."""
    published: str | None = None
    """As EfficientNet's b0 to b7 were made of B0; these do not follow the formula."""
    depth: float | None = None
    """Multiplier of layers."""
    width: float | None = None
    """Multiplier of filters."""
    resolution: float | None = None
    """Multiplier of pixels a side."""
    divisor: int = scaling.DIVISOR
    """Scaled filters are multiples of it: EfficientNet's 8, or less for very small networks."""
    family: bool = False
    """phi 0 to 7 by the formula, beside the published b0 to b7."""
    grid_search: bool = False
    """All (alpha, beta, gamma) of the grid search with their mult-adds; of a run of it
    (`python search.py compound-scaling`), ranked by its reward."""
    step: float = ScalingGrid.step
    """Of the grid."""
    tolerance: float = ScalingGrid.tolerance
    """Of the grid: by what share alpha·beta²·gamma² may differ from 2."""
    constraint: Literal["formula", "mult-adds"] = ScalingGrid.constraint
    """Of the grid: on alpha·beta²·gamma², or on the true ratio of mult-adds."""
    json: bool = False
    """One JSON object on standard output."""
    out: str | None = None
    """File for the spec of the scaled network."""

    def grid(self) -> dict[str, Any]:
        """What was said of the grid."""
        names = ("step", "tolerance", "constraint", "divisor")
        given = {name: getattr(self, name) for name in names}
        return {name: value for name, value in given.items() if value != getattr(ScalingGrid, name)}

    def coefficients(self) -> scaling.Coefficients:
        given = (self.alpha, self.beta, self.gamma)
        return scaling.Coefficients(
            *(
                default if value is None else value
                for value, default in zip(given, PAPER, strict=True)
            )
        )


def scale(arguments: list[str]) -> None:
    """`mnas scale`."""
    chosen = parse(ScaleArguments, "mnas scale", arguments, tyro.MISSING_NONPROP)
    factors = {
        name: value
        for name in ("depth", "width", "resolution")
        if (value := getattr(chosen, name)) is not None
    }
    ways = {
        "--phi": chosen.phi is not None,
        "--published": chosen.published is not None,
        f"--{next(iter(factors), '')}": bool(factors),
        "--family": chosen.family,
        "--grid-search": chosen.grid_search,
    }
    used = [way for way, given in ways.items() if given]
    if len(used) != 1:
        raise UsageError(f"{' and '.join(used) or 'no scaling'} given; accepted: one of {WAYS}")
    if chosen.coefficients() != PAPER and used[0] not in ("--phi", "--family"):
        raise UsageError(f"alpha, beta or gamma with {used[0]}; accepted: with --phi or --family")
    if not chosen.grid_search and (stray := set(chosen.grid()) - {"divisor"}):
        raise UsageError(f"{min(stray)} with {used[0]}; accepted: with --grid-search")
    if chosen.out is not None and used[0] in ("--family", "--grid-search"):
        raise UsageError(
            f"out = {chosen.out!r} with {used[0]}; accepted: where one network is made"
        )
    if chosen.family:
        _family(chosen)
    elif chosen.grid_search:
        _grid_search(chosen)
    else:
        _one(chosen, factors)


def _one(chosen: ScaleArguments, factors: dict[str, float]) -> None:
    base = find(chosen.spec)
    provenance: dict[str, Any] = {"base": base.name}
    if chosen.phi is not None:
        coefficients = chosen.coefficients()
        network = scaling.scale(base, chosen.phi, *coefficients, chosen.divisor)
        factors = scaling.multipliers(chosen.phi, *coefficients)
        provenance |= {"phi": chosen.phi, **coefficients._asdict()}
    elif chosen.published is not None:
        network = scaling.scale_published(base, chosen.published, chosen.divisor)
        factors = scaling.published_multipliers(chosen.published)
        line = scaling.published(chosen.published)
        provenance |= {"published": chosen.published.lower(), "dropout": line.dropout}
    else:
        network = scaling.multiply(base, **factors, divisor=chosen.divisor)
        network = network.replace(name=f"{base.name}-scaled")
    provenance["multipliers"] = {"depth": 1.0, "width": 1.0, "resolution": 1.0, **factors}
    described = {**to_spec(network), "scaling": provenance}
    if chosen.out is not None:
        write(chosen.out, json.dumps(described, indent=2))
    if chosen.json:
        print(json.dumps(described, indent=2))
        return
    console = Console(highlight=False, markup=False)
    console.print(_side_by_side(base, network))
    console.print(
        "depth {depth:.3f}, width {width:.3f}, resolution {resolution:.3f}; "
        "one multiply-add counts once".format(**provenance["multipliers"]),
        soft_wrap=True,
    )
    if chosen.published is not None:
        phi = scaling.implied_phi(chosen.published)
        console.print(
            f"dropout {provenance['dropout']}; by the formula this would be φ = "
            + ", ".join(f"{value:.2f} by {name}" for name, value in phi.items()),
            soft_wrap=True,
        )
    for string in block_strings(network):
        console.print(f"  {string}", soft_wrap=True)


def _side_by_side(base: Architecture, network: Architecture) -> Any:
    costs = network_cost(base), network_cost(network)
    rows = [
        ("resolution", base.resolution, network.resolution),
        ("layers", len(base.layers()), len(network.layers())),
        ("stem", base.stem, network.stem),
        ("head", base.head, network.head),
        ("params", costs[0].params, costs[1].params),
        ("mult-adds", costs[0].mult_adds, costs[1].mult_adds),
    ]
    shown = [(name, f"{a:,}", f"{b:,}", f"×{b / a:.3f}" if a else "") for name, a, b in rows]
    return rows_table(("", base.name, network.name, ""), shown)


def _described(network: Architecture) -> dict[str, Any]:
    cost = network_cost(network)
    return {
        "resolution": network.resolution,
        "params": cost.params,
        "mult_adds": cost.mult_adds,
        "blocks": list(block_strings(network)),
    }


def _figures(described: dict[str, Any]) -> tuple[str, ...]:
    counts = (described["params"], described["mult_adds"])
    texts = (f"{count / 1e6:,.2f}M" if count >= 1e6 else f"{count:,}" for count in counts)
    return f"{described['resolution']}", *texts


def _family(chosen: ScaleArguments) -> None:
    base, coefficients = find(chosen.spec), chosen.coefficients()
    formula = [
        {
            "phi": phi,
            "multipliers": scaling.multipliers(phi, *coefficients),
            **_described(scaling.scale(base, phi, *coefficients, chosen.divisor)),
        }
        for phi in range(len(scaling.COEFFICIENTS))
    ]
    published = [
        {
            "published": variant,
            "multipliers": scaling.published_multipliers(variant),
            "dropout": line.dropout,
            "implied_phi": scaling.implied_phi(variant),
            **_described(scaling.scale_published(base, variant, chosen.divisor)),
        }
        for variant, line in scaling.COEFFICIENTS.items()
    ]
    if chosen.json:
        described = {"base": base.name, **coefficients._asdict()}
        print(json.dumps({**described, "formula": formula, "published": published}, indent=2))
        return
    heads = ("pixels", "params", "mult-adds")
    shown = [
        (
            f"{one['phi']}",
            *_figures(one),
            other["published"],
            *_figures(other),
            *(f"{phi:.2f}" for phi in other["implied_phi"].values()),
        )
        for one, other in zip(formula, published, strict=True)
    ]
    # Wider than many a terminal, which then folds the lines; rich would fold every cell.
    console = Console(highlight=False, markup=False, width=max(Console().width, 104))
    table = rows_table(("φ", *heads, "published", *heads, "φ: depth", "width", "pixels"), shown)
    console.print(
        f"{base.name} by the formula, α = {coefficients.alpha:g}, β = {coefficients.beta:g}, "
        f"γ = {coefficients.gamma:g}, and as the published models were made of B0",
        soft_wrap=True,
    )
    console.print(table)
    console.print(
        "The published multipliers do not follow the formula: the last three columns are the φ "
        "that each alone would need, at α = 1.2, β = 1.1, γ = 1.15.",
        soft_wrap=True,
    )


def _grid_search(chosen: ScaleArguments) -> None:
    directory, found = Path(chosen.spec), None
    if is_grid_run(directory):
        if chosen.grid():
            raise UsageError(
                f"{', '.join(chosen.grid())} given with {directory}, whose grid is settled; "
                "accepted: --grid-search alone"
            )
        grid, found = ranked(directory)
    else:
        grid = ScalingGrid(base=chosen.spec, **chosen.grid())
    points, base = grid.points(), grid.network()
    madds, combinations = network_cost(base).mult_adds, len(grid.combinations())
    rows = [
        {**point._asdict(), "product": point.product, **_described(network)}
        for point, network in points.items()
    ]
    if found is not None:
        rows = [{**_measured(one), **rows[one.index]} for one in found]
    if chosen.json:
        described = {**dataclasses.asdict(grid), "network": base.name, "mult_adds": madds}
        print(json.dumps({**described, "combinations": combinations, "points": rows}, indent=2))
        return
    heads = ("α", "β", "γ", "α·β²·γ²", "pixels", "params", "mult-adds", "ratio")
    shown = [
        (
            *(f"{row[name]:.2f}" for name in ("alpha", "beta", "gamma")),
            f"{row['product']:.3f}",
            *_figures(row),
            f"{row['mult_adds'] / madds:.2f}",
            *([f"{row['accuracy']:.4f}", f"{row['reward']:.4f}"] if found is not None else []),
        )
        for row in rows
    ]
    heads += ("accuracy", "reward") if found is not None else ()
    console = Console(highlight=False, markup=False)
    console.print(rows_table(heads, shown))
    of = f"{len(rows)} of {len(points)}" if found is not None else f"{len(points)}"
    console.print(
        f"{of} networks, of {combinations} combinations: those that rounding makes equal count "
        f"once. Ratio of mult-adds to {base.name}'s {madds:,}.",
        soft_wrap=True,
    )


def _measured(one: Ranked) -> dict[str, Any]:
    row = one.row
    return {"trial": row.trial, "accuracy": row.accuracy, "reward": row.reward}
