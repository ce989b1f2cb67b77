"""Several runs on one page: runs of one experiment as a mean with its band, others beside it."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnas.analysis.front import Box
from mnas.analysis.intervals import bootstrap_band
from mnas.experiment import sessions
from mnas.experiment.results import Run
from mnas.reports.page.chart import Chart
from mnas.reports.page.costs import CostAxis
from mnas.reports.page.curves import best_so_far, box_of, hypervolume
from mnas.reports.page.front_chart import front_results
from mnas.reports.page.reward_chart import LABELS, trial_axis
from mnas.reports.page.style import series
from mnas.reports.text import duration

POINTS = 300  # of a curve
SEPARATION = 0.07  # least distance of two labels, as a fraction of the axis
# Settings in which the runs of one experiment may differ.
FREE = ("seed", "trials", "selection")

Entry = tuple[Run, CostAxis]


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs of one experiment: equal settings but for the seed and the number of trials."""

    name: str
    entries: list[Entry]


def groups(entries: Sequence[Entry]) -> list[Group]:
    """Return the runs by experiment, in the order of their first runs, with different names."""
    found: dict[str, list[Entry]] = {}
    for run, axis in entries:
        settings = {**run.head.settings}
        search = settings.pop("search", {})
        settings["search"] = {key: value for key, value in search.items() if key not in FREE}
        key = json.dumps([run.experiment_name, settings], sort_keys=True, default=str)
        found.setdefault(key, []).append((run, axis))
    named = [Group(own[0][0].experiment_name, own) for own in found.values()]
    names = [group.name for group in named]
    return [
        group
        if names.count(group.name) == 1
        else Group(f"{group.name} ({Path(group.entries[0][0].directory).name})", group.entries)
        for group in named
    ]


def summary(entries: Sequence[Entry]) -> tuple[list[str], list[list[str]]]:
    """Return heads and rows of a table of the runs and their best networks."""
    heads = ["run", "trials", "best reward", "accuracy", "mult-adds, M", "params, M", "time"]
    rows = []
    for run, _ in entries:
        best, seconds = run.best, sessions.seconds(run)
        row = [f"{run.experiment_name} ({run.directory})", f"{len(run.results):,}"]
        row += (
            ["–"] * 4
            if best is None
            else [
                f"{best.reward:.4f}",
                "–" if best.accuracy is None else f"{100 * best.accuracy:.2f}%",
                f"{best.mult_adds / 1e6:.2f}",
                f"{best.params / 1e6:.2f}",
            ]
        )
        rows.append([*row, "–" if seconds is None else duration(seconds)])
    return heads, rows


def charts(entries: Sequence[Entry]) -> list[Chart]:
    """Return the figures that compare runs: fronts, best reward so far, hypervolume."""
    ready = [
        Group(group.name, own)
        for group in groups(entries)
        if (own := [(run, axis) for run, axis in group.entries if run.ranking])
    ]
    found = []
    same_cost = len({axis.kind for group in ready for _, axis in group.entries}) == 1
    if ready and same_cost:
        found.append(_fronts(ready))
    for name, title, curve in _measures(ready, same_cost):
        body = _curves(ready, curve, name)
        if body is not None:
            found.append(Chart(name.replace(" ", "-"), title, _caption(ready), "", body))
    return found


def _measures(
    ready: Sequence[Group], same_cost: bool
) -> list[tuple[str, str, Callable[[Entry], np.ndarray]]]:
    """Return (name, title, curve of a run) of the figures over trials."""
    found: list[tuple[str, str, Callable[[Entry], np.ndarray]]] = [
        ("best reward", "Best reward so far", lambda entry: best_so_far(entry[0]))
    ]
    box = box_of([entry for group in ready for entry in group.entries]) if same_cost else None
    if box is not None and box.area > 0:
        rectangle: Box = box
        found.append(
            (
                "hypervolume",
                "Hypervolume of the front, in the rectangle around all runs",
                lambda entry: hypervolume(*entry, rectangle),
            )
        )
    return found


def _caption(ready: Sequence[Group]) -> str:
    if all(len(group.entries) == 1 for group in ready):
        return "One run of each experiment: no intervals."
    return (
        "Mean over the n runs of an experiment, as far as all go, with the 95% interval of the "
        "mean by bootstrap over runs."
    )


