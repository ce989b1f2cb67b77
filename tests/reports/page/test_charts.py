"""Figures of one run: what their data are, and that Vega-Lite accepts them."""

import json
import math

import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.published import PUBLISHED
from mnas.experiment.results import Run
from mnas.experiment.trials import trial_rows
from mnas.reports.page import content, style
from mnas.reports.page.accuracies import Accuracies
from mnas.reports.page.costs import CostAxis, cost_axis
from mnas.reports.page.curves import LARGEST, batches, best_so_far, box_of, steps
from mnas.reports.page.front_chart import front_chart, front_results
from mnas.reports.page.head import pair
from mnas.reports.page.reward_chart import hypervolume_chart, reward_chart
from mnas.reports.page.trials import STATUSES, rows, status
from mnas.reward import RewardConfig
from tests.runs import ACCURACY, head, proposals, result, run_of, settings

A1 = PUBLISHED["mnasnet-a1"]
FAILED = {"accuracy": None, "error": "NaN"}


def a_run(results, reward: RewardConfig = ACCURACY, **changes) -> Run:
    batch = proposals([[record.trial] for record in results])
    first = head(settings=settings(reward), **changes)
    return Run.of(run_of([]).directory, settings(reward), [first, batch, *results])


def layers(chart) -> list[list[dict]]:
    """Return the own data of every layer."""
    return [layer["data"].get("values", []) for layer in chart["layer"] if "data" in layer]


def front_of(run: Run):
    return front_chart(run, pair(run), cost_axis(run), Accuracies(run))


def texts(chart) -> list[str]:
    return [row["text"] for values in layers(chart) for row in values if "text" in row]


def test_front_leaves_out_failed_stopped_and_dominated_trials():
    results = [
        result(0, 0.5, mult_adds=2_000_000),
        result(1, 0.4, mult_adds=3_000_000),
        result(2, 0.9, mult_adds=1_000_000, stopped=True),
        result(3, 0.0, mult_adds=1_000_000, **FAILED),
        result(4, 0.8, mult_adds=4_000_000),
        result(5, 0.5, mult_adds=2_000_000, duplicate_of=0),
    ]
    run = a_run(results)
    assert [r.trial for r in front_results(run, cost_axis(run))] == [0, 4]


def test_front_is_over_the_cost_of_the_reward():
    results = [result(n, 0.5, mult_adds=10, params=n, latency_ms=2.0 - n) for n in range(2)]
    for cost, name, best in (("params", "parameters", 0), ("latency_ms", "latency", 1)):
        run = a_run(results, RewardConfig(cost=cost, w=0.0))
        assert [r.trial for r in front_results(run, cost_axis(run))] == [best]
        assert front_of(run)["encoding"]["x"]["axis"]["title"].startswith(name)


def test_curves_of_equal_reward_have_that_reward():
    for form in ("soft", "hard", "absolute"):
        reward = RewardConfig(form=form, target_madds=2e6)
        accuracies = (0.5, 0.6, 0.7)
        results = [
            result(n, reward(a, 1e6 * (n + 1)), accuracy=a, mult_adds=1_000_000 * (n + 1))
            for n, a in enumerate(accuracies)
        ]
        curves = [values for values in layers(front_of(a_run(results, reward))) if values]
        points = [row for values in curves for row in values if "level" in row]
        assert len({row["level"] for row in points}) >= 4
        for row in points:
            assert reward(row["accuracy"], 1e6 * row["cost"]) == pytest.approx(row["level"], 1e-4)


def test_published_networks_within_the_axis_are_shown_at_the_runs_resolution():
    small = A1.replace(resolution=32, classes=10)
    big = PUBLISHED["efficientnet-b0"].replace(resolution=32, classes=10)
    results = [
        result(0, 0.5, architecture=small.to_dict(), mult_adds=6_000_000),
        result(1, 0.7, architecture=big.to_dict(), hash=big.canonical_hash(), mult_adds=9_000_000),
    ]
    chart = front_of(a_run(results))
    shown = [row for values in layers(chart) for row in values]
    b0 = next(row for row in shown if row.get("text") == "efficientnet-b0")
    assert b0["accuracy"] == 0.7 and b0["cost"] == pytest.approx(8.06, abs=0.5)
    a1 = next(row for row in shown if row.get("text") == "mnasnet-a1")
    assert a1["accuracy"] is None and 6 < a1["cost"] < 7
    assert "efficientnet-b7" not in texts(chart)


def test_target_is_shown_where_the_axis_holds_it():
    results = [result(n, 0.5 + n / 10, mult_adds=1_000_000 * (n + 1)) for n in range(3)]
    near = front_of(a_run(results, RewardConfig(w=0.0, target_madds=2e6)))
    assert "target" in texts(near)
    assert "target" not in texts(front_of(a_run(results, RewardConfig(w=0.0))))


def test_interval_of_the_best_network_is_drawn_where_it_is_known():
    run = a_run([result(0, 0.5)])
    assert not any("low" in row for values in layers(front_of(run)) for row in values)
    whole = {**run.settings, "sessions": [{"started": 1.0, "accuracy_images": 100}]}
    known = Run(run.directory, whole, run.head, run.proposals, run.results)
    (row,) = [row for values in layers(front_of(known)) for row in values if "low" in row]
    assert row["low"] == pytest.approx(0.4038, abs=1e-4) and row["high"] == 1 - row["low"]


