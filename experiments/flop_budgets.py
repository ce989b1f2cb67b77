"""Baselines for other budgets: the most accurate network of at most 100M, 200M, ... 600M mult-adds.

    python search.py flop-budgets

EfficientNet-B0 was searched for one target, 400M. Here each budget has its own searches on the
ImageNet surrogate, with MnasNet's hard reward: mult-adds cost nothing up to the budget and
accuracy x budget / mult-adds above it. What is exported is the best that keeps the budget: a
network a little above it can have the higher reward.

Written beside the study's own files: 100M.json ... 600M.json (specs), budgets.csv, and front.svg.
"""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from controllers.dyna import Dyna
from experiments import b0_imagenet
from mnas.architecture import Architecture
from mnas.cost import network_cost
from mnas.loop import SearchConfig
from mnas.page import new_figure
from mnas.published import PUBLISHED
from mnas.reward import RewardConfig
from mnas.run import write_json
from mnas.spec import to_spec
from mnas.study import Outcome, Study
from mnas.surrogate import FITS, predict

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
    rows = []
    for variant, experiment in study.variants.items():
        budget = experiment.reward.target_madds
        own = [outcome for outcome in outcomes if outcome.variant == variant]
        found = best_within(budget, own)
        if found is None:
            continue
        seed, result = found
        architecture = Architecture.from_dict(result["architecture"]).replace(name=variant)
        provenance = {
            "experiment": study.name,
            "trial": result["trial"],
            "seed": seed,
            "reward": result["reward"],
            "accuracy": result["accuracy"],
        }
        write_json(directory / f"{variant}.json", to_spec(architecture, provenance))
        rows.append(_row(variant, architecture) | {"share": result["mult_adds"] / budget})
    if not rows:
        return
    reference = _row("efficientnet-b0", PUBLISHED["efficientnet-b0"])
    with open(directory / "budgets.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=rows[0])
        writer.writeheader()
        writer.writerows([*rows, reference])
    _show([*rows, reference])
    _draw(rows, reference, directory / "front.svg")


def best_within(budget: float, outcomes: Sequence[Outcome]) -> tuple[int, dict[str, Any]] | None:
    """(seed, result) of the highest accuracy among all results that cost no more than `budget`."""
    results = [
        (outcome.seed, result)
        for outcome in outcomes
        for result in outcome.results
        if result["error"] is None and result["mult_adds"] <= budget
    ]
    return max(results, key=lambda pair: pair[1]["accuracy"], default=None)


def _row(name: str, architecture: Architecture) -> dict[str, Any]:
    cost = network_cost(architecture)
    top1 = {f"top1_{fit}": mean for fit, (mean, _) in predict(architecture).items()}
    return {"name": name, "mult_adds": cost.mult_adds, "params": cost.params, **top1}


def _show(rows: Sequence[dict[str, Any]]) -> None:
    table = Table("budget", box=None, pad_edge=False)
    heads = ("mult-adds", "of the budget", "params", *(f"top-1, {fit}" for fit in FITS), "measured")
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


def _draw(rows: Sequence[dict[str, Any]], reference: dict[str, Any], path: Path) -> None:
    figure, axes = new_figure("Found for each budget", "mult-adds, M", "top-1 after 16 epochs")
    for fit in FITS:
        madds = [row["mult_adds"] / 1e6 for row in rows]
        (line,) = axes.plot(
            madds, [row[f"top1_{fit}"] for row in rows], marker="o", label=f"found, by {fit}"
        )
        axes.plot(
            reference["mult_adds"] / 1e6,
            reference[f"top1_{fit}"],
            marker="*",
            ms=12,
            ls="",
            color=line.get_color(),
            label=f"{reference['name']}, by {fit}",
        )
    measured = list(BEST_MEASURED.values())
    axes.scatter(
        [madds for madds, _ in measured],
        [top1 for _, top1 in measured],
        marker="x",
        color="black",
        label="best measured",
    )
    axes.legend(frameon=False)
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
