r"""Depth, width or resolution alone, or all three: EfficientNet's Figure 3 in small.

    python search.py scaling-dimensions                     one seed on the embedded digits
    python search.py scaling-dimensions --seed 1            another
    python -m experiments.scaling_dimensions runs/scaling-dimensions-1 runs/scaling-dimensions-2

A small network, and at 2, 4 and 8 times its mult-adds (as near as rounding lets them come: the
multiplier is searched for, `mnas.scaling.scale_to`) its scalings by one dimension alone and by the
formula. All are trained alike. Beside the run's own files: scaling.csv, scaling.svg; the second
command puts several runs, seeds that is, into one such pair, mean and deviation.

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

On photographs: 13 networks of 2.1M to 17M mult-adds, 10 epochs over 8,000 images of CIFAR-10, at
their own 32 pixels. One seed in half an hour on 2 cores; α, β and γ are of a grid search for this
base (`compound-scaling` with the same flags and `--space.step 0.2`, 10,000 images, one seed):
(1, 1.4, 1) and (1, 1.2, 1.2) both reached .654 of six points, and the second is taken, as the first
is width alone.

    python search.py scaling-dimensions --evaluator.data.source cifar10.npz \
        --space.base "r1_k3_s11_e1_i16_o16;r2_k3_s22_e3_i16_o24;r2_k3_s11_e3_i24_o40" \
        --space.resolution 32 --space.head 128 --space.divisor 4 \
        --space.alpha 1 --space.beta 1.2 --space.gamma 1.2 \
        --evaluator.data.validation 5000 --evaluator.data.train-images 8000 \
        --evaluator.training.epochs 10 --evaluator.training.flip --evaluator.training.crop-padding 4

Measured so, seed 0; base 0.593, an accuracy good to 0.007:

    scaled by    ×2      ×4      ×8
    depth        .593    .610    .595
    width        .628    .647    .675
    resolution   .619    .640    .638
    compound     .612    .642    .664

As in the paper, depth and resolution alone stop gaining, and compound scaling is ahead of both at
×8. Unlike there, width alone is not behind it. From a base that sees the images at 16 pixels, with
strides of 8 in all, resolution alone was ahead: at ×8 depth .501, width .573, resolution .649,
compound .584 (10,000 images, the paper's α, β and γ). Perhaps what is ahead is what the base lacks,
here filters and there pixels; the paper's base was balanced by a search.
"""

import csv
import dataclasses
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import tyro
from rich.console import Console
from rich.table import Table

from controllers.exhaustive import Exhaustive
from experiments.compound_scaling import EVALUATOR, TINY
from mnas import run
from mnas.cli import parse, report_mistakes
from mnas.experiment import Experiment
from mnas.loop import Search, SearchConfig
from mnas.page import new_figure
from mnas.reward import RewardConfig
from mnas.scaling import DIMENSIONS
from search_spaces.scaling import ScalingDimensionsSpace


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


def read(path: Path) -> list[Row]:
    """The rows of a scaling.csv; ValueError where there is none."""
    try:
        with open(path, newline="") as file:
            lines = list(csv.DictReader(file))
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}") from None
    kinds = Row.__annotations__
    if any(set(line) != set(kinds) for line in lines):
        raise ValueError(f"{path}: {', '.join(lines[0])}; accepted: columns {', '.join(kinds)}")
    return [Row(**{name: kind(line[name]) for name, kind in kinds.items()}) for line in lines]


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
    axes.set_xscale("log")
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


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Several runs of scaling-dimensions, of different seeds, in one table and one plot."""

    directories: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Directories of runs."""
    out: str | None = None
    """Directory for scaling.csv and scaling.svg; a new one in runs where not given."""


def main(flags: list[str]) -> int:
    """Puts runs together."""
    chosen = parse(Arguments, "experiments.scaling_dimensions", flags, tyro.MISSING_NONPROP)
    if not chosen.directories:
        raise ValueError("no run named; accepted: one directory or more")
    rows = [row for name in chosen.directories for row in read(Path(name) / "scaling.csv")]
    given = chosen.out and Path(chosen.out)
    out = given or run.new_directory(Path("runs"), "scaling-dimensions-seeds")
    out.mkdir(parents=True, exist_ok=True)
    write(rows, out)
    return 0


if __name__ == "__main__":
    sys.exit(report_mistakes("experiments.scaling_dimensions", lambda: main(sys.argv[1:])))
