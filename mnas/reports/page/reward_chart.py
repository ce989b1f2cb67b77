"""Figures over the trials of one run: rewards with running best and batches; hypervolume."""

import math
from typing import Any

from mnas.analysis.front import Box
from mnas.experiment.results import Run
from mnas.reports.page.costs import CostAxis
from mnas.reports.page.curves import batches, best_so_far, bounded, hypervolume, steps
from mnas.reports.page.style import color

HEIGHT = 300
FEW, CROWD = 200, 2000  # trials whose marks are larger; smaller and fainter
DRAWN = 3000  # trials; of more, some are left out: each is an element of the page
# Room at the right for the names of lines, pixels.
LABELS = 92


def reward_chart(run: Run) -> dict[str, Any] | None:
    """Return the specification in Vega-Lite; None where no trial has a reward.

    Its dataset `trials` is that of `mnas.reports.page.trials`.
    """
    known = [bounded(result.reward) for result in run.results if result.error is None]
    if not known:
        return None
    low, high = min(known), max(known)
    margin = 0.05 * (high - low) or 0.05 * max(1.0, abs(low))
    rows, _ = batches(run)
    last = run.results[-1].trial
    best = steps([result.trial for result in run.results], best_so_far(run))
    scale = {"domain": [low - 1.5 * margin, high + margin], "nice": False, "zero": False}
    return {
        "height": HEIGHT,
        "layer": [
            _band(rows),
            _trials(len(run.results)),
            _failed(),
            _line(rows, "mean", color("accent"), "linear"),
            _line(best, "value", color("best"), "step-after"),
            *_names(rows, best),
        ],
        "encoding": {
            "x": trial_axis(last),
            "y": {
                "type": "quantitative",
                "scale": scale,
                "axis": {"title": "reward", "tickCount": 6},
            },
        },
    }


def spacing(count: int) -> int:
    """Return k, of which every k-th of so many trials is drawn."""
    return max(1, math.ceil(count / DRAWN))


def trial_axis(last: int) -> dict[str, Any]:
    """Return the horizontal axis of trials from 0 to `last`."""
    return {
        "field": "trial",
        "type": "quantitative",
        "scale": {"domain": [0, max(1, last)], "nice": False},
        "axis": {"title": "trial", "format": ",d", "tickMinStep": 1, "tickCount": 8},
    }


def _band(rows: list[dict[str, Any]]) -> dict[str, Any]:
    mark = {"type": "area", "color": color("accent"), "opacity": 0.16, "aria": False}
    return {
        "data": {"values": rows},
        "mark": mark,
        "encoding": {"y": {"field": "low"}, "y2": {"field": "high"}},
    }


def _trials(count: int) -> dict[str, Any]:
    """Return the layer of trials: filled, or hollow for duplicates, or triangles if stopped."""
    duplicate, stopped = "datum.status === 'duplicate'", "datum.status === 'stopped early'"
    size, opacity = (14, 0.45) if count < CROWD else (7, 0.3)
    if count < FEW:
        size, opacity = 36, 0.7
    mark = {"type": "point", "strokeWidth": 0.9}
    some = f"datum.trial % {spacing(count)} === 0"
    return {
        "data": {"name": "trials"},
        "transform": [{"filter": f"datum.status !== 'failed' && isValid(datum.reward) && {some}"}],
        "mark": mark | {"cursor": "pointer", "tooltip": {"content": "data"}, "aria": False},
        "encoding": {
            "y": {"field": "reward"},
            "fill": {
                "condition": {"test": duplicate, "value": "transparent"},
                "value": color("point"),
            },
            "shape": {"condition": {"test": stopped, "value": "triangle-down"}, "value": "circle"},
            "size": {"condition": {"test": stopped, "value": 2 * size}, "value": size},
            # Not `opacity`, which makes a group of each point: slow, and large when printed.
            "fillOpacity": {"value": opacity},
            "strokeOpacity": {"value": opacity},
            "stroke": {
                "condition": {"test": duplicate, "value": color("point")},
                "value": None,
            },
            "opacity": {"value": 1},
        },
    }


def _failed() -> dict[str, Any]:
    """Return the layer of failed trials: crosses on the axis, since they have no accuracy."""
    mark = {"type": "point", "shape": "cross", "size": 34, "angle": 45, "filled": True}
    return {
        "data": {"name": "trials"},
        "transform": [{"filter": "datum.status === 'failed'"}],
        "mark": mark | {"color": color("failed"), "tooltip": {"content": "data"}, "aria": False},
        "encoding": {"y": {"value": HEIGHT - 4}, "opacity": {"value": 0.9}},
    }


def _line(rows: list[dict[str, Any]], field: str, hue: str, interpolate: str) -> dict[str, Any]:
    mark = {"type": "line", "color": hue, "strokeWidth": 1.8, "interpolate": interpolate}
    return {
        "data": {"values": rows},
        "mark": mark | {"aria": False, "point": False},
        "encoding": {"y": {"field": field}},
    }


def _names(means: list[dict[str, Any]], best: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the names of both lines at their right ends."""
    found = []
    for rows, field, name, hue, baseline in (
        (best, "value", "best so far", color("best"), "bottom"),
        (means, "mean", "batch mean", color("accent"), "top"),
    ):
        if rows:
            end = {"trial": rows[-1]["trial"], "value": rows[-1][field], "name": name}
            mark = {"type": "text", "align": "left", "dx": 6, "color": hue, "baseline": baseline}
            found.append(
                {
                    "data": {"values": [end]},
                    "mark": mark | {"fontWeight": "bold", "aria": False},
                    "encoding": {"y": {"field": "value"}, "text": {"field": "name"}},
                }
            )
    return found


def hypervolume_chart(run: Run, axis: CostAxis, box: Box) -> dict[str, Any] | None:
    """Return the specification of the hypervolume over trials; None where it has no area."""
    curve = steps([result.trial for result in run.results], hypervolume(run, axis, box))
    if not curve:
        return None
    line = {"type": "line", "interpolate": "step-after", "strokeWidth": 1.8, "aria": False}
    return {
        "height": 130,
        "padding": {"left": 0, "top": 5, "bottom": 0, "right": LABELS},
        "data": {"values": curve},
        "mark": line | {"color": color("accent")},
        "encoding": {
            "x": trial_axis(run.results[-1].trial),
            "y": {
                "field": "value",
                "type": "quantitative",
                "scale": {"zero": False, "padding": 4},
                "axis": {"title": "hypervolume", "format": ".2f", "tickCount": 4},
            },
        },
    }
