r"""Depth, width or resolution alone, or all three: EfficientNet's Figure 3 in small.

    python search.py scaling-dimensions                     one seed on the embedded digits
    python search.py scaling-dimensions --seed 1            another

A small network, and at 2, 4 and 8 times its mult-adds (as near as rounding lets them come: the
multiplier is searched for, `mnas.architecture.scaling.scale_to`) its scalings by one dimension alone and by the
formula. All are trained alike. Beside the run's own files: scaling.csv, scaling.svg;
`mnas.experiments.scaling_seeds` makes one such pair of several runs, seeds that is: mean and deviation.

The paper's finding (arXiv 1905.11946, Fig. 3 and Table 3; ImageNet, 350 epochs): every dimension
alone gains less and less, and compound scaling gains most for the same mult-adds.

The digits can't show that, but that all of it works: 8×8 pixels have nothing more to show at 24,
and a schedule of 8 epochs is too short for a network twelve times as deep. Measured, seed 0, in 1.6
minutes on 2 cores shared with others; base 0.917:

    scaled by    ×2      ×4      ×8
    depth        .910    .882    .927
    width        .955    .968    .977
    resolution   .827    .720    .622
    compound     .922    .935    .930

On photographs the curves end as the paper's do: 13 networks of 2.1M to 18M mult-adds, 12 epochs
over 7,000 images of Imagenette, of 64 pixels and brought to each network's own resolution, 2,469
held out.

    python search.py scaling-dimensions --evaluator.data.source imagenette64.npz \
        --space.base "r1_k3_s11_e1_i20_o20;r2_k3_s22_e4_i20_o28;r2_k3_s22_e4_i28_o52" \
        --space.resolution 32 --space.head 128 --space.divisor 4 \
        --space.alpha 1.1 --space.beta 1.15 --space.gamma 1.2 \
        --evaluator.data.validation 2469 --evaluator.data.train-images None \
        --evaluator.training.epochs 12 --evaluator.training.flip --evaluator.training.crop-padding 2

Two seeds, 26 and 31 minutes on 2 cores, with other work beside the second; mean and deviation of
the two, base 0.699 ± 0.007:

    scaled by    ×2             ×4             ×8
    depth        .682 ± .009    .680 ± .010    .663 ± .008
    width        .705 ± .006    .725 ± .005    .729 ± .003
    resolution   .735 ± .009    .760 ± .007    .754 ± .006
    compound     .700 ± .005    .735 ± .004    .764 ± .004

Each dimension alone has all but stopped gaining at ×8, or loses: deeper networks learn too slowly
for 12 epochs, pixels beyond the images' own 64 show nothing new. Compound scaling goes on, and is
ahead of all three at ×8 in both seeds (of resolution by .009 and .011; an accuracy is good to
.009). Unlike in the paper it is behind resolution at ×2 and ×4. α, β and γ lie between the points
of a grid search for this base that scale more than one dimension (`compound-scaling`, same flags,
and `--space.step 0.2`, 8 minutes, seed 0): (1.4, 1, 1.2) with .727, (1, 1.2, 1.2) with .713. Pixels
alone, (1, 1, 1.4), were first of its six points with .731, as they are here at ×2.

What is ahead depends on what the base lacks; the paper's was balanced by a search. From other
bases, seed 0, at ×8 (depth, width, resolution, compound), each with an α, β and γ of its own:

    Imagenette, 24 pixels, filters 24, 32, 64          .632   .691   .757   .753
    CIFAR-10 at its 32 pixels, filters 16, 24, 40      .595   .675   .638   .664
    CIFAR-10 at 16 pixels                              .501   .573   .649   .584
"""

import csv
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mnas.controllers.exhaustive import Exhaustive
from mnas.experiments.compound_scaling import EVALUATOR, TINY
from mnas.search_spaces.scaling import ScalingDimensionsSpace
from rich.console import Console
from rich.table import Table

from mnas.architecture.scaling import DIMENSIONS
from mnas.experiment.settings import Experiment
from mnas.loop.config import SearchConfig
from mnas.loop.search import Search
from mnas.reports.figures import new_figure
from mnas.reward import RewardConfig


class Row(NamedTuple):
    """One trained network: what it was scaled by, how far in nominal mult-adds, what came of it."""

    dimension: str
    factor: int
    seed: int
    resolution: int
    layers: int
    params: int
    mult_adds: int
    accuracy: float


def finish(search: Search, directory: Path) -> None:
    """Writes scaling.csv and scaling.svg of one run, and shows the table."""
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
    """scaling.csv with all rows, scaling.svg, and the table for people."""
    with open(directory / "scaling.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Row._fields)
        writer.writerows(rows)
    console = Console(stderr=True, highlight=False)
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
    _draw(rows, directory / "scaling.svg")
    console.print(f"written: {directory}/scaling.csv, scaling.svg")


def _at(rows: Sequence[Row], dimension: str, factor: int) -> list[Row]:
    return [row for row in rows if (row.dimension, row.factor) == (dimension, factor)]


def _cell(rows: Sequence[Row], base: int | None) -> str:
    if not rows:
        return "-"
    mean, deviation = _mean([row.accuracy for row in rows])
    spread = f" ± {deviation:.3f}" if len(rows) > 1 else ""
    return f"{mean:.3f}{spread}" + (f" (×{rows[0].mult_adds / base:.2f})" if base else "")


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation; 0 of one value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def _draw(rows: Sequence[Row], path: Path) -> None:
    seeds = len({row.seed for row in rows})
    title = f"Scaled by one dimension or by all, {seeds} seed{'s' if seeds > 1 else ''}"
    figure, axes = new_figure(title, "mult-adds, M", "accuracy on held-out images")
    for dimension in DIMENSIONS:
        factors = sorted({row.factor for row in rows if row.dimension == dimension})
        groups = [_at(rows, "base", 1), *(_at(rows, dimension, factor) for factor in factors)]
        groups = [group for group in groups if group]
        values = [_mean([r.accuracy for r in group]) for group in groups]
        axes.errorbar(
            [group[0].mult_adds / 1e6 for group in groups],
            [mean for mean, _ in values],
            [deviation for _, deviation in values] if seeds > 1 else None,
            marker="o",
            ms=4,
            capsize=2,
            lw=2.5 if dimension == "compound" else 1.2,
            label=dimension,
        )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.legend(frameon=False)
    figure.savefig(path)


EXPERIMENT = Experiment(
    name="scaling-dimensions",
    takes="3 minutes on 2 cores",
    expect="on the digits, width ahead; on photographs see the file",
    space=ScalingDimensionsSpace(base=TINY, resolution=12, classes=10, head=32, divisor=2),
    controller=Exhaustive(),
    evaluator=EVALUATOR,
    reward=RewardConfig(target_madds=200e3),
    search=SearchConfig(trials=None, batch=13),
    finish=finish,
)
