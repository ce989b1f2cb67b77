"""Figure of the time of evaluations by phase, as far as the journal holds it."""

import math
from typing import Any

from mnas.experiment.results import Run
from mnas.reports.page.reward_chart import trial_axis
from mnas.reports.page.style import series

BARS = 60  # groups of trials
# Phases by the names of their timings, in seconds. The first three happen within the training.
WITHIN = {
    "compile_seconds": "compile",
    "trace_seconds": "trace",
    "cache_read_seconds": "read programs",
}
TRAIN, EVALUATE, REST = "train", "evaluate", "rest"
ORDER = (*WITHIN.values(), TRAIN, EVALUATE, REST)


def phases(seconds: float, timings: dict[str, float]) -> dict[str, float]:
    """Return the seconds of one evaluation by phase; their sum is at least `seconds`."""
    found = {name: max(0.0, timings.get(key, 0.0)) for key, name in WITHIN.items()}
    train = timings.get("train_seconds", 0.0)
    found[TRAIN] = max(0.0, train - sum(found.values()))
    found[EVALUATE] = max(0.0, timings.get("evaluate_seconds", 0.0))
    found[REST] = max(0.0, seconds - sum(found.values()))
    return found


def time_chart(run: Run) -> dict[str, Any] | None:
    """Return the specification in Vega-Lite; None where no evaluation has its time by phase."""
    timed = [result for result in run.results if result.timings.get("train_seconds", 0.0) > 0]
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
    present = [name for name in ORDER if any(row["phase"] == name for row in rows)]
    colors = [series(ORDER.index(name)) for name in present]
    return {
        "height": 220,
        "data": {"values": rows},
        "transform": [{"calculate": f"indexof({list(present)}, datum.phase)", "as": "place"}],
        "mark": {"type": "bar", "aria": False, "binSpacing": 1},
        "encoding": {
            "x": {**trial_axis(last + 1), "field": "first", "bin": {"binned": True, "step": size}},
            "x2": {"field": "end"},
            "y": {
                "field": "seconds",
                "type": "quantitative",
                "stack": "zero",
                "axis": {"title": None, "tickCount": 5},
            },
            "color": {
                "field": "phase",
                "type": "nominal",
                "scale": {"domain": present, "range": colors},
                "legend": {"title": None, "symbolType": "square", "columns": 3},
            },
            "order": {"field": "place"},
        },
    }
