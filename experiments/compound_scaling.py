r"""The grid search of compound scaling: which (α, β, γ) with α·β²·γ² ≈ 2 scale a network best.

    python search.py compound-scaling
    python search.py compound-scaling --space.step 0.05         a finer grid, 42 networks
    python search.py compound-scaling --space.base runs/digits-1 --space.resolution None \
        --space.head None --space.divisor 8                     from a network that was found
    python search.py compound-scaling --space.base efficientnet-b0 --space.resolution 32 \
        --space.head None --space.divisor 8 --evaluator.data.source cifar10.npz
    mnas scale runs/compound-scaling-1 --grid-search            the ranking again

Step 1 of arXiv 1905.11946, section 3.3, as a search like any other: every point of the grid once
(`mnas.controllers.exhaustive`), by any evaluator, on any engine, resumed by `--resume`. Images come at
the resolution that the point asks for, γ times the base's. Beside the run's own files: grid.csv,
all points by rank.

The reward is the project's usual one, accuracy · (mult-adds / T)^-0.07: layers, filters and pixels
are rounded, so points of one α·β²·γ² differ in mult-adds, here by ±30%, and by accuracy alone the
largest would win. (T moves no rank.) `--reward.w 0` is accuracy alone, `mnas rescore` changes it
afterwards, `--space.constraint mult-adds` has only points of about twice the base's mult-adds.

What the default can show. The digits are 8×8 pixels and easy: networks of 0.1M mult-adds and more
all reach 97 to 99%, and differ by luck. So the base is tiny, 25 thousand mult-adds at 12 pixels;
with that, capacity matters. 600 images are held out, so that accuracies are good to about a point,
and ranks among neighbours mean nothing. Pixels beyond 8 show nothing new of a digit: that γ is
worth nothing here says nothing of photographs.

Measured on 2 cores that were shared with others, seed 0: 1.8 minutes from a cold compilation cache.
First (1.0, 1.4, 1.0), accuracy 0.938 (the base has 0.917), then (1.0, 1.3, 1.1), (1.4, 1.2, 1.0)
and (1.2, 1.3, 1.0), within half a point of each other.
"""

import csv
from pathlib import Path

from mnas.controllers.exhaustive import Exhaustive
from mnas.search_spaces.scaling import ScalingGridSpace
from rich.console import Console
from rich.table import Table

from mnas.analysis.grid_ranking import ranked
from mnas.architecture.scaling import DIVISOR
from mnas.data.images import DataConfig
from mnas.evaluators.proxy import ProxyConfig
from mnas.experiment.settings import Experiment
from mnas.loop.config import SearchConfig
from mnas.loop.search import Search
from mnas.reward import RewardConfig
from mnas.training.config import TrainingConfig

TINY = "r2_k3_s11_e1_i8_o8;r2_k3_s22_e1_i8_o8;r2_k3_s22_e1_i8_o16"
EVALUATOR = ProxyConfig(
    data=DataConfig(source="digits", validation=600, train_images=900),
    training=TrainingConfig(epochs=8, calibration_batches=8),
)
SHOWN = 5


def finish(search: Search, directory: Path) -> None:
    """Writes grid.csv and shows its first lines."""
    grid, points = ranked(directory)
    rows = [
        {
            "rank": point.row.rank,
            **point.coefficients._asdict(),
            "product": point.coefficients.product,
            "resolution": search.results[point.row.trial].trial.architecture.resolution,
            "params": point.row.params,
            "mult_adds": point.row.mult_adds,
            "accuracy": point.row.accuracy,
            "reward": point.row.reward,
            "trial": point.row.trial,
        }
        for point in points
    ]
    with open(directory / "grid.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=rows[0])
        writer.writeheader()
        writer.writerows(rows)
    table = Table(
        "rank", "α", "β", "γ", "mult-adds", "accuracy", "reward", box=None, pad_edge=False
    )
    for row in rows[:SHOWN]:
        table.add_row(
            f"{row['rank']}",
            *(f"{row[name]:.2f}" for name in ("alpha", "beta", "gamma")),
            f"{row['mult_adds']:,}",
            f"{row['accuracy']:.4f}",
            f"{row['reward']:.4f}",
        )
    console = Console(stderr=True, highlight=False)
    console.print(table)
    best = points[0].coefficients
    console.print(
        f"all {len(rows)} in {directory}/grid.csv; scale on with: mnas scale SPEC --phi 2 "
        f"--alpha {best.alpha:g} --beta {best.beta:g} --gamma {best.gamma:g}"
        + ("" if grid.divisor == DIVISOR else f" --divisor {grid.divisor}"),
        soft_wrap=True,
    )


EXPERIMENT = Experiment(
    name="compound-scaling",
    takes="2 minutes on 2 cores",
    expect="16 scalings of a tiny network, ranked; width ahead, pixels behind",
    space=ScalingGridSpace(base=TINY, resolution=12, classes=10, head=32, divisor=2, step=0.1),
    controller=Exhaustive(),
    evaluator=EVALUATOR,
    reward=RewardConfig(target_madds=50e3),
    search=SearchConfig(trials=None, batch=6),
    finish=finish,
)
