"""Figures of a study."""

import dataclasses
import json

import numpy as np
import pytest

from mnas.analysis.study_table import Summary, rows, summaries
from mnas.experiment.study import Outcome
from mnas.reports.page import style
from mnas.reports.page.lines import SEPARATION, spread
from mnas.reports.page.study_charts import colors, network_chart, reward_charts
from mnas.reports.study_report import summary_table
from tests.runs import ACCURACY, proposals, result, run_of
from tests.studies import RANDOM, SMALL, outcome

MEASURED = dataclasses.replace(SMALL, judge=None, marks=(1, 2))
JUDGED = Summary("exact", 4, 3, 0.63, 0.026, 0.6, 0.75, 3.1e8, 4e6, 4)
LATER = dataclasses.replace(JUDGED, samples=8, reward=0.64)


def three_seeds():
    """Return outcomes with best rewards of 0.60, 0.64 and 0.65 after two samples."""
    found = []
    for seed, reward in enumerate((0.60, 0.64, 0.65)):
        base = outcome([result(0, 0.5), result(1, reward)])
        search = dataclasses.replace(base.experiment.search, seed=seed)
        experiment = dataclasses.replace(base.experiment, search=search, reward=ACCURACY)
        found.append(dataclasses.replace(base, experiment=experiment))
    return found


def drawn(study, outcomes, given=None):
    """Return the figures of a study's rewards by name."""
    summarized = summaries(rows(study, outcomes)) if given is None else given
    charts = reward_charts(study, outcomes, summarized, colors(study, summarized))
    return {chart.name: chart for chart in charts}


def of_type(chart, kind):
    return [layer for layer in chart.body["layer"] if layer["mark"]["type"] == kind]


def many(count):
    """Return a study of so many variants and their outcomes, the last of the highest reward."""
    variants = {f"variant {n}": RANDOM for n in range(count)}
    study = dataclasses.replace(MEASURED, variants=variants)
    return study, [
        Outcome(
            name, RANDOM, run_of([proposals([[0], [1]]), result(0, 0.4), result(1, 0.5 + n / 100)])
        )
        for n, name in enumerate(variants)
    ]


def test_band_and_bar_are_the_interval_of_the_table():
    charts = drawn(MEASURED, three_seeds())
    (area,) = of_type(charts["curves"], "area")
    end, bar = area["data"]["values"][-1], charts["final"].body["data"]["values"][0]
    # Deviations -0.03, 0.01, 0.02: variance 0.0014 / 2; t(0.975, 2) = 4.3027.
    half = 4.3027 * 0.0007**0.5 / 3**0.5
    for row in (end, bar):
        assert [row["low"], row["high"]] == pytest.approx([0.63 - half, 0.63 + half], rel=1e-4)
    cell = summary_table(MEASURED, summaries(rows(MEASURED, three_seeds())))[1][0][2]
    assert cell.startswith(f"0.6300 ± {half:.4f}")
    for chart in charts.values():
        assert "n = 3 seeds" in chart.caption and "95% interval, as ± in the table" in chart.caption
        assert "bootstrap" in chart.caption


def test_rewards_of_the_judge_are_a_figure_where_they_differ_from_the_measured_ones():
    assert list(drawn(MEASURED, three_seeds())) == ["final", "curves"]
    charts = drawn(SMALL, three_seeds(), [JUDGED, LATER])
    assert list(charts) == ["final", "exported", "curves"]
    (area,) = of_type(charts["exported"], "area")
    values = [(row["samples"], row["value"]) for row in area["data"]["values"]]
    assert values == [(4, 0.63), (8, 0.64)]
    assert "judge" in charts["exported"].caption and "judge" in charts["final"].caption


def test_a_single_seed_has_no_band():
    charts = drawn(MEASURED, three_seeds()[:1])
    assert of_type(charts["curves"], "area") == []
    assert "One seed: no intervals." in charts["curves"].caption


