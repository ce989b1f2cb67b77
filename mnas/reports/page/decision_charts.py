"""Figures of decisions: frequency of each choice over batches, importance, relation to reward."""

import math
from typing import Any

from mnas.analysis.decisions import Decision, decisions
from mnas.analysis.importance import Importances
from mnas.experiment.results import Run
from mnas.reports.page.curves import bounded
from mnas.reports.page.style import color

COLUMNS = 40  # groups of batches in the heat map
SHOWN = 10  # decisions of the figure of effects: those of the largest spread
MOST = 48  # decisions of the heat map, likewise
MOST_IMPORTANT = 15  # decisions of the figure of importances
ROW = 12  # height of a row, pixels

Groups = list[list[int]]


def batch_groups(run: Run) -> tuple[Groups, int]:
    """Return (trials of each group of batches, batches of a group)."""
    size = max(1, math.ceil(len(run.proposals) / COLUMNS))
    groups = []
    for first in range(0, len(run.proposals), size):
        batches = run.proposals[first : first + size]
        groups.append([b.first_trial + n for b in batches for n in range(len(b.decisions))])
    return groups, size


def found(run: Run) -> tuple[list[Decision], int]:
    """Return (decisions of a run, batches of a group)."""
    groups, size = batch_groups(run)
    return decisions(run, groups), size


def most_spread(every: list[Decision]) -> list[Decision]:
    """Return at most `MOST` decisions, those of the largest spread, in their order."""
    names = [d.name for d in sorted(every, key=lambda decision: -decision.spread)[:MOST]]
    return [decision for decision in every if decision.name in names]


def heat_map(run: Run, every: list[Decision], size: int) -> dict[str, Any]:
    """Return the specification: a row for each value of each decision, a column for each group."""
    groups, _ = batch_groups(run)
    rows, labels = [], []
    for decision in every:
        for place, value in enumerate(decision.values):
            label = f"{decision.name}  {value}"
            labels.append(label)
            for group, frequencies in zip(groups, decision.frequencies, strict=True):
                row = {"choice": label, "first": group[0], "last": group[-1] + 1}
                rows.append({**row, "share": float(f"{frequencies[place]:.3g}")})
    end = max((group[-1] + 1 for group in groups), default=1)
    scale = {"domain": [0, 1], "range": [0, 1]}
    return {
        "height": ROW * len(labels),
        "data": {"values": rows},
        "layer": [
            {
                "mark": {"type": "rect", "color": color("accent"), "aria": False},
                "encoding": {
                    "x": {
                        "field": "first",
                        "type": "quantitative",
                        "scale": {"domain": [0, end], "nice": False},
                        "axis": {"title": "trial", "format": ",d", "tickCount": 8},
                    },
                    "x2": {"field": "last"},
                    "y": _choice_axis(labels),
                    # Not `opacity`, which makes a group of each cell; but only that has a legend.
                    "fillOpacity": {
                        "field": "share",
                        "type": "quantitative",
                        "scale": scale,
                        "legend": None,
                    },
                },
            },
            _shares_legend(scale),
        ],
    }


def _shares_legend(scale: dict[str, Any]) -> dict[str, Any]:
    """Return a layer without visible marks that has the legend of shares."""
    legend: dict[str, Any] = {"title": "share of the batch", "format": ".0%", "orient": "top"}
    legend |= {"values": [0, 0.25, 0.5, 0.75, 1], "symbolType": "square", "symbolStrokeWidth": 0}
    return {
        "data": {"values": [{"share": 1}]},
        "mark": {"type": "square", "size": 0, "aria": False},
        "encoding": {
            "opacity": {
                "field": "share",
                "type": "quantitative",
                "scale": scale,
                "legend": legend | {"symbolFillColor": color("accent")},
            }
        },
    }


def importance_chart(found: Importances) -> dict[str, Any]:
    """Return the specification of the importances of decisions, the largest first."""
    rows = [
        {
            "decision": item.name,
            "median": _short(item.median),
            "low": _short(item.low),
            "high": _short(item.high),
        }
        for item in found.items[:MOST_IMPORTANT]
    ]
    labels = [item.name for item in found.items[:MOST_IMPORTANT]]
    axis = {"title": "importance, reward", "grid": True, "tickCount": 8}
    return {
        "height": (ROW + 4) * len(rows),
        "data": {"values": rows},
        "layer": _interval_layers("median"),
        "encoding": {
            "x": {"type": "quantitative", "axis": axis, "scale": {"zero": True}},
            "y": {**_choice_axis(labels), "field": "decision"},
        },
    }


def _interval_layers(value: str) -> list[dict[str, Any]]:
    """Return a point at the field `value` and a rule from `low` to `high`, where a row has them."""
    hue = {"color": color("accent"), "aria": False}
    return [
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "strokeWidth": 1.6} | hue,
            "encoding": {"x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 50, "opacity": 1} | hue,
            "encoding": {"x": {"field": value, "type": "quantitative"}},
        },
    ]


def _choice_axis(labels: list[str]) -> dict[str, Any]:
    """Return the axis of choices in their order."""
    return {
        "field": "choice",
        "type": "nominal",
        "sort": labels,
        "scale": {"paddingInner": 0.06},
        "axis": {"title": None, "labelFontSize": 10, "labelOverlap": False, "labelLimit": 220}
        | {"ticks": False, "domain": False},
    }


def effects_chart(every: list[Decision]) -> dict[str, Any] | None:
    """Return the specification of mean rewards by choice; None where no network is complete."""
    most = sorted(every, key=lambda decision: -decision.spread)[:SHOWN]
    rows, labels = [], []
    for decision in most:
        for value, effect in zip(decision.values, decision.effects, strict=True):
            if effect is None:
                continue
            label = f"{decision.name}  {value}"
            labels.append(label)
            ends = {"low": effect.low, "high": effect.high}
            known = {key: _short(end) for key, end in ends.items() if end is not None}
            row = {"choice": label, "mean": _short(effect.mean), **known}
            rows.append({**row, "n": f"n = {effect.n:,}"})
    if not rows:
        return None
    axis = {"title": "mean reward, minus that of all networks", "grid": True, "tickCount": 8}
    return {
        "height": (ROW + 4) * len(labels),
        "data": {"values": rows},
        "layer": [
            {
                "mark": {"type": "rule", "color": color("rule"), "strokeWidth": 1, "aria": False},
                "data": {"values": [{"zero": 0}]},
                "encoding": {"x": {"field": "zero", "type": "quantitative"}, "y": None},
            },
            *_interval_layers("mean"),
            {
                "mark": {"type": "text", "align": "left", "dx": 8, "fontSize": 10, "aria": False}
                | {"color": color("faint")},
                "encoding": {"x": {"value": "width"}, "text": {"field": "n"}},
            },
        ],
        "encoding": {
            "x": {"type": "quantitative", "axis": axis},
            "y": _choice_axis(labels),
        },
    }


def _short(value: float) -> float:
    return float(f"{bounded(value):.4g}")
