"""Depth, width or resolution alone against compound scaling of all three.

Paper     arXiv 1905.11946, Figure 3 and Table 3 (ImageNet, 350 epochs): each dimension alone
          saturates, compound scaling gains most for the same mult-adds
Command   mnas search scaling-dimensions
          mnas search scaling-dimensions --seed 1
Cost      3 minutes on 2 cores
Expect    on the digits, width ahead: they have too few pixels and epochs for the paper's effect,
          which a longer run on photographs shows
Results   docs/results/scaling.md, with the command for photographs

A base network is scaled to 2, 4 and 8 times its mult-adds, as near as rounding permits
(`mnas.architecture.scaling.scale_to`), by one dimension and by the formula; all are trained alike.
The run's directory also gets scaling.csv and scaling.svg; `mnas.experiments.scaling_seeds` joins
those of several seeds.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from mnas.architecture.scaling import DIMENSIONS
from mnas.controllers.exhaustive import Exhaustive
from mnas.experiment.settings import Experiment
from mnas.experiments.compound_scaling import EVALUATOR, TINY
from mnas.files import write_csv
from mnas.loop.config import SearchConfig
from mnas.loop.search import Search
from mnas.reports.figures import default_style, new_figure, write_svg
from mnas.reports.terminal import plain_console
from mnas.reward import RewardConfig
from mnas.search_spaces.scaling import ScalingDimensionsSpace


class Row(NamedTuple):
    """One trained network.

    dimension   "base", one of `mnas.architecture.scaling.DIMENSIONS`
    factor      nominal multiple of the base's mult-adds
    accuracy    on held-out images
    """

    dimension: str
    factor: int
    seed: int
    resolution: int
    layers: int
    params: int
    mult_adds: int
    accuracy: float


def finish(search: Search, directory: Path) -> None:
    """Write scaling.csv and scaling.svg of one run, and print the table."""
    rows = []
    for number in sorted(search.results):
        result = search.results[number]
        if result.evaluation.error is not None:
            continue
        network = result.trial.architecture
        dimension, factor = search.space.decisions[0].choices[result.trial.decisions[0]]
        rows.append(
            Row(
                dimension,
                factor,
                search.config.seed,
                network.resolution,
                len(network.layers()),
                result.cost.params,
                result.cost.mult_adds,
                result.evaluation.accuracy,
            )
        )
    write(rows, directory)


def write(rows: Sequence[Row], directory: Path) -> None:
    """Write scaling.csv and scaling.svg of all rows into `directory`, and print the table."""
    write_csv(directory / "scaling.csv", [row._asdict() for row in rows])
    console = plain_console(stderr=True)
    if not rows:
        console.print("no network could be trained; see report.html")
        return
    base = next((row.mult_adds for row in rows if row.dimension == "base"), None)
    factors = sorted({row.factor for row in rows if row.dimension != "base"})
    table = Table("scaled by", *(f"×{factor}" for factor in factors), box=None, pad_edge=False)
    for dimension in DIMENSIONS:
        table.add_row(dimension, *(_cell(_at(rows, dimension, f), base) for f in factors))
    console.print(table)
    if base:
        accuracy = _cell(_at(rows, "base", 1), base)
        console.print(f"accuracy (mult-adds, of the base's {base:,}); base {accuracy}")
    _plot(rows, directory / "scaling.svg")
    console.print(f"written: {directory}/scaling.csv, scaling.svg")


def _at(rows: Sequence[Row], dimension: str, factor: int) -> list[Row]:
    return [row for row in rows if (row.dimension, row.factor) == (dimension, factor)]


def _cell(rows: Sequence[Row], base: int | None) -> str:
    if not rows:
        return "-"
    mean, standard_deviation = _mean_and_std([row.accuracy for row in rows])
    spread = f" ± {standard_deviation:.3f}" if len(rows) > 1 else ""
    return f"{mean:.3f}{spread}" + (f" (×{rows[0].mult_adds / base:.2f})" if base else "")


def _mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation, 0 for a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


@default_style()
def _plot(rows: Sequence[Row], path: Path) -> None:
    seeds = len({row.seed for row in rows})
    title = f"Single dimensions and compound scaling, {seeds} seed{'s' if seeds > 1 else ''}"
    figure, axes = new_figure(title, "mult-adds, M", "accuracy on held-out images")
    for dimension in DIMENSIONS:
        factors = sorted({row.factor for row in rows if row.dimension == dimension})
        groups = [_at(rows, "base", 1), *(_at(rows, dimension, factor) for factor in factors)]
        groups = [group for group in groups if group]
        values = [_mean_and_std([r.accuracy for r in group]) for group in groups]
        axes.errorbar(
            [group[0].mult_adds / 1e6 for group in groups],
            [mean for mean, _ in values],
            [std for _, std in values] if seeds > 1 else None,
            marker="o",
            ms=4,
            capsize=2,
            lw=2.5 if dimension == "compound" else 1.2,
            label=dimension,
        )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.legend(frameon=False)
    write_svg(path, figure)


EXPERIMENT = Experiment(
    name="scaling-dimensions",
    takes="3 minutes on 2 cores",
    expect="width ahead on the digits; for photographs see docs/results/scaling.md",
    space=ScalingDimensionsSpace(base=TINY, resolution=12, classes=10, head=32, divisor=2),
    controller=Exhaustive(),
    evaluator=EVALUATOR,
    reward=RewardConfig(target_madds=200e3),
    search=SearchConfig(trials=None, batch=13),
    finish=finish,
)
