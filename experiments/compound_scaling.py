r"""Grid search for the coefficients α, β, γ of compound scaling, with α·β²·γ² ≈ 2.

Paper     step 1 of arXiv 1905.11946, section 3.3
Command   mnas search compound-scaling
          mnas search compound-scaling --space.step 0.05          a finer grid of 42 networks
          mnas search compound-scaling --space.base runs/digits-1 --space.resolution None \
              --space.head None --space.divisor 8                 the base is a search's result
          mnas scale runs/compound-scaling-1 --grid-search        the ranking, printed again
Cost      2 minutes on 2 cores
Expect    16 scalings of a tiny network, ranked in grid.csv; width ahead, resolution behind
Results   docs/results/scaling.md

Every point of the grid is evaluated once (`mnas.controllers.exhaustive`). The reward is
accuracy · (mult-adds / T)^-0.07, because rounding lets mult-adds vary by ±30% among points of the
same α·β²·γ²; `--reward.w 0` ranks by accuracy alone, `--space.constraint mult-adds` admits only
points of about twice the base's mult-adds. The base is tiny, 25 thousand mult-adds at 12 pixels:
larger networks all reach 97 to 99% on the digits. With a standard error of one point (600 held-out
images) the order of neighbours is not significant, and 8×8 digits gain nothing from resolution.
"""

from pathlib import Path

from rich.table import Table

from mnas.analysis.grid_ranking import ranked
from mnas.architecture.scaling import DIVISOR
from mnas.controllers.exhaustive import Exhaustive
from mnas.data.images import DataConfig
from mnas.evaluators.proxy import ProxyConfig
from mnas.experiment.settings import Experiment
from mnas.files import write_csv
from mnas.loop.config import SearchConfig
from mnas.loop.search import Search
from mnas.reports.terminal import plain_console
from mnas.reward import RewardConfig
from mnas.search_spaces.scaling import ScalingGridSpace
from mnas.training.config import TrainingConfig

TINY = "r2_k3_s11_e1_i8_o8;r2_k3_s22_e1_i8_o8;r2_k3_s22_e1_i8_o16"
EVALUATOR = ProxyConfig(
    data=DataConfig(source="digits", validation=600, train_images=900),
    training=TrainingConfig(epochs=8, calibration_batches=8, precision="auto"),
)
SHOWN_POINTS = 5


def finish(search: Search, directory: Path) -> None:
    """Write grid.csv, all points by rank, and print its first lines."""
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
    write_csv(directory / "grid.csv", rows)
    table = Table(
        "rank", "α", "β", "γ", "mult-adds", "accuracy", "reward", box=None, pad_edge=False
    )
    for row in rows[:SHOWN_POINTS]:
        table.add_row(
            f"{row['rank']}",
            *(f"{row[name]:.2f}" for name in ("alpha", "beta", "gamma")),
            f"{row['mult_adds']:,}",
            f"{row['accuracy']:.4f}",
            f"{row['reward']:.4f}",
        )
    console = plain_console(stderr=True)
    console.print(table)
    best = points[0].coefficients
    console.print(
        f"all {len(rows)} in {directory}/grid.csv; scale a network with: mnas scale SPEC --phi 2 "
        f"--alpha {best.alpha:g} --beta {best.beta:g} --gamma {best.gamma:g}"
        + ("" if grid.divisor == DIVISOR else f" --divisor {grid.divisor}"),
        soft_wrap=True,
    )


EXPERIMENT = Experiment(
    name="compound-scaling",
    takes="2 minutes on 2 cores",
    expect="16 scalings of a tiny network, ranked; width ahead, resolution behind",
    space=ScalingGridSpace(base=TINY, resolution=12, classes=10, head=32, divisor=2, step=0.1),
    controller=Exhaustive(),
    evaluator=EVALUATOR,
    reward=RewardConfig(target_madds=50e3),
    search=SearchConfig(trials=None, batch=6),
    finish=finish,
)
