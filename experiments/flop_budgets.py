"""Networks for other budgets: the most accurate one within 100M, 200M, ... 600M mult-adds.

Paper     the search of arXiv 1905.11946, section 4, for six targets instead of 400M alone, with the
          hard reward of arXiv 1807.11626
Command   mnas search flop-budgets
Cost      3 minutes on 2 cores, by the time of a batch in `b0_imagenet`
Expect    six specs within 3% of their budgets, predicted above the best measured networks
Results   docs/results/surrogate.md

Each budget has its own searches on the `mlp` fit of the ImageNet surrogate. Of all networks that
the study evaluated within a budget, the one with the best *lower* prediction of both fits is
exported, because a search overrates most what its own fit prefers. The study's page has the front
of all networks with those of the budgets, and its directory also 100M.json ... 600M.json (specs),
budgets.csv, front.csv (the Pareto front) and, for papers, front.svg.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.architecture.spec import to_spec
from mnas.architecture.text_forms import block_strings
from mnas.controllers.dyna import Dyna
from mnas.evaluators.surrogate_fits import FITS, predict, top1
from mnas.experiment.study import Outcome, Study
from mnas.experiments import b0_imagenet
from mnas.files import write_csv, write_json
from mnas.loop.config import SearchConfig
from mnas.reports.figures import default_style, new_figure, write_svg
from mnas.reports.page.chart import Chart
from mnas.reports.page.costs import accuracy_by_cost
from mnas.reports.page.style import color, series
from mnas.reports.terminal import plain_console
from mnas.reports.text import magnitude
from mnas.reward import RewardConfig

BUDGETS_M = (100, 200, 300, 400, 500, 600)
# A network that uses less than its budget by more than this fraction is exported only if there is
# no other.
SLACK = 0.03
REFERENCE = "efficientnet-b0"

# The most accurate of the 4,623 measured networks within each budget: (mult-adds, M; top-1). One
# training each, so the best of many is biased upwards.
BEST_MEASURED = {
    100: (83.6, 0.51564),
    200: (192.3, 0.62148),
    300: (270.7, 0.64744),
    400: (399.0, 0.65754),
    500: (478.3, 0.66652),
    600: (566.0, 0.67052),
}


@dataclasses.dataclass(frozen=True)
class Network:
    """One evaluated network of the study.

    variant    of the study; with `seed` and `trial` the origin of the network
    accuracy   as the search saw it
    top1       prediction by fit, 0 to 1
    """

    architecture: Architecture
    mult_adds: int
    accuracy: float
    top1: Mapping[str, float]
    variant: str
    seed: int
    trial: int

    @property
    def lower_top1(self) -> float:
        """Return the lower prediction of both fits."""
        return min(self.top1.values())


def finish(study: Study, outcomes: Sequence[Outcome], directory: Path) -> list[Chart]:
    """Export the best network of each budget, write the tables and the plot; return the figure."""
    evaluated = networks(outcomes)
    rows = []
    for variant, experiment in study.variants.items():
        budget = experiment.reward.target_madds
        best = best_within(evaluated, budget)
        if best is None:
            continue
        architecture = best.architecture.replace(name=variant)
        provenance = {
            "study": study.name,
            "experiment": best.variant,
            "trial": best.trial,
            "seed": best.seed,
            "accuracy": best.accuracy,
            "lower_top1": best.lower_top1,
        }
        write_json(directory / f"{variant}.json", to_spec(architecture, provenance))
        rows.append(_row(variant, architecture) | {"budget_fraction": best.mult_adds / budget})
    if not rows:
        return []
    rows.append(_row(REFERENCE, PUBLISHED[REFERENCE]))
    write_csv(directory / "budgets.csv", rows)
    front = pareto_front(evaluated)
    described = [
        {
            "mult_adds": network.mult_adds,
            **{f"top1_{fit}": network.top1[fit] for fit in FITS},
            "blocks": ";".join(block_strings(network.architecture)),
        }
        for network in front
    ]
    write_csv(directory / "front.csv", described)
    _print_table(rows)
    _plot(rows, front, directory / "front.svg")
    return [front_figure(rows, front)]


def networks(outcomes: Sequence[Outcome]) -> list[Network]:
    """Return every successfully evaluated network once for each search that evaluated it."""
    results = [
        (outcome, result)
        for outcome in outcomes
        for result in outcome.results
        if result.error is None and result.duplicate_of is None
    ]
    architectures = [Architecture.from_dict(result.architecture) for _, result in results]
    predicted = {fit: top1(architectures, fit).mean.tolist() for fit in FITS}
    return [
        Network(
            architecture=architectures[n],
            mult_adds=result.mult_adds,
            accuracy=result.evaluation.accuracy,
            top1={fit: predicted[fit][n] for fit in FITS},
            variant=outcome.variant,
            seed=outcome.seed,
            trial=result.trial,
        )
        for n, (outcome, result) in enumerate(results)
    ]


def best_within(evaluated: Sequence[Network], budget: float) -> Network | None:
    """Return the network of highest `lower_top1` within a budget; None if there is none.

    Networks that use the budget up to `SLACK` take precedence over all smaller ones.
    """
    within = [network for network in evaluated if network.mult_adds <= budget]
    used = [network for network in within if network.mult_adds >= (1 - SLACK) * budget]
    return max(used or within, key=lambda network: network.lower_top1, default=None)


def pareto_front(evaluated: Sequence[Network]) -> list[Network]:
    """Return the networks that no other beats in `lower_top1` with as many mult-adds or fewer."""
    front: list[Network] = []
    for network in sorted(evaluated, key=lambda n: (n.mult_adds, -n.lower_top1)):
        if not front or network.lower_top1 > front[-1].lower_top1:
            front.append(network)
    return front


def _row(name: str, architecture: Architecture) -> dict[str, Any]:
    cost = network_cost(architecture)
    predictions = {f"top1_{fit}": mean for fit, (mean, _) in predict(architecture).items()}
    return {"name": name, "mult_adds": cost.mult_adds, "params": cost.params, **predictions}


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    for head in (
        "mult-adds",
        "of budget",
        "params",
        *(f"top-1, {fit}" for fit in FITS),
        "measured",
    ):
        table.add_column(head, justify="right")
    for row in rows:
        fraction = row.get("budget_fraction")
        budget = None if fraction is None else int(row["name"].removesuffix("M"))
        table.add_row(
            row["name"],
            f"{row['mult_adds'] / 1e6:.1f}M",
            "" if fraction is None else f"{fraction:.1%}",
            f"{row['params'] / 1e6:.2f}M",
            *(f"{row[f'top1_{fit}']:.4f}" for fit in FITS),
            f"{BEST_MEASURED[budget][1]:.4f}" if budget in BEST_MEASURED else "",
        )
    console = plain_console(stderr=True)
    console.print(table)
    console.print("measured: the best of 4,623 trained networks within the budget")


def front_figure(rows: Sequence[dict[str, Any]], front: Sequence[Network]) -> Chart:
    """Return the figure of the front with the networks of the budgets and the reference."""
    return Chart(
        "front",
        "Front of all networks, and the network of each budget",
        "Line: networks that no other beats in the lower prediction of both fits with as many "
        "mult-adds. Circles: the exported network of each budget; diamonds: "
        f"{REFERENCE}; each by both fits. Crosses: the best of 4,623 trained networks within the "
        "budget, one training each, so biased upwards.",
        f"Front of {len(front)} networks from {front[0].mult_adds / 1e6:.0f}M to "
        f"{front[-1].mult_adds / 1e6:.0f}M mult-adds.",
        _front_body(rows, front),
        None,
        _key(),
        True,
    )


MARKS = {"exported": "circle", "reference": "diamond", "measured": "cross"}


def _key() -> tuple[tuple[str, str], ...]:
    fits = tuple((f"predicted by {fit}", series(n)) for n, fit in enumerate(FITS))
    return (*fits, ("front, by the lower fit", color("rule")), ("measured", color("ink")))


def _front_body(rows: Sequence[dict[str, Any]], front: Sequence[Network]) -> dict[str, Any]:
    line = [
        {
            "cost": network.mult_adds / 1e6,
            "accuracy": network.lower_top1,
            "tip": _tip(
                f"{network.variant}, seed {network.seed}, trial {network.trial}",
                network.mult_adds,
                {f"by {fit}": value for fit, value in network.top1.items()},
            ),
        }
        for network in front
    ]
    step = {"type": "line", "interpolate": "step-after", "color": color("rule"), "aria": False}
    dot = {"type": "point", "filled": True, "size": 12, "color": color("rule"), "opacity": 1}
    hover = {"tooltip": {"content": "data"}, "aria": False}
    layers = [
        {"data": {"values": line}, "mark": step | {"strokeWidth": 1.2}},
        {"data": {"values": line}, "mark": dot | hover},
    ]
    for number, fit in enumerate(FITS):
        for name, some in (("exported", rows[:-1]), ("reference", rows[-1:])):
            points = [
                {
                    "cost": row["mult_adds"] / 1e6,
                    "accuracy": row[f"top1_{fit}"],
                    "tip": _tip(row["name"], row["mult_adds"], {f"by {fit}": row[f"top1_{fit}"]}),
                }
                for row in some
            ]
            mark = {"type": "point", "shape": MARKS[name], "size": 75, "color": series(number)}
            layers.append({"data": {"values": points}, "mark": mark | {"filled": True} | hover})
    measured = [
        {
            "cost": cost,
            "accuracy": accuracy,
            "tip": _tip(f"best measured within {budget}M", cost * 1e6, {"measured": accuracy}),
        }
        for budget, (cost, accuracy) in BEST_MEASURED.items()
    ]
    cross = {"type": "point", "shape": "cross", "angle": 45, "size": 60, "color": color("ink")}
    layers.append({"data": {"values": measured}, "mark": cross | {"filled": True} | hover})
    return {
        "height": 360,
        "layer": layers,
        "encoding": accuracy_by_cost("mult-adds, M", "top-1 after 16 epochs"),
    }


def _tip(title: str, mult_adds: float, top1: Mapping[str, float]) -> list[Any]:
    """Return [title, facts], which the page shows beside a point."""
    accuracies = [[name, f"{100 * value:.2f}%"] for name, value in top1.items()]
    return [title, [["mult-adds", magnitude(mult_adds)], *accuracies]]


@default_style()
def _plot(rows: Sequence[dict[str, Any]], front: Sequence[Network], path: Path) -> None:
    figure, axes = new_figure("Networks for each budget", "mult-adds, M", "top-1 after 16 epochs")
    axes.step(
        [network.mult_adds / 1e6 for network in front],
        [network.lower_top1 for network in front],
        where="post",
        color="gray",
        lw=1,
        label="front, by the lower fit",
    )
    *exported, reference = rows
    for fit in FITS:
        points = axes.scatter(
            [row["mult_adds"] / 1e6 for row in exported],
            [row[f"top1_{fit}"] for row in exported],
            label=f"exported, by {fit}",
        )
        axes.scatter(
            reference["mult_adds"] / 1e6,
            reference[f"top1_{fit}"],
            marker="*",
            s=120,
            color=points.get_facecolor(),
            label=f"{reference['name']}, by {fit}",
        )
    measured = list(BEST_MEASURED.values())
    axes.scatter(
        [mult_adds for mult_adds, _ in measured],
        [accuracy for _, accuracy in measured],
        marker="x",
        color="black",
        label="best measured",
    )
    axes.legend(frameon=False, fontsize="small")
    write_svg(path, figure)


STUDY = Study(
    name="flop-budgets",
    takes="3 minutes on 2 cores",
    expect="six specs within 3% of their budgets, above the best measured networks",
    variants={
        f"{budget}M": dataclasses.replace(
            b0_imagenet.EXPERIMENT,
            controller=Dyna(),
            reward=RewardConfig(form="hard", target_madds=budget * 1e6),
            search=SearchConfig(trials=2000, batch=16),
        )
        for budget in BUDGETS_M
    },
    seeds=2,
    marks=(500, 1000, 2000),
    finish=finish,
)
