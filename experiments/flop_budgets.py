"""Baselines for other budgets: the most accurate network of at most 100M, 200M, ... 600M mult-adds.

    python search.py flop-budgets

EfficientNet-B0 was searched for one target, 400M. Here each budget has its own searches on the
ImageNet surrogate, with MnasNet's hard reward: the accuracy alone up to the budget, times budget /
mult-adds above it. The searches see the mlp fit. What is exported is, of all networks that they
evaluated and that keep the budget, the one that is best by the *lower* of both fits' predictions:
the one that looks best to the fit that was searched is the one it is most likely to overrate.

Written beside the study's own files: 100M.json ... 600M.json (specs), budgets.csv, front.csv (all
networks that no other beats) and front.svg.

Measured on 2 cores: 2 minutes. The best measured network that keeps the budget stands beside it; of
each of the six, some network of front.csv has no more mult-adds and no less accuracy on both fits.

    budget   mult-adds   top-1 by mlp, ridge   measured
    100M        99.4M        .561   .564          .516
    200M       199.8M        .631   .635          .621
    300M       295.9M        .656   .667          .647
    400M       399.9M        .666   .669          .658
    500M       489.4M        .673   .673          .667
    600M       590.3M        .674   .674          .671
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnas.controllers.dyna import Dyna
from mnas.experiments import b0_imagenet
from rich.console import Console
from rich.table import Table

from mnas.architecture.architecture import Architecture, block_strings
from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.architecture.spec import to_spec
from mnas.evaluators.surrogate_fits import FITS, predict, top1
from mnas.experiment.study import Outcome, Study
from mnas.files import write_csv, write_json
from mnas.loop.config import SearchConfig
from mnas.reports.figures import new_figure
from mnas.reward import RewardConfig

# A baseline is to use its budget: only where nothing lies so close below it, less will do.
SLACK = 0.03
BUDGETS_M = (100, 200, 300, 400, 500, 600)

# The most accurate of the 4,623 measured networks that keep a budget: (mult-adds, M; top-1).
# One training each, so the best of many was also lucky.
BEST_MEASURED = {
    100: (83.6, 0.51564),
    200: (192.3, 0.62148),
    300: (270.7, 0.64744),
    400: (399.0, 0.65754),
    500: (478.3, 0.66652),
    600: (566.0, 0.67052),
}


def finish(study: Study, outcomes: Sequence[Outcome], directory: Path) -> None:
    """Exports the best network that keeps each budget, and draws the front."""
    found = networks(outcomes)
    rows = []
    for variant, experiment in study.variants.items():
        budget = experiment.reward.target_madds
        best = choose(found, budget)
        if best is None:
            continue
        architecture = best["architecture"].replace(name=variant)
        keys = ("experiment", "trial", "seed", "accuracy", "confirmed")
        provenance = {"study": study.name, **{key: best[key] for key in keys}}
        write_json(directory / f"{variant}.json", to_spec(architecture, provenance))
        rows.append(_row(variant, architecture) | {"share": best["mult_adds"] / budget})
    if not rows:
        return
    reference = _row("efficientnet-b0", PUBLISHED["efficientnet-b0"])
    write_csv(directory / "budgets.csv", [*rows, reference])
    front = pareto_front(found)
    described = [
        {
            "mult_adds": network["mult_adds"],
            **{f"top1_{fit}": network[fit] for fit in FITS},
            "blocks": ";".join(block_strings(network["architecture"])),
        }
        for network in front
    ]
    write_csv(directory / "front.csv", described)
    _show([*rows, reference])
    _draw(rows, front, directory / "front.svg")


def choose(found: Sequence[dict[str, Any]], budget: float) -> dict[str, Any] | None:
    """The best by the lower fit of those that use a budget; where none does, of those below it."""
    below = [network for network in found if network["mult_adds"] <= budget]
    inside = [network for network in below if network["mult_adds"] >= (1 - SLACK) * budget]
    return max(inside or below, key=lambda network: network["confirmed"], default=None)


def networks(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Every network that was evaluated, with its top-1 by each fit; "confirmed": by the lower."""
    results = [
        (outcome, result)
        for outcome in outcomes
        for result in outcome.results
        if result["error"] is None and result["duplicate_of"] is None
    ]
    architectures = [Architecture.from_dict(result["architecture"]) for _, result in results]
    predicted = {fit: top1(architectures, fit).mean.tolist() for fit in FITS}
    return [
        {
            "experiment": outcome.variant,
            "seed": outcome.seed,
            "trial": result["trial"],
            "accuracy": result["accuracy"],
            "mult_adds": result["mult_adds"],
            "architecture": architecture,
            **{fit: predicted[fit][n] for fit in FITS},
            "confirmed": min(predicted[fit][n] for fit in FITS),
        }
        for n, ((outcome, result), architecture) in enumerate(
            zip(results, architectures, strict=True)
        )
    ]


