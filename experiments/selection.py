"""Selection of the exported network where accuracies are noisy: by what, and measured again or not.

Command   mnas search ablate-selection
          mnas search ablate-selection --seeds 3 --trials 60
Cost      10 minutes on 2 cores
Expect    Kendall's τ with the true accuracies rises from 0.49 to 0.69 by smoothing (random search);
          the exported networks gain 0.004 of reward by the model, or by measuring again
Results   docs/results/proxy.md

The ridge fit of the ImageNet surrogate is the truth. Searches see it with Gaussian noise as large
as the standard deviation over random networks. "again" measures the best 5 of the 100 networks 3
more times, which are 15 further evaluations. smoothing.csv has, for each variant, Kendall's τ of
the accuracies that a search measured with the true ones, and that of its smoothed accuracies
(`mnas.loop.smoothing`).
"""

import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from scipy import stats

from mnas.architecture.architecture import Architecture
from mnas.controllers.dyna import Dyna
from mnas.controllers.random_search import RandomSearch
from mnas.evaluation import Evaluator
from mnas.evaluators.noisy import NoisyConfig
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.experiment.study import Outcome, Study
from mnas.experiments import b0_imagenet
from mnas.files import write_csv
from mnas.loop.config import SearchConfig
from mnas.loop.selection import half_interval
from mnas.reports.terminal import plain_console

TRUE = SurrogateConfig(fit="ridge")
# Standard deviation of the true accuracies of random networks, in points.
NOISE_POINTS = 3.2
TRIALS, AGAIN, SEEDS_AGAIN = 100, 5, 3
CONTROLLERS = {"random": RandomSearch(), "dyna": Dyna()}


def finish(study: Study, outcomes: Sequence[Outcome], directory: Path) -> None:
    """Write smoothing.csv and print it."""
    true = TRUE.build()
    rows = [
        _row(variant, [taus(outcome, true) for outcome in outcomes if outcome.variant == variant])
        for variant in study.variants
    ]
    write_csv(directory / "smoothing.csv", rows)
    heads = ("variant", "searches", "τ, measured", "τ, smoothed", "gain")
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        cells = [f"{row[name]:.3f} ± {row[f'{name}_half_interval']:.3f}" for name in MEASURES]
        table.add_row(row["variant"], f"{row['searches']}", *cells)
    plain_console(width=120).print(table)


MEASURES = ("tau_measured", "tau_smoothed", "gain")


def taus(outcome: Outcome, true: Evaluator) -> tuple[float, float]:
    """Return Kendall's τ of measured and of smoothed accuracies of a search with the true ones."""
    results = outcome.run.ranking
    truth = [
        true(Architecture.from_dict(result.architecture), outcome.seed).accuracy
        for result in results
    ]
    smoothed = [outcome.run.smoothed[result.trial] for result in results]
    measured = [result.evaluation.accuracy for result in results]
    return _tau(measured, truth), _tau(smoothed, truth)


def _tau(scores: Sequence[float], truth: Sequence[float]) -> float:
    return float(stats.kendalltau(scores, truth).statistic)


def _row(variant: str, pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return means over searches with half of their 95% intervals; 0 for one search."""
    measured, smoothed = zip(*pairs, strict=True)
    gains = [after - before for before, after in pairs]
    row: dict[str, Any] = {"variant": variant, "searches": len(pairs)}
    for name, values in zip(MEASURES, (measured, smoothed, gains), strict=True):
        count = len(values)
        row[name] = statistics.fmean(values)
        row[f"{name}_half_interval"] = (
            half_interval(statistics.stdev(values), count) if count > 1 else 0.0
        )
    return row


STUDY = Study(
    name="ablate-selection",
    takes="10 minutes on 2 cores",
    expect="rewards gain 0.004 by the model or by measuring again; τ of 0.49 becomes 0.69",
    variants={
        f"{name}, {selection}{', again' if again else ''}": dataclasses.replace(
            b0_imagenet.EXPERIMENT,
            controller=controller,
            evaluator=NoisyConfig(TRUE, NOISE_POINTS),
            search=SearchConfig(
                trials=TRIALS,
                batch=10,
                selection=selection,
                remeasure=AGAIN if again else 0,
                remeasure_seeds=SEEDS_AGAIN,
            ),
        )
        for name, controller in CONTROLLERS.items()
        for selection in ("measured", "model")
        for again in (False, True)
    },
    seeds=20,
    marks=(TRIALS,),
    judge=TRUE,
    finish=finish,
)
