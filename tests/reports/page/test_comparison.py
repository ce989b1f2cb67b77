"""Figures and table of several runs."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from mnas.experiment.results import Run
from mnas.reports.page import comparison, style
from mnas.reports.page.costs import cost_axis
from mnas.reports.page.lines import SEPARATION
from mnas.reports.run_report import write_report
from mnas.reward import RewardConfig
from tests.runs import head, proposals, result, settings, write_run


def entry(rewards, seed=0, name="one", reward=RewardConfig(w=0.0), directory="run"):  # noqa: B008
    results = [result(n, value, mult_adds=n + 1) for n, value in enumerate(rewards)]
    whole = settings(reward, seed=seed)
    batch = proposals([[n] for n in range(len(results))])
    run = Run.of(Path(directory), whole, [head(name=name, settings=whole), batch, *results])
    return run, cost_axis(run)


def lines(chart) -> list[list[dict]]:
    """Return the rows of every line of a figure."""
    found = [layer for layer in chart.body["layer"] if layer["mark"]["type"] == "line"]
    return [layer["data"]["values"] for layer in found]


def names(chart) -> list[str]:
    found = [layer for layer in chart.body["layer"] if layer["mark"]["type"] == "text"]
    return [layer["data"]["values"][0]["name"] for layer in found]


def test_runs_that_differ_in_the_seed_are_one_experiment():
    entries = [entry([0.5], 1), entry([0.6], 2), entry([0.7], 3, reward=RewardConfig(w=-0.1))]
    found = comparison.groups(entries)
    assert [len(group.entries) for group in found] == [2, 1]
    assert [group.name for group in found] == ["one (run)", "one (run)"]
    apart = comparison.groups([entry([0.5]), entry([0.5], name="two")])
    assert [group.name for group in apart] == ["one", "two"]


def test_curve_is_the_mean_over_runs_as_far_as_all_go():
    charts = comparison.charts([entry([0.1, 0.3, 0.3], 1), entry([0.3, 0.5], 2)])
    fronts, best, _ = charts
    ((first, second),) = lines(best)
    assert (first["trial"], first["value"], second["value"]) == (0, 0.2, 0.4)
    # Standard deviation 0.2 / √2; t(0.975, 1) = 12.706.
    half = 12.706 * 0.2 / 2**0.5 / 2**0.5
    assert [first["low"], first["high"]] == pytest.approx([0.2 - half, 0.2 + half], rel=1e-4)
    assert names(best) == ["one, n = 2"] and len(lines(fronts)) == 2
    assert "bootstrap" in best.caption


def test_experiments_have_lines_of_their_own_without_bands_of_single_runs():
    charts = comparison.charts([entry([0.1, 0.3]), entry([0.3, 0.5], name="two")])
    best = charts[1]
    assert [layer["mark"]["type"] for layer in best.body["layer"]] == ["line"] * 2 + ["text"] * 2
    assert best.body["padding"]["right"] > 20 and "no intervals" in best.caption
    colors = [layer["mark"]["color"] for layer in best.body["layer"][:2]]
    assert colors == [style.series(0), style.series(1)]


def test_names_of_lines_are_kept_apart():
    entries = [entry([0.1, 0.5 + n / 1000], name=f"n{n}") for n in range(6)]
    best = comparison.charts(entries)[1]
    places = [
        layer["data"]["values"][0]["place"]
        for layer in best.body["layer"]
        if layer["mark"]["type"] == "text"
    ]
    low, high = best.body["encoding"]["y"]["scale"]["domain"]
    assert min(np.diff(sorted(places))) >= 0.999 * SEPARATION * (high - low)


def test_at_most_ten_experiments_have_colours():
    entries = [entry([0.1, 0.5 + n / 1000], name=f"n{n}") for n in range(12)]
    fronts, best, _ = comparison.charts(entries)
    for chart in (fronts, best):
        grey = [layer for layer in chart.body["layer"] if layer["mark"]["color"] == "var(--rule)"]
        assert len(grey) == 2 and len(chart.key) == 10 and "grey" in chart.caption
        assert {name.split(",")[0] for name, _ in chart.key} == {f"n{n}" for n in range(2, 12)}
        assert {name.split(",")[0] for name in names(chart)} == {f"n{n}" for n in range(2, 12)}


def test_runs_of_different_costs_have_no_common_front():
    entries = [entry([0.5, 0.6]), entry([0.5, 0.6], reward=RewardConfig(cost="params", w=0.0))]
    assert [chart.name for chart in comparison.charts(entries)] == ["best-reward"]


def test_runs_without_results_are_rows_of_the_table_only():
    empty = entry([])
    assert comparison.charts([empty, empty]) == []
    heads, (row, other) = comparison.summary([empty, entry([0.5])])
    assert row == ["one (run)", "0", "–", "–", "–", "–", "0.0 s"]
    assert other[1:4] == ["1", "0.5000", "50.00%"] and len(heads) == len(row)


def test_curves_begin_where_all_runs_have_a_value():
    failed = dataclasses.replace(result(0, 0.0), accuracy=None, error="NaN")
    run, axis = entry([0.4, 0.5, 0.6])
    late = dataclasses.replace(run, results=(failed, *run.results[1:]))
    (rows,) = lines(comparison.charts([(run, axis), (late, axis)])[1])
    assert [row["trial"] for row in rows] == [1, 2]


def test_page_of_several_runs_has_table_and_figures(tmp_path):
    directories = []
    for seed in (1, 2):
        whole = settings(seed=seed)
        records = [proposals([[0], [1]]), result(0, 0.4), result(1, 0.5, mult_adds=2)]
        directories.append(write_run(tmp_path / f"{seed}", records, head(settings=whole)))
    write_report(directories, tmp_path / "both.html")
    html = (tmp_path / "both.html").read_text()
    assert "Comparison of 2 runs" in html and html.count('<table class="runs">') == 1
    assert html.count('class="chart"') == 3 + 2 * 5


def test_vega_lite_accepts_the_figures():
    vl_convert = pytest.importorskip("vl_convert")
    entries = [entry([0.1, 0.3], 1), entry([0.2, 0.4], 2), entry([0.3, 0.5], name="two")]
    for chart in comparison.charts(entries):
        whole = {**chart.specification, "width": 600}
        svg = vl_convert.vegalite_to_svg(json.loads(json.dumps(style.literal(whole))))
        assert svg.startswith("<svg") and "one, n = 2" in svg
