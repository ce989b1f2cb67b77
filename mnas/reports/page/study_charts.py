"""Figures of a study: rewards over samples as means with bands, and exported networks."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mnas.analysis.intervals import mean_band
from mnas.analysis.study_table import Row, Summary
from mnas.experiment.study import Outcome, Study
from mnas.reports.page.chart import Chart
from mnas.reports.page.costs import NAMES, UNITS, accuracy_by_cost
from mnas.reports.page.curves import best_so_far, bounded
from mnas.reports.page.lines import (
    GREY,
    INTERVAL,
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
    short,
    thinned,
)
from mnas.reports.page.style import SERIES, color
from mnas.reports.text import magnitude, plus_minus
from mnas.reward import CostKind

HEIGHT = 320
Links = Mapping[tuple[str, int], str]  # address of the run of (variant, seed)


@dataclasses.dataclass(frozen=True)
class Line:
    """The curve of a variant.

    rows   its points (`mnas.reports.page.lines.band_rows` by `samples`)
    n      number of seeds
    marks  points at the study's marks, which have a text to hover for
    """

    variant: str
    rows: list[dict[str, Any]]
    n: int
    marks: list[dict[str, Any]]


def colors(study: Study, summaries: Sequence[Summary]) -> dict[str, int | None]:
    """Return the number of the colour of each variant, by its reward at its last mark."""
    last = {summary.variant: summary.reward for summary in summaries}
    values = [last.get(variant, -np.inf) for variant in study.variants]
    return dict(zip(study.variants, colored(values), strict=True))


def reward_charts(
    study: Study,
    outcomes: Sequence[Outcome],
    summaries: Sequence[Summary],
    numbers: Mapping[str, int | None],
) -> list[Chart]:
    """Return the figures of rewards: those of the table, and the best measured ones over samples.

    Those of the table over samples are left out where there is one mark, and where they are those
    of the measured ones: without a judge, and where the selection is by measurements.
    """
    found = [_final_chart(study, summaries, numbers)]
    searches = [variant.search for variant in study.variants.values()]
    judged = study.judge or any(s.selection != "measured" or s.remeasure for s in searches)
    if judged and len(study.marks) > 1:
        title = "Reward of the network that a search would export"
        text = f"Reward {_accuracy(study)} after so many samples."
        lines = _table_lines(study, summaries)
        found.append(_line_chart("exported", title, text, lines, numbers))
    title, text = "Best measured reward so far", "Best reward that a search has measured so far."
    lines = _measured_lines(study, outcomes)
    found.append(_line_chart("curves", title, text, lines, numbers))
    return [chart for chart in found if chart is not None]


def _accuracy(study: Study) -> str:
    return "at the judge's accuracy" if study.judge else "as the search measured it"


def _final_chart(
    study: Study, summaries: Sequence[Summary], numbers: Mapping[str, int | None]
) -> Chart | None:
    """Return the rewards of the table at the last mark, a row for each variant."""
    last = [summary for summary in summaries if summary.samples == study.marks[-1]]
    if not last:
        return None
    rows = []
    for summary in last:
        half, mean = summary.reward_interval or 0.0, summary.reward
        row = {"value": short(mean), "low": short(mean - half), "high": short(mean + half)}
        tip = _tip(
            summary.variant, summary.seeds, row | {"samples": summary.samples}, summary.reward_worst
        )
        hue_of = hue(numbers[summary.variant])
        rows.append({"variant": label(summary.variant), **row, "hue": hue_of, "tip": tip})
    color_of = {"color": {"field": "hue", "type": "nominal", "scale": None}}
    tooltip = {"tooltip": {"content": "data"}, "aria": False}
    body = {
        "height": 24 * len(rows),
        "data": {"values": rows},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 1.8, "aria": False},
                "encoding": {"x": {"field": "low"}, "x2": {"field": "high"}, **color_of},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 64, "opacity": 1} | tooltip,
                "encoding": {"x": {"field": "value"}, **color_of},
            },
        ],
        "encoding": {
            "x": {
                "type": "quantitative",
                "scale": {"zero": False, "padding": 12},
                "axis": {"title": "reward", "grid": True, "tickCount": 8},
            },
            "y": {
                "field": "variant",
                "type": "nominal",
                "sort": [row["variant"] for row in rows],
                "axis": {"title": None, "ticks": False, "domain": False, "labelLimit": 230},
            },
        },
    }
    counts = sorted({summary.seeds for summary in last})
    text = f"Reward, {_accuracy(study)}, of the network that a search would export."
    caption = f"{text} {_interval(counts, 'Point', 'Bar')}"
    described = ", ".join(f"{summary.variant} {summary.reward:.4f}" for summary in last)
    title = f"Reward after {study.marks[-1]:,} samples"
    return Chart("final", title, caption, f"{described}.", body)


def _table_lines(study: Study, summaries: Sequence[Summary]) -> list[Line]:
    lines = []
    for variant in study.variants:
        own = [summary for summary in summaries if summary.variant == variant]
        rows = [
            {
                "samples": summary.samples,
                "value": short(summary.reward),
                "low": short(summary.reward - (summary.reward_interval or 0.0)),
                "high": short(summary.reward + (summary.reward_interval or 0.0)),
            }
            for summary in own
        ]
        marks = [
            row | {"tip": _tip(variant, summary.seeds, row, summary.reward_worst)}
            for row, summary in zip(rows, own, strict=True)
        ]
        if own:
            lines.append(Line(variant, rows, max(summary.seeds for summary in own), marks))
    return lines


def _measured_lines(study: Study, outcomes: Sequence[Outcome]) -> list[Line]:
    """Return the mean over seeds of the best reward so far, as far as all seeds go."""
    lines = []
    for variant in study.variants:
        of_seeds = [best_so_far(o.run) for o in outcomes if o.variant == variant and o.results]
        length = min(map(len, of_seeds), default=0)
        table = np.array([curve[:length] for curve in of_seeds])
        known = np.isfinite(table).all(0) if length else np.zeros(0, bool)
        if not known.any():
            continue
        first = int(np.argmax(known))
        marks = [mark - 1 for mark in study.marks if first < mark <= length]
        places = np.union1d(thinned(first, length), marks).astype(int)
        rows = band_rows("samples", (places + 1).tolist(), *mean_band(table[:, places]))
        at_marks = [
            row | {"tip": _tip(variant, len(of_seeds), row, float(table[:, place].min()))}
            for place, row in zip(places.tolist(), rows, strict=True)
            if place in marks
        ]
        lines.append(Line(variant, rows, len(of_seeds), at_marks))
    return lines


def _tip(variant: str, n: int, row: Mapping[str, Any], worst: float) -> list[Any]:
    """Return [title, facts] of a point, as page.js shows them."""
    half = (row["high"] - row["low"]) / 2
    mean = plus_minus(row["value"], half) if n > 1 else f"{row['value']:.4f}"
    facts = [["samples", f"{row['samples']:,}"], ["reward", mean], ["seeds", f"n = {n}"]]
    return [variant, [*facts, ["worst seed", f"{worst:.4f}"]]]


def _line_chart(
    name: str,
    title: str,
    text: str,
    lines: Sequence[Line],
    numbers: Mapping[str, int | None],
) -> Chart | None:
    if not lines:
        return None
    layers, points, ends, shown = [], [], [], []
    for line, number in grey_first(lines, [numbers[line.variant] for line in lines]):
        layers += line_layers(line.rows, number, line.n > 1, len(lines))
        points.append(_points(line.marks, number))
        ends.append({**line.rows[-1], "name": label(line.variant), "number": number})
        # The first samples would dominate the axis.
        last = line.rows[-1]["samples"]
        shown += [row["value"] for row in line.rows if row["samples"] > last // 20]
    # By the means: the intervals of few seeds are far wider than the differences.
    domain = domain_of(shown, margin=0.3)
    cut = any(
        row["low"] < domain[0] or row["high"] > domain[1]
        for line in lines
        for row in line.rows
        if numbers[line.variant] is not None and line.n > 1
    )
    named = [end["name"] for end in ends if end["number"] is not None]
    last = max(end["samples"] for end in ends)
    body = {
        "height": HEIGHT,
        "padding": padding(named),
        "layer": [*layers, *points, *name_layers(ends, "samples", domain)],
        "encoding": {
            "x": {
                "field": "samples",
                "type": "quantitative",
                "scale": {"domain": [0, last], "nice": False},
                "axis": {"title": "samples", "format": ",d", "tickMinStep": 1, "tickCount": 8},
            },
            "y": {
                "type": "quantitative",
                "scale": {"domain": domain, "nice": False, "zero": False},
                "axis": {"title": "reward", "tickCount": 6},
            },
        },
    }
    caption = " ".join(
        [
            text,
            _interval(sorted({line.n for line in lines})),
            *([CUT] if cut else []),
            *_grey(len(lines)),
        ]
    )
    described = ", ".join(f"{line.variant} ends at {line.rows[-1]['value']:.4f}" for line in lines)
    return Chart(name, title, caption, f"{described}.", body, key=key_of(ends))


CUT = "Bands that are wider than the figure are cut off."


def _interval(counts: Sequence[int], mean: str = "Line", interval: str = "Band") -> str:
    """Return what is shown of so many seeds, from the fewest to the most."""
    if counts[-1] == 1:
        return "One seed: no intervals."
    n = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}"
    return (
        f"{mean}: mean over {n} seeds. {interval}: its 95% interval, as ± in the table "
        f"({INTERVAL})."
    )


def _grey(count: int) -> list[str]:
    return [f"{GREY} Hover for their names."] if count > SERIES else []


def _points(rows: list[dict[str, Any]], number: int | None) -> dict[str, Any]:
    mark = {"type": "point", "filled": True, "size": 34, "color": hue(number), "opacity": 1}
    return {
        "data": {"values": rows},
        "mark": mark | {"tooltip": {"content": "data"}, "aria": False, "clip": True},
        "encoding": {"y": {"field": "value"}},
    }


def network_chart(
    study: Study,
    table: Sequence[Row],
    numbers: Mapping[str, int | None],
    links: Links,
) -> Chart | None:
    """Return accuracy against cost of the networks exported at the last mark, a point a seed."""
    last = [row for row in table if row.samples == study.marks[-1]]
    if not last:
        return None
    kind = _cost(study)
    unit, scale = UNITS[kind]
    layers, ends = [], []
    variants = list(dict.fromkeys(row.variant for row in last))
    for variant, number in grey_first(variants, [numbers[variant] for variant in variants]):
        rows = [
            {
                "cost": getattr(row, kind) / scale,
                "accuracy": bounded(row.accuracy),
                "href": links.get((row.variant, row.seed)),
                "tip": _network_tip(row),
            }
            for row in last
            if row.variant == variant
        ]
        mark = {"type": "point", "filled": True, "size": 52, "color": hue(number), "opacity": 0.75}
        mark |= {"stroke": color("ground"), "strokeWidth": 0.6, "cursor": "pointer"}
        tooltip = {"tooltip": {"content": "data"}, "aria": False}
        layers.append({"data": {"values": rows}, "mark": mark | tooltip})
        ends.append({"name": label(variant), "number": number})
    body = {
        "height": HEIGHT,
        "layer": layers,
        "encoding": accuracy_by_cost(f"{NAMES[kind]}, {unit}", "top-1 accuracy"),
    }
    judged = "by the judge" if study.judge else "as the search has it"
    caption = f"A point is the network of one seed; accuracy {judged}. Click for its run."
    caption = " ".join([caption, *_grey(len(variants))])
    title = f"Networks exported after {study.marks[-1]:,} samples"
    described = f"{len(last)} networks of {len(variants)} variants."
    return Chart("networks", title, caption, described, body, None, key_of(ends), True)


def _cost(study: Study) -> CostKind:
    """Return the cost that all rewards of a study are of; mult-adds where they differ."""
    kinds = {variant.reward.cost for variant in study.variants.values()}
    return "params" if kinds == {"params"} else "mult_adds"


def _network_tip(row: Row) -> list[Any]:
    facts = [
        ["reward", f"{row.judged_reward:.4f}"],
        ["accuracy", f"{100 * row.accuracy:.2f}%"],
        ["mult-adds", magnitude(row.mult_adds)],
        ["params", magnitude(row.params)],
        ["trial", f"{row.trial:,}"],
    ]
    return [f"{row.variant}, seed {row.seed}", facts]
