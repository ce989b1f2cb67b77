"""Figures of the time of evaluations by phase and by worker, as far as the journal holds it."""

import math
from typing import Any

from mnas.experiment import sessions
from mnas.experiment.results import Run
from mnas.loop.records import WORKER, ResultRecord
from mnas.reports.page.reward_chart import trial_axis
from mnas.reports.page.style import color, series

BARS = 60  # groups of trials
# Phases by the names of their timings, in seconds. The first three happen within the training.
WITHIN = {
    "compile_seconds": "compile",
    "trace_seconds": "trace",
    "cache_read_seconds": "read programs",
}
TRAIN, EVALUATE, REST = "train", "evaluate", "rest"
ORDER = (*WITHIN.values(), TRAIN, EVALUATE, REST)
WAIT = "wait"
MOST_WORKERS = 64  # rows of the figure


def phases(seconds: float, timings: dict[str, float]) -> dict[str, float]:
    """Return the seconds of one evaluation by phase; their sum is at least `seconds`."""
    found = {name: max(0.0, timings.get(key, 0.0)) for key, name in WITHIN.items()}
    train = timings.get("train_seconds", 0.0)
    found[TRAIN] = max(0.0, train - sum(found.values()))
    found[EVALUATE] = max(0.0, timings.get("evaluate_seconds", 0.0))
    found[REST] = max(0.0, seconds - sum(found.values()))
    return found


def time_chart(run: Run) -> dict[str, Any] | None:
    """Return the time over trials in Vega-Lite; None where no evaluation has its time by phase."""
    timed = _timed(run)
    if not timed:
        return None
    last = run.results[-1].trial
    size = max(1, math.ceil((last + 1) / BARS))
    sums: dict[tuple[int, str], float] = {}
    for result in timed:
        for name, seconds in phases(result.seconds, result.timings).items():
            key = result.trial // size, name
            sums[key] = sums.get(key, 0.0) + seconds
    rows = [
        {
            "first": group * size,
            "end": (group + 1) * size,
            "phase": name,
            "seconds": round(value, 3),
        }
        for (group, name), value in sorted(sums.items())
        if value > 0
    ]
    stacked = _stacked(rows, "y")
    return {
        "height": 220,
        "mark": {"type": "bar", "aria": False, "binSpacing": 1},
        **stacked,
        "encoding": {
            "x": {**trial_axis(last + 1), "field": "first", "bin": {"binned": True, "step": size}},
            "x2": {"field": "end"},
            **stacked["encoding"],
        },
    }


def worker_chart(run: Run) -> dict[str, Any] | None:
    """Return the time by worker in Vega-Lite; None where fewer than two workers are recorded.

    What is left of the wall-clock time of the run's sessions is waiting: for the first child, while
    others end a batch, and in the place of a lost worker.
    """
    timed = [result for result in _timed(run) if WORKER in result.timings]
    workers = sorted({int(result.timings[WORKER]) for result in timed})
    wall = sessions.seconds(run)
    if len(workers) < 2 or wall is None:
        return None
    rows = []
    for worker in workers[:MOST_WORKERS]:
        sums = dict.fromkeys((*ORDER, WAIT), 0.0)
        for result in timed:
            if int(result.timings[WORKER]) == worker:
                for name, seconds in phases(result.seconds, result.timings).items():
                    sums[name] += seconds
        sums[WAIT] = max(0.0, wall - sum(sums.values()))
        rows += [
            {"worker": f"worker {worker}", "phase": name, "seconds": round(value, 3)}
            for name, value in sums.items()
            if value > 0
        ]
    names = list(dict.fromkeys(row["worker"] for row in rows))
    axis = {"title": None, "ticks": False, "domain": False}
    stacked = _stacked(rows, "x")
    return {
        "height": 26 * len(names),
        "mark": {"type": "bar", "aria": False},
        **stacked,
        "encoding": {
            "y": {"field": "worker", "type": "nominal", "sort": names, "axis": axis},
            **stacked["encoding"],
        },
    }


def _timed(run: Run) -> list[ResultRecord]:
    return [result for result in run.results if result.timings.get("train_seconds", 0.0) > 0]


def _stacked(rows: list[dict[str, Any]], channel: str) -> dict[str, Any]:
    """Return data and encoding of bars of `seconds` along a channel, stacked by `phase`."""
    present = [name for name in (*ORDER, WAIT) if any(row["phase"] == name for row in rows)]
    colors = [color("rule") if name == WAIT else series(ORDER.index(name)) for name in present]
    title = None if channel == "y" else "seconds"
    return {
        "data": {"values": rows},
        "transform": [{"calculate": f"indexof({present}, datum.phase)", "as": "place"}],
        "encoding": {
            channel: {
                "field": "seconds",
                "type": "quantitative",
                "stack": "zero",
                "axis": {"title": title, "tickCount": 5},
            },
            "color": {
                "field": "phase",
                "type": "nominal",
                "scale": {"domain": present, "range": colors},
                "legend": {"title": None, "symbolType": "square", "columns": 4},
            },
            "order": {"field": "place"},
        },
    }