def test_best_reward_so_far_ignores_failed_and_stopped_children():
    results = [
        result(0, -0.5), result(1, 0.0, **FAILED), result(2, -0.4),
        result(3, 0.9, stopped=True), result(4, -0.45),
    ]  # fmt: skip
    assert best_so_far(a_run(results)).tolist() == [-0.5, -0.5, -0.4, -0.4, -0.4]
    assert steps([0, 1, 2, 3, 4], best_so_far(a_run(results))) == [
        {"trial": 0, "value": -0.5}, {"trial": 2, "value": -0.4}, {"trial": 4, "value": -0.4},
    ]  # fmt: skip


def test_batches_have_mean_and_quantiles_without_failed_children():
    results = [result(n, (n + 1) / 10) for n in range(3)] + [result(3, 0.0, **FAILED)]
    ((row,), size) = batches(a_run(results))
    assert size == 1 and row == {"trial": 3, "mean": 0.2, "low": 0.12, "high": 0.28}


def test_many_batches_are_taken_together_and_long_curves_are_thinned():
    results = [result(n, 0.1 + n / 10_000) for n in range(1000)]
    run = run_of([*(proposals([[n]], n, n) for n in range(1000)), *results])
    grouped, size = batches(run)
    assert (len(grouped), size) == (200, 5) and grouped[0]["mean"] == 0.1002
    assert len(steps(list(range(1000)), best_so_far(run))) == 400


def test_rewards_near_the_largest_number_are_clipped():
    results = [result(n, reward, accuracy=0.5) for n, reward in enumerate((-1e308, 1e308, 0.5))]
    domain = reward_chart(a_run(results))["encoding"]["y"]["scale"]["domain"]
    assert all(math.isfinite(end) and abs(end) < 2 * LARGEST for end in domain)


def test_a_run_of_failures_only_has_no_figures():
    run = a_run([result(n, 0.0, **FAILED) for n in range(3)])
    assert pair(run) is None and reward_chart(run) is None
    assert box_of([(run, cost_axis(run))]) is None


def test_colours_are_variables_and_literal_where_a_page_is_absent():
    assert style.color("accent") == "var(--accent)" and style.series(11) == "var(--series1)"
    assert style.literal({"a": ["var(--accent)", 3]}) == {"a": [style.LIGHT["accent"], 3]}
    assert style.LIGHT.keys() == style.DARK.keys()
    assert f"--best:{style.DARK['best']};" in style.css().split("prefers-color-scheme")[1]


def test_of_many_trials_some_have_a_point_and_the_caption_says_so(monkeypatch):
    run = a_run([result(n, 0.5 + n / 100) for n in range(7)])
    (_, rewards, *_), *_ = [part.charts for part in content.sections([run], None)]
    assert rewards.title == "Reward of every trial" and "A point for" not in rewards.caption
    monkeypatch.setattr("mnas.reports.page.reward_chart.DRAWN", 3)
    (_, rewards, *_), *_ = [part.charts for part in content.sections([run], None)]
    filters = [f for layer in rewards.body["layer"] for f in layer.get("transform", [])]
    assert "datum.trial % 3 === 0" in filters[0]["filter"]
    assert "A point for every 3 trials." in rewards.caption
    best = layers(rewards.body)[-3]
    assert [row["trial"] for row in best] == list(range(7))


def test_vega_lite_accepts_every_figure():
    vl_convert = pytest.importorskip("vl_convert")
    reward = RewardConfig(target_madds=2e6)
    results = [
        result(0, 0.5, mult_adds=1_000_000), result(1, 0.6, mult_adds=3_000_000),
        result(2, 0.0, **FAILED), result(3, 0.4, stopped=True), result(4, 0.5, duplicate_of=0),
    ]  # fmt: skip
    (section,) = content.sections([a_run(results, reward)], None)
    assert [chart.name for chart in section.charts] == [
        *("front", "rewards", "hypervolume", "decisions", "effects")
    ]
    data = content.data_of([section], section.charts)
    for chart in data["charts"]:
        whole = {**chart, "datasets": {"trials": rows(data["runs"][0])}, "width": 600}
        svg = vl_convert.vegalite_to_svg(json.loads(json.dumps(style.literal(whole))))
        assert svg.startswith("<svg") and svg.count("<path") > 5


def test_hypervolume_has_a_figure_where_the_rectangle_has_an_area():
    results = [result(n, 0.5 + n / 10, mult_adds=1_000_000 * (n + 1)) for n in range(3)]
    run = a_run(results)
    axis = CostAxis("mult_adds", None)
    chart = hypervolume_chart(run, axis, box_of([(run, axis)]))
    assert [row["value"] for row in chart["data"]["values"]] == [0.0, 0.25, 0.25]
    same = a_run([result(0, 0.5)])
    assert hypervolume_chart(same, axis, box_of([(same, axis)])) is None


def test_networks_of_the_drawings_are_architectures():
    (section,) = content.sections([a_run([result(0, 0.5), result(1, 0.4)])], None)
    assert [Architecture.from_dict(r.architecture) is not None for r in section.drawn] == [True] * 2


def test_statuses_are_those_of_the_table_of_trials():
    results = [result(0), result(1, 0.0, **FAILED), result(2, 0.0, **FAILED, duplicate_of=1)]
    results += [result(3, duplicate_of=0), result(4, stopped=True)]
    names = [row["status"] for row in trial_rows(results)]
    assert names == ["complete", "failed", "failed", "duplicate", "stopped"]
    assert [STATUSES[status(each)].split()[0] for each in results] == names
