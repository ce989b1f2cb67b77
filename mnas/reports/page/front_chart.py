"""Figure of accuracy against cost: trials, front, published networks, curves of equal reward."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mnas.analysis.front import non_dominated
from mnas.architecture.architecture import Architecture
from mnas.architecture.published import PUBLISHED
from mnas.experiment.results import Run
from mnas.loop.records import ResultRecord
from mnas.loop.selection import candidates
from mnas.reports.page.accuracies import Accuracies
from mnas.reports.page.costs import CostAxis
from mnas.reports.page.curves import bounded
from mnas.reports.page.head import Pair, resized
from mnas.reports.page.style import color

HEIGHT = 420
LEVELS = 10  # curves of equal reward
_SAMPLES = 60  # points of such a curve
_STAR = (
    "M0,-1L0.26,-0.36L0.95,-0.31L0.42,0.14L0.59,0.81L0,0.44L-0.59,0.81L-0.42,0.14L-0.95,-0.31"
    "L-0.26,-0.36Z"
)
# Width of a label of a published network as a fraction of the figure's, for their rows.
_LABEL_WIDTH = 0.17


@dataclasses.dataclass(frozen=True)
class Frame:
    """Ranges of the axes, with a margin around the trials."""

    left: float
    right: float
    bottom: float
    top: float

    def holds(self, cost: float) -> bool:
        """Return whether a cost lies within the axis."""
        return self.left <= cost <= self.right


def front_results(run: Run, axis: CostAxis) -> list[ResultRecord]:
    """Return the non-dominated results of a run, by rising cost."""
    known = [
        result
        for result in candidates(run.results)
        if axis.of_result(result) is not None and result.accuracy is not None
    ]
    costs = [axis.of_result(result) or 0.0 for result in known]
    return [known[index] for index in non_dominated(costs, [r.accuracy or 0.0 for r in known])]


def front_chart(
    run: Run, networks: Pair, axis: CostAxis, accuracies: Accuracies
) -> dict[str, Any] | None:
    """Return the specification in Vega-Lite; None where no trial has a cost and an accuracy.

    Its dataset `trials` is that of `mnas.reports.page.trials`.
    """
    front = front_results(run, axis)
    points = [
        (axis.of_result(result), result.accuracy)
        for result in candidates(run.results)
        if axis.of_result(result) is not None and result.accuracy is not None
    ]
    if not front:
        return None
    frame = _frame(points)
    published = list(_published(networks.best, axis, accuracies, frame))
    layers = [
        *_iso_layers(axis, frame),
        *_target_layers(axis, frame),
        _trial_layer(),
        *_front_layers(front, axis),
        *_published_layers(published),
        *_best_layers(networks, axis, accuracies),
    ]
    domain = {"domain": [frame.left, frame.right], "nice": False, "zero": False}
    vertical = {"domain": [frame.bottom, frame.top], "nice": False, "zero": False}
    return {
        "height": HEIGHT,
        "layer": layers,
        "encoding": {
            "x": {
                "field": "cost",
                "type": "quantitative",
                "scale": domain,
                "axis": {"title": axis.title, "grid": False, "tickCount": 8},
            },
            "y": {
                "field": "accuracy",
                "type": "quantitative",
                "scale": vertical,
                "axis": {"title": "top-1 accuracy", "format": ".1%", "tickCount": 6},
            },
        },
    }


def _frame(points: Sequence[tuple[float | None, float | None]]) -> Frame:
    costs = [bounded(cost) for cost, _ in points if cost is not None]
    accuracies = [bounded(accuracy) for _, accuracy in points if accuracy is not None]
    sides = []
    for values, before, after in ((costs, 0.04, 0.06), (accuracies, 0.05, 0.14)):
        width = max(values) - min(values) or max(0.02, abs(values[0]) * 0.2)
        sides += [min(values) - before * width, max(values) + after * width]
    return Frame(*sides)


def _data(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"values": list(rows)}


def _trial_layer() -> dict[str, Any]:
    """Return the layer of all trials but duplicates, which lie on the first of their kind."""
    stopped = "datum.status === 'stopped early'"
    return {
        "data": {"name": "trials"},
        "transform": [
            {"filter": "datum.status === 'complete' || datum.status === 'stopped early'"},
            {"filter": "isValid(datum.accuracy) && isValid(datum.cost)"},
        ],
        "mark": {
            "type": "point",
            "size": 30,
            "strokeWidth": 1,
            "cursor": "pointer",
            "tooltip": {"content": "data"},
            "aria": False,
        },
        "encoding": {
            "fill": {
                "condition": {"test": stopped, "value": "transparent"},
                "value": color("point"),
            },
            "stroke": {
                "condition": {"test": stopped, "value": color("point")},
                "value": None,
            },
            # Not `opacity`, which makes a group of each point: slow, and large when printed.
            "fillOpacity": {"value": 0.45},
            "opacity": {"value": 1},
        },
    }


def _front_layers(front: Sequence[ResultRecord], axis: CostAxis) -> list[dict[str, Any]]:
    rows = [
        {
            "trial": r.trial,
            "cost": bounded(axis.of_result(r) or 0),
            "accuracy": bounded(r.accuracy or 0),
        }
        for r in front
    ]
    line = {"type": "line", "interpolate": "step-after", "color": color("accent")}
    dot = {"type": "point", "filled": True, "size": 46, "color": color("accent"), "opacity": 1}
    pointer = {"cursor": "pointer", "tooltip": {"content": "data"}, "aria": False}
    return [
        {"data": _data(rows), "mark": line | {"strokeWidth": 1.8, "aria": False}},
        {"data": _data(rows), "mark": dot | pointer},
    ]


def _best_layers(networks: Pair, axis: CostAxis, accuracies: Accuracies) -> list[dict[str, Any]]:
    """Return star and label of the best network, with the interval of its accuracy if known."""
    cost = axis.of_result(networks.result)
    known = accuracies.of_result(networks.result, networks.best)
    if cost is None or known is None:
        return []
    row = {"trial": networks.result.trial, "cost": cost, "accuracy": known.value, "text": "best"}
    mark = {"type": "point", "shape": _STAR, "size": 130, "filled": True, "color": color("best")}
    label = {"type": "text", "dy": -15, "color": color("best"), "fontWeight": "bold"}
    layers = [
        {
            "data": _data([row]),
            "mark": mark
            | {"opacity": 1, "cursor": "pointer", "tooltip": {"content": "data"}}
            | {"stroke": color("ground"), "strokeWidth": 0.8, "aria": False},
        },
        {"data": _data([row]), "mark": label, "encoding": {"text": {"field": "text"}}},
    ]
    if known.low is not None and known.high is not None:
        ends = _data([{"cost": cost, "low": known.low, "high": known.high}])
        rule = {"type": "rule", "color": color("best"), "strokeWidth": 1.4, "clip": True}
        layers.insert(
            0,
            {
                "data": ends,
                "mark": rule,
                "encoding": {"y": {"field": "low"}, "y2": {"field": "high"}},
            },
        )
    return layers


def _published(
    best: Architecture, axis: CostAxis, accuracies: Accuracies, frame: Frame
) -> Iterator[dict[str, Any]]:
    """Yield cost and, where known, accuracy of published networks within the cost axis.

    They are resized to the run's resolution and classes; `row` keeps their labels apart.
    """
    found: list[dict[str, Any]] = []
    for name, network in PUBLISHED.items():
        same = resized(network, best)
        cost = axis.of(same)
        if cost is not None and frame.holds(cost):
            known = accuracies.of(same)
            found.append({"cost": cost, "accuracy": known and known.value, "text": name})
    ends: list[float] = []  # right end of the last label of each row
    for row in sorted(found, key=lambda row: row["cost"]):
        if row["accuracy"] is not None:
            yield row
            continue
        place = (row["cost"] - frame.left) / (frame.right - frame.left)
        free = next((index for index, end in enumerate(ends) if end <= place), len(ends))
        ends[free : free + 1] = [place + _LABEL_WIDTH]
        yield {**row, "row": free}


def _published_layers(published: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return points of networks of known accuracy, and ticks at the top for the others."""
    placed = [row for row in published if row["accuracy"] is not None]
    others = [row for row in published if row["accuracy"] is None]
    hue = color("reference")
    label = {"type": "text", "align": "left", "dx": 8, "dy": 4, "color": hue, "aria": False}
    layers: list[dict[str, Any]] = []
    if placed:
        point = {"type": "point", "shape": "diamond", "filled": True, "size": 110, "color": hue}
        layers += [
            {
                "data": _data(placed),
                "mark": point | {"opacity": 1, "stroke": color("ground"), "aria": False},
            },
            {"data": _data(placed), "mark": label, "encoding": {"text": {"field": "text"}}},
        ]
    for row in range(1 + max((other["row"] for other in others), default=-1)):
        own = _data([other for other in others if other["row"] == row])
        y = 8 + 15 * row
        tick = {"type": "rule", "color": hue, "strokeWidth": 1, "strokeDash": [1, 2], "y": y - 7}
        layers += [
            {
                "data": own,
                "mark": tick | {"y2": "height", "opacity": 0.55, "aria": False},
                "encoding": {"y": {"value": y - 7}, "y2": {"value": HEIGHT}},
            },
            {
                "data": own,
                "mark": label | {"dx": 4, "dy": 0, "baseline": "middle"},
                "encoding": {"text": {"field": "text"}, "y": {"value": y - 2}},
            },
        ]
    return layers


