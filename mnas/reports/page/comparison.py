"""Several runs on one page: runs of one experiment as a mean with its band, others beside it."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from mnas.analysis.front import Box
from mnas.analysis.intervals import mean_band
from mnas.experiment import sessions
from mnas.experiment.results import Run
from mnas.reports.page.chart import Chart
from mnas.reports.page.costs import CostAxis
from mnas.reports.page.curves import best_so_far, box_of, hypervolume
from mnas.reports.page.front_chart import front_results
from mnas.reports.page.lines import (
    GREY,
    INTERVAL,
    NAMES,
    band_rows,
    colored,
    domain_of,
    grey_first,
    hue,
    key_of,
    label,
    line_layers,
    name_layers,
    padding,
    thinned,
)
from mnas.reports.page.reward_chart import trial_axis
from mnas.reports.page.style import SERIES
from mnas.reports.text import duration, named_path

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
        group if names.count(group.name) == 1 else Group(_with_directory(group), group.entries)
        for group in named
    ]


def _with_directory(group: Group) -> str:
    """Return the name of a group with that of its first run's directory."""
    directory = Path(named_path(group.entries[0][0].directory))
    return f"{group.name} ({directory.name})"


def summary(entries: Sequence[Entry]) -> tuple[list[str], list[list[str]]]:
    """Return heads and rows of a table of the runs and their best networks."""
    heads = ["run", "trials", "best reward", "accuracy", "mult-adds, M", "params, M", "time"]
    rows = []
    for run, _ in entries:
        best, seconds = run.best, sessions.seconds(run)
        row = [f"{run.experiment_name} ({named_path(run.directory)})", f"{len(run.results):,}"]
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
    numbers = colored([fmean(r.best.reward for r, _ in g.entries if r.best) for g in ready])
    same_cost = len({axis.kind for group in ready for _, axis in group.entries}) == 1
    if ready and same_cost:
        found.append(_fronts(ready, numbers))
    for name, title, curve in _measures(ready, same_cost):
        if (drawn := _curves(ready, numbers, curve, name)) is not None:
            body, key = drawn
            file = name.replace(" ", "-")
            described = _description(body["layer"], name)
            found.append(Chart(file, title, _caption(ready), described, body, key=key))
    return found


def _description(layers: Sequence[dict[str, Any]], name: str) -> str:
    """Return where the named lines end, in words."""
    ends = [layer["data"]["values"][0] for layer in layers if "text" in layer["encoding"]]
    return f"Mean {name} at the end: " + ", ".join(f"{e['value']:.4g} of {e['name']}" for e in ends)


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
    many = f" {GREY}" if len(ready) > SERIES else ""
    if all(len(group.entries) == 1 for group in ready):
        return f"One run of each experiment: no intervals.{many}"
    return (
        "Mean over the n runs of an experiment, as far as all go, with its 95% interval "
        f"({INTERVAL}). Wide bands are cut off.{many}"
    )


def _curves(
    ready: Sequence[Group],
    numbers: Sequence[int | None],
    curve: Callable[[Entry], np.ndarray],
    name: str,
) -> tuple[dict[str, Any], tuple[tuple[str, str], ...]] | None:
    """Return (lines with bands, key of their names); None where no run has a value."""
    layers, ends, shown = [], [], []
    for group, number in grey_first(ready, numbers):
        values = [curve(entry) for entry in group.entries]
        length = min(map(len, values))
        table = np.array([each[:length] for each in values])
        first = int(np.argmax(np.isfinite(table).all(0))) if length else 0
        places = thinned(first, length)
        mean, half = mean_band(table[:, places])
        if not np.isfinite(mean).all():
            continue
        rows = band_rows("trial", places.tolist(), mean, half)
        layers += line_layers(rows, number, len(values) > 1, len(ready))
        n = f", n = {len(values)}" if len(values) > 1 else ""
        ends.append({**rows[-1], "name": f"{label(group.name)}{n}", "number": number})
        late = [row for row in rows if row["trial"] >= length // 20]
        shown += [row["value"] for row in late]
    if not ends:
        return None
    # By the means: the intervals of few runs are far wider than the differences.
    several = any(len(group.entries) > 1 for group in ready)
    domain = domain_of(shown, 0.3 if several else 0.06)
    names = [end["name"] for end in ends if end["number"] is not None]
    body = {
        "height": 280,
        "padding": padding(names),
        "layer": [*layers, *name_layers(ends, "trial", domain)],
        "encoding": {
            "x": trial_axis(max(end["trial"] for end in ends)),
            "y": {
                "type": "quantitative",
                "scale": {"domain": domain, "nice": False, "zero": False},
                "axis": {"title": name, "tickCount": 6},
            },
        },
    }
    return body, key_of(ends)


def _fronts(ready: Sequence[Group], numbers: Sequence[int | None]) -> Chart:
    """Return the fronts of all runs, a line each, in the colour of their experiment."""
    axis = ready[0].entries[0][1]
    layers: list[dict[str, Any]] = []
    ends: list[dict[str, Any]] = []
    for group, number in grey_first(ready, numbers):
        for run, own in group.entries:
            rows = [
                {"cost": own.of_result(result), "accuracy": result.accuracy}
                for result in front_results(run, own)
            ]
            mark = {"type": "line", "interpolate": "step-after", "color": hue(number)}
            layers.append(
                {
                    "data": {"values": rows},
                    "mark": mark
                    | {"opacity": 0.8, "strokeWidth": 1.5, "aria": False}
                    | {"point": {"color": hue(number), "size": 18}},
                }
            )
        name = f"{label(group.name)}, n = {len(group.entries)}"
        ends.append({"name": name, "number": number})
    body = {
        "height": 320,
        "layer": [*layers, *_legend(ends)],
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
    caption += f" {GREY}" if len(ready) > SERIES else ""
    described = f"Lines of {', '.join(end['name'] for end in ends)}."
    key = key_of(ends)
    return Chart("fronts", "Fronts of all runs", caption, described, body, key=key)


def _legend(ends: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the names of the coloured lines in the lower right corner, which fronts leave free."""
    named = [end for end in ends if end["number"] is not None]
    return [
        {
            "name": f"{NAMES}{index}",
            "data": {"values": [{"name": end["name"]}]},
            "mark": {"type": "text", "align": "right", "color": hue(end["number"])}
            | {"fontWeight": "bold", "limit": 320, "aria": False},
            "encoding": {
                "text": {"field": "name"},
                "x": {"value": "width"},
                "y": {"value": 300 - 18 * (len(named) - index)},
            },
        }
        for index, end in enumerate(named)
    ]