def _curves(
    ready: Sequence[Group], curve: Callable[[Entry], np.ndarray], name: str
) -> dict[str, Any] | None:
    """Return lines with bands; None where no run has a value."""
    layers, ends, shown, last = [], [], [], 1
    for index, group in enumerate(ready):
        values = [curve(entry) for entry in group.entries]
        length = min(map(len, values))
        table = np.array([each[:length] for each in values])
        first = int(np.argmax(np.isfinite(table).all(0))) if length else 0
        places = np.unique(np.linspace(first, length - 1, min(length, POINTS)).astype(int))
        mean, low, high = bootstrap_band(table[:, places])
        if not np.isfinite(mean).all():
            continue
        rows = [
            {"trial": int(place), "value": _short(m), "low": _short(lo), "high": _short(hi)}
            for place, m, lo, hi in zip(places, mean, low, high, strict=True)
        ]
        layers += _line(rows, index, len(group.entries) > 1)
        n = f", n = {len(values)}" if len(values) > 1 else ""
        ends.append({**rows[-1], "name": f"{group.name}{n}", "index": index})
        shown += [
            v for row in rows if row["trial"] >= length // 20 for v in (row["low"], row["high"])
        ]
        last = max(last, length - 1)
    if not ends:
        return None
    least, most = min(shown), max(shown)
    margin = 0.06 * (most - least) or 0.05 * max(1.0, abs(least))
    domain = [least - margin, most + margin]
    return {
        "height": 280,
        "padding": {"left": 0, "top": 5, "bottom": 0, "right": LABELS if len(ends) > 1 else 0},
        "layer": [*layers, *_names(ends, domain)],
        "encoding": {
            "x": trial_axis(last),
            "y": {
                "type": "quantitative",
                "scale": {"domain": domain, "nice": False, "zero": False},
                "axis": {"title": name, "tickCount": 6},
            },
        },
    }


def _line(rows: list[dict[str, Any]], index: int, has_band: bool) -> list[dict[str, Any]]:
    data = {"values": rows}
    area = {"type": "area", "color": series(index), "opacity": 0.18, "clip": True, "aria": False}
    line = {"type": "line", "color": series(index), "strokeWidth": 1.8, "clip": True}
    band = {
        "data": data,
        "mark": area,
        "encoding": {"y": {"field": "low"}, "y2": {"field": "high"}},
    }
    return [
        *([band] if has_band else []),
        {"data": data, "mark": line | {"aria": False}, "encoding": {"y": {"field": "value"}}},
    ]


def _names(ends: list[dict[str, Any]], domain: Sequence[float]) -> list[dict[str, Any]]:
    """Return a name at the end of each line, kept apart by `SEPARATION`."""
    least, layers = SEPARATION * (domain[1] - domain[0]), []
    below = domain[0] - least
    for end in sorted(ends, key=lambda end: end["value"]):
        place = max(end["value"], below + least)
        below = place
        mark = {"type": "text", "align": "left", "dx": 6, "color": series(end["index"])}
        row = {"trial": end["trial"], "place": place, "name": end["name"]}
        layers.append(
            {
                "data": {"values": [row]},
                "mark": mark | {"fontWeight": "bold", "aria": False, "limit": 220},
                "encoding": {"y": {"field": "place"}, "text": {"field": "name"}},
            }
        )
    return layers


def _fronts(ready: Sequence[Group]) -> Chart:
    """Return the fronts of all runs, a line each, in the colour of their experiment."""
    axis = ready[0].entries[0][1]
    layers, legend = [], []
    for index, group in enumerate(ready):
        for run, own in group.entries:
            rows = [
                {"cost": own.of_result(result), "accuracy": result.accuracy}
                for result in front_results(run, own)
            ]
            mark = {"type": "line", "interpolate": "step-after", "color": series(index)}
            layers.append(
                {
                    "data": {"values": rows},
                    "mark": mark
                    | {"opacity": 0.8, "strokeWidth": 1.5, "aria": False}
                    | {"point": {"color": series(index), "size": 18}},
                }
            )
        legend.append(f"{group.name}, n = {len(group.entries)}")
    names = [
        {
            "data": {"values": [{"name": name}]},
            "mark": {"type": "text", "align": "right", "color": series(index), "aria": False}
            | {"fontWeight": "bold", "limit": 320},
            "encoding": {
                "text": {"field": "name"},
                "x": {"value": "width"},
                "y": {"value": 300 - 18 * (len(legend) - index)},
            },
        }
        for index, name in enumerate(legend)
    ]
    body = {
        "height": 320,
        "layer": [*layers, *names],
        "encoding": {
            "x": {
                "field": "cost",
                "type": "quantitative",
                "scale": {"zero": False},
                "axis": {"title": axis.title, "tickCount": 8},
            },
            "y": {
                "field": "accuracy",
                "type": "quantitative",
                "scale": {"zero": False},
                "axis": {"title": "top-1 accuracy", "format": ".1%", "tickCount": 6},
            },
        },
    }
    caption = "Non-dominated networks of every run; runs of one experiment have one colour."
    return Chart("fronts", "Fronts of all runs", caption, ", ".join(legend), body)


def _short(value: float) -> float:
    return float(f"{value:.6g}")