def _target_layers(axis: CostAxis, frame: Frame) -> list[dict[str, Any]]:
    """Return the line of the reward's target, where the axis holds it."""
    if axis.reward is None or not frame.holds(target := axis.reward.target / axis.scale):
        return []
    row = _data([{"cost": target, "text": "target"}])
    rule = {"type": "rule", "color": color("rule"), "strokeDash": [5, 4], "aria": False}
    label = {"type": "text", "align": "left", "dx": 5, "color": color("faint"), "aria": False}
    return [
        {"data": row, "mark": rule, "encoding": {"y": {"value": 0}, "y2": {"value": HEIGHT}}},
        {
            "data": row,
            "mark": label,
            "encoding": {"text": {"field": "text"}, "y": {"value": HEIGHT - 8}},
        },
    ]


def _iso_layers(axis: CostAxis, frame: Frame) -> list[dict[str, Any]]:
    """Return curves of equal reward with their values at the right end."""
    lines, ends = [], []
    for level in _levels(axis, frame):
        curve = [point for point in _iso_curve(axis, level, frame)]
        if len(curve) > 1:
            rows = [{"cost": c, "accuracy": a, "level": level} for c, a in curve]
            lines += rows
            if curve[-1][0] >= frame.right * (1 - 1e-5):  # Others end at the top, among labels.
                ends.append({**rows[-1], "text": f"{level:g}"})
    if not lines:
        return []
    line = {"type": "line", "color": color("rule"), "strokeWidth": 0.8, "strokeDash": [2, 3]}
    label = {"type": "text", "align": "left", "dx": 4, "color": color("faint"), "fontSize": 11}
    return [
        {
            "data": _data(lines),
            "mark": line | {"aria": False},
            "encoding": {"detail": {"field": "level"}},
        },
        {
            "data": _data(ends),
            "mark": label | {"aria": False},
            "encoding": {"text": {"field": "text"}},
        },
    ]