def pareto_front(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The networks that no other beats in confirmed accuracy for as many mult-adds or fewer."""
    front: list[dict[str, Any]] = []
    for network in sorted(found, key=lambda n: (n["mult_adds"], -n["confirmed"])):
        if not front or network["confirmed"] > front[-1]["confirmed"]:
            front.append(network)
    return front


def _row(name: str, architecture: Architecture) -> dict[str, Any]:
    cost = network_cost(architecture)
    top1 = {f"top1_{fit}": mean for fit, (mean, _) in predict(architecture).items()}
    return {"name": name, "mult_adds": cost.mult_adds, "params": cost.params, **top1}


def _show(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    heads = ("mult-adds", "of budget", "params", *(f"top-1, {fit}" for fit in FITS), "measured")
    for head in heads:
        table.add_column(head, justify="right")
    for row in rows:
        budget = int(row["name"].rstrip("M")) if "share" in row else 0
        table.add_row(
            row["name"],
            f"{row['mult_adds'] / 1e6:.1f}M",
            f"{row['share']:.1%}" if budget else "",
            f"{row['params'] / 1e6:.2f}M",
            *(f"{row[f'top1_{fit}']:.4f}" for fit in FITS),
            f"{BEST_MEASURED[budget][1]:.4f}" if budget in BEST_MEASURED else "",
        )
    console = Console(stderr=True, highlight=False)
    console.print(table)
    console.print("measured: the best of 4,623 trained networks that keep the budget")


def _draw(rows: Sequence[dict[str, Any]], front: Sequence[dict[str, Any]], path: Path) -> None:
    figure, axes = new_figure("Found for each budget", "mult-adds, M", "top-1 after 16 epochs")
    madds = [network["mult_adds"] / 1e6 for network in front]
    lower = [network["confirmed"] for network in front]
    axes.step(madds, lower, where="post", color="gray", lw=1, label="front, by the lower fit")
    reference = _row("efficientnet-b0", PUBLISHED["efficientnet-b0"])
    for fit in FITS:
        drawn = axes.scatter(
            [row["mult_adds"] / 1e6 for row in rows],
            [row[f"top1_{fit}"] for row in rows],
            label=f"exported, by {fit}",
        )
        axes.scatter(
            reference["mult_adds"] / 1e6,
            reference[f"top1_{fit}"],
            marker="*",
            s=120,
            color=drawn.get_facecolor(),
            label=f"{reference['name']}, by {fit}",
        )
    measured = list(BEST_MEASURED.values())
    axes.scatter(
        [madds for madds, _ in measured],
        [accuracy for _, accuracy in measured],
        marker="x",
        color="black",
        label="best measured",
    )
    axes.legend(frameon=False, fontsize="small")
    figure.savefig(path)


STUDY = Study(
    name="flop-budgets",
    takes="2 minutes on 2 cores",
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