def test_mean_is_over_all_seeds_as_far_as_all_go():
    first, second, _ = three_seeds()
    failed = dataclasses.replace(result(0, 0.0), accuracy=None, error="NaN")
    late = run_of([proposals([[0], [1], [2]]), failed, result(1, 0.4), result(2, 0.9)])
    (line,) = of_type(
        drawn(MEASURED, [first, dataclasses.replace(second, run=late)])["curves"], "line"
    )
    assert [(row["samples"], row["value"]) for row in line["data"]["values"]] == [(2, 0.5)]


def test_at_most_ten_variants_have_colours_and_names():
    study, outcomes = many(13)
    chart = drawn(study, outcomes)["curves"]
    lines, names = of_type(chart, "line"), of_type(chart, "text")
    colored = [line["mark"]["color"] for line in lines if line["mark"]["color"] != "var(--rule)"]
    assert len(lines) == 13 and len(set(colored)) == len(colored) == 10
    shown = {layer["data"]["values"][0]["name"] for layer in names}
    assert shown == {f"variant {n}" for n in range(3, 13)}
    assert {name for name, _ in chart.key} == shown and "grey" in chart.caption
    assert (
        len(
            {
                (c, str(line["mark"].get("strokeDash")))
                for c, line in zip(colored, lines[3:], strict=True)
            }
        )
        == 10
    )
    few, found = many(10)
    assert "grey" not in drawn(few, found)["curves"].caption


def test_points_of_grey_lines_name_their_variant():
    study, outcomes = many(11)
    points = of_type(drawn(study, outcomes)["curves"], "point")
    titles = {row["tip"][0] for layer in points for row in layer["data"]["values"]}
    assert titles == set(study.variants)


def test_networks_are_a_point_a_seed_with_a_link():
    outcomes = three_seeds()
    table = rows(MEASURED, outcomes)
    links = {("exact", seed): f"exact/seed-{seed}/" for seed in range(3)}
    chart = network_chart(MEASURED, table, colors(MEASURED, summaries(table)), links)
    (layer,) = chart.body["layer"]
    points = layer["data"]["values"]
    assert [point["href"] for point in points] == list(links.values())
    assert [point["accuracy"] for point in points] == [0.6, 0.64, 0.65]
    assert points[1]["tip"][0] == "exact, seed 1" and chart.key_shown
    assert chart.key == (("exact", style.series(0)),)
    assert network_chart(MEASURED, [], {}, {}) is None


def test_names_move_apart_as_little_as_possible():
    assert spread([0.1, 0.5, 0.9], [0.0, 1.0]) == pytest.approx([0.1, 0.5, 0.9])
    together = spread([0.5, 0.5, 0.5], [0.0, 1.0])
    assert together == pytest.approx([0.5 - SEPARATION, 0.5, 0.5 + SEPARATION])
    top = spread([0.99, 1.0], [0.0, 1.0])
    assert top == pytest.approx([1.0 - SEPARATION, 1.0])
    values = np.sort(np.random.default_rng(0).uniform(0, 1, 8)).tolist()
    apart = spread(values, [0.0, 1.0])
    assert min(np.diff(apart)) >= 0.999 * SEPARATION and apart[0] >= 0 and apart[-1] <= 1 + 1e-9


def test_vega_lite_accepts_the_figures():
    vl_convert = pytest.importorskip("vl_convert")
    table = rows(MEASURED, three_seeds())
    numbers = colors(MEASURED, summaries(table))
    charts = [*drawn(SMALL, three_seeds(), [JUDGED, LATER]).values()]
    for chart in [*charts, network_chart(MEASURED, table, numbers, {})]:
        whole = {**chart.specification, "width": 600}
        svg = vl_convert.vegalite_to_svg(json.loads(json.dumps(style.literal(whole))))
        assert svg.startswith("<svg") and ("reward" in svg or "mult-adds" in svg)
