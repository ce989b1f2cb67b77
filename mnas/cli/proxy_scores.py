"""Scores of the networks of a table: evaluated by a proxy, or read from a file."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from mnas.analysis.proxy_quality import Score
from mnas.analysis.score_combination import standardised_mean
from mnas.architecture.cost import depth, network_cost
from mnas.architecture.network_table import TableRow, read_records
from mnas.engines.config import EngineConfig
from mnas.errors import UsageError, rejected, shown
from mnas.evaluation import CPU_SECONDS, ClassSource, DataDescription
from mnas.evaluators.standard_scores import accuracy_of
from mnas.experiment import network_list, run
from mnas.loop.records import ResultRecord
from mnas.loop.spending import spending
from mnas.reports.evaluation_progress import EvaluationProgress


def check_settings(seeds: int, scores: Sequence[str]) -> None:
    """Raise UsageError for a number of seeds with files of scores."""
    if scores and seeds != 1:
        raise rejected("proxy-quality", "seeds", seeds, "1 with --scores, which has its own")


def evaluated(
    rows: Sequence[TableRow],
    evaluator: Any,
    engine: EngineConfig,
    seeds: int,
    directory: Path,
    console: Console,
    space: Any = None,
    children: int = 1,
) -> list[Score | None]:
    """Evaluate the networks on the engine, or what is left of them; None for those that failed.

    The networks, and those of the search space, have as many classes as the evaluator's data. The
    cost of what evaluations share, a weight bank, is divided by `children`, those of a search.
    Raises as `mnas.experiment.network_list.evaluate`.
    """
    networks = [row.architecture for row in rows]
    classes = evaluator.data_classes() if isinstance(evaluator, ClassSource) else None
    if classes is not None:
        networks = [network.replace(classes=classes) for network in networks]
        if type(getattr(space, "classes", None)) is int:
            space = dataclasses.replace(space, classes=classes)
    run.check(network_list.experiment(networks, evaluator, engine, 0))
    line = evaluator.describe_data() if isinstance(evaluator, DataDescription) else None
    if line is not None:
        console.print(f"data: {line}", soft_wrap=True)
    with EvaluationProgress(console, len(networks) * seeds, "evaluations") as progress:
        results = network_list.evaluate(
            networks,
            evaluator,
            engine,
            seeds,
            directory / "journals",
            progress.observe,
            progress.resume,
            space,
            progress.prepare,
        )
    spent = spending(result.timings for of_seed in results for result in of_seed)
    if spent is not None and spent.shared:
        console.print(
            f"cost of the weight bank: {spent.shared:,.1f} CPU-seconds, divided by {children:,} "
            "children (--children)",
            soft_wrap=True,
        )
    shared = 0.0 if spent is None else spent.shared / children
    return [_score(of_network, shared) for of_network in zip(*results, strict=True)]


def _score(results: Sequence[ResultRecord], shared: float) -> Score | None:
    """Return the score of one network; None where an evaluation failed.

    A worker's seconds stand for CPU-seconds where the evaluator does not measure these; `shared`
    are added to those of each evaluation.
    """
    found = [result.accuracy for result in results if result.accuracy is not None]
    if len(found) < len(results):
        return None
    seconds = [result.timings.get(CPU_SECONDS, result.seconds) + shared for result in results]
    return Score(tuple(found), sum(seconds) or None)


def read_scores(path: Path, rows: Sequence[TableRow]) -> list[Score | None]:
    """Return the scores of a CSV file for the rows of a table, by name; None where it has none.

    Raises UsageError for malformed files, and names that are no row's or occur twice.
    """
    records = read_records(path)
    columns = list(records[0][1])
    of_seeds = [name for name in columns if name.startswith("score_")] or ["score"]
    if "name" not in columns or of_seeds[0] not in columns:
        raise UsageError(f"{path}: columns {shown(columns)}; accepted: name and score among them")
    found: dict[str, Score] = {}
    for line, record in records:
        where, name = f"{path}, line {line}", record["name"]
        if name in found:
            raise UsageError(f"{where}: {shown(name)} a second time; accepted: each network once")
        cost = _number(where, record, "cpu_seconds") if record.get("cpu_seconds") else None
        if cost is not None and cost <= 0:
            raise rejected(where, "cpu_seconds", cost, "a number above 0")
        found[name] = Score(tuple(_number(where, record, key) for key in of_seeds), cost)
    if not any(row.architecture.name in found for row in rows):
        name = rows[0].architecture.name
        raise UsageError(f"{path}: no network of the table; accepted: names such as {shown(name)}")
    return [found.get(row.architecture.name) for row in rows]


def combined_scores(paths: Sequence[Path], rows: Sequence[TableRow]) -> list[Score | None]:
    """Return the scores of a CSV file; of several files, one score for each network.

    It is their standardised mean, as the accuracy that it stands for in a search
    (`mnas.evaluators.standard_scores`). Raises as `read_scores` and `standardised_mean`.
    """
    files = [read_scores(path, rows) for path in paths]
    if len(files) == 1:
        return files[0]
    return [
        score and Score((accuracy_of(score.mean),), score.cpu_seconds)
        for score in standardised_mean(files, [str(path) for path in paths])
    ]


def _number(where: str, record: dict[str, str], column: str) -> float:
    try:
        value = float(record[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise rejected(where, column, record[column], "a number")
    return value


def score_records(rows: Sequence[TableRow], scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Return a row for each network, for CSV; `read_scores` reads them back."""
    records = []
    for row, score in zip(rows, scores, strict=True):
        cost = network_cost(row.architecture)
        records.append(
            {
                "name": row.architecture.name,
                "accuracy": row.accuracy,
                "score": float(np.mean(score.seeds)),
                **{f"score_{n}": value for n, value in enumerate(score.seeds, start=1)},
                "cpu_seconds": score.cpu_seconds,
                "mult_adds": cost.mult_adds,
                "params": cost.params,
                "depth": depth(row.architecture),
            }
        )
    return records