def _levels(axis: CostAxis, frame: Frame) -> list[float]:
    """Return round rewards between those of the lower right and the upper left corner."""
    if axis.reward is None:
        return []
    low, high = _reward(axis, frame.bottom, frame.right), _reward(axis, frame.top, frame.left)
    if not (math.isfinite(high - low) and high > low):
        return []
    rough = (high - low) / LEVELS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= rough)
    count = math.floor(high / step) - math.ceil(low / step) + 1
    return [float(f"{step * (math.ceil(low / step) + n):.10g}") for n in range(max(0, count))]


def _reward(axis: CostAxis, accuracy: float, cost: float) -> float:
    assert axis.reward is not None
    try:
        return axis.reward(accuracy, max(cost * axis.scale, 1e-9))
    except ValueError:
        return math.nan


def _accuracy_at(axis: CostAxis, level: float, cost: float) -> float | None:
    """Return the accuracy that has a reward of `level` at a cost; None where there is none.

    All forms are linear in the accuracy: R = slope · accuracy + offset.
    """
    offset = _reward(axis, 0.0, cost)
    slope = _reward(axis, 1.0, cost) - offset
    return (level - offset) / slope if math.isfinite(slope) and slope > 0 else None


def _iso_curve(axis: CostAxis, level: float, frame: Frame) -> Iterator[tuple[float, float]]:
    """Yield the points of one curve within the frame, by rising cost."""
    for cost in np.linspace(max(frame.left, 1e-6), frame.right, _SAMPLES).tolist():
        accuracy = _accuracy_at(axis, level, cost)
        if accuracy is not None and frame.bottom <= accuracy <= frame.top:
            yield float(f"{cost:.6g}"), float(f"{accuracy:.6g}")
