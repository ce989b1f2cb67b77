"""Figures of decisions and of time."""

import dataclasses
import json

import pytest

from mnas.analysis.importance import importances
from mnas.architecture.published import PUBLISHED
from mnas.loop.records import WORKER
from mnas.reports.page import content, style
from mnas.reports.page.decision_charts import (
    COLUMNS,
    MOST,
    SHOWN,
    batch_groups,
    effects_chart,
    found,
    heat_map,
    importance_chart,
    most_spread,
)
from mnas.reports.page.style import color
from mnas.reports.page.time_chart import WAIT, phases, time_chart, worker_chart
from tests.runs import network, proposals, result, run_of

TIMINGS = {
    "train_seconds": 6.0, "evaluate_seconds": 2.0, "compile_seconds": 3.0, "trace_seconds": 1.0,
    "cache_read_seconds": 0.5, "compiles": 7.0, "cpu_seconds": 9.0,
}  # fmt: skip


def kernels(count: int, batch: int = 1):
    """Return a run whose networks have kernel sizes 3 and 5 by turns."""
    results = [
        result(n, 0.5 + n % 2 / 10, architecture=network(3 + 2 * (n % 2)).to_dict())
        for n in range(count)
    ]
    groups = [range(first, min(first + batch, count)) for first in range(0, count, batch)]
    batches = [proposals([[n] for n in group], group[0], i) for i, group in enumerate(groups)]
    return run_of([*batches, *results])


def test_heat_map_has_a_cell_for_each_choice_and_batch():
    run = kernels(6, batch=3)
    every, size = found(run)
    rows = heat_map(run, every, size)["data"]["values"]
    assert size == 1 and len(rows) == 4
    assert rows[0] == {"choice": "stage 1 kernel  3", "first": 0, "last": 3, "share": 0.667}
    assert rows[3] == {"choice": "stage 1 kernel  5", "first": 3, "last": 6, "share": 0.667}


def test_many_batches_are_taken_together():
    groups, size = batch_groups(kernels(100))
    assert size == 3 and len(groups) <= COLUMNS
    assert [trial for group in groups for trial in group] == list(range(100))


def test_heat_map_has_the_decisions_of_the_largest_spread_where_there_are_many(monkeypatch):
    assert MOST > SHOWN
    monkeypatch.setattr("mnas.reports.page.decision_charts.MOST", 2)
    a1, b0 = PUBLISHED["mnasnet-a1"].to_dict(), PUBLISHED["efficientnet-b0"].to_dict()
    run = run_of(
        [proposals([[0], [1]]), *(result(n, n / 9, architecture=a) for n, a in enumerate((a1, b0)))]
    )
    every, _ = found(run)
    names = [decision.name for decision in most_spread(every)]
    assert len(names) == 2 < len(every)
    assert names == [d.name for d in every if d.name in names]


def test_effects_have_rows_with_means_intervals_and_n():
    every, _ = found(kernels(6))
    chart = effects_chart(every)
    first, second = chart["data"]["values"]
    assert (first["mean"], second["mean"], first["n"]) == (-0.05, 0.05, "n = 3")
    assert first["low"] == first["mean"] and effects_chart([]) is None


def test_phases_add_up_to_the_time_of_an_evaluation():
    expected = {
        "compile": 3.0, "trace": 1.0, "read programs": 0.5, "train": 1.5, "evaluate": 2.0,
        "rest": 1.0,
    }  # fmt: skip
    assert phases(9.0, TIMINGS) == expected
    assert phases(1.0, {"train_seconds": 1.0, "compile_seconds": 3.0})["train"] == 0.0


def test_time_is_summed_over_groups_of_trials_and_absent_where_not_recorded():
    results = [result(n, seconds=9.0, timings=TIMINGS) for n in range(120)]
    run = run_of([proposals([[n] for n in range(120)]), *results])
    rows = time_chart(run)["data"]["values"]
    compiling = [row for row in rows if row["phase"] == "compile"]
    assert len(compiling) == 60 and compiling[1] == {
        "first": 2, "end": 4, "phase": "compile", "seconds": 6.0,
    }  # fmt: skip
    assert time_chart(kernels(4)) is None


def of_workers(*numbers, seconds=9.0):
    """Return a run whose trials were evaluated by these workers, 30 s long."""
    results = [
        result(n, seconds=seconds, timings=TIMINGS | {WORKER: float(number)}, time=100.0 + 30 * n)
        for n, number in enumerate(numbers)
    ]
    batch = dataclasses.replace(proposals([[n] for n in range(len(numbers))]), time=100.0)
    return run_of([batch, *results])


def test_time_of_workers_is_stacked_up_to_the_wall_clock_time():
    chart = worker_chart(of_workers(0, 1, 0))
    # Bars of the grid's colour would hardly be seen.
    assert color("grid") not in chart["encoding"]["color"]["scale"]["range"]
    rows = chart["data"]["values"]
    by_phase = {
        name: {row["phase"]: row["seconds"] for row in rows if row["worker"] == name}
        for name in ("worker 0", "worker 1")
    }
    assert by_phase["worker 0"]["compile"] == 6.0 and by_phase["worker 1"]["compile"] == 3.0
    for phases_of in by_phase.values():
        assert sum(phases_of.values()) == 60.0  # from the first record to the last
    assert by_phase["worker 0"][WAIT] == 60.0 - 18.0


def test_time_by_worker_needs_two_recorded_workers():
    assert worker_chart(of_workers(0, 0)) is None
    results = [result(n, seconds=9.0, timings=TIMINGS) for n in range(4)]
    assert worker_chart(run_of([proposals([[n] for n in range(4)]), *results])) is None


def test_importances_are_rows_with_intervals_the_largest_first():
    every, _ = found(kernels(40))
    important = importances(kernels(40), every)
    (row,) = importance_chart(important)["data"]["values"]
    assert row["decision"] == "stage 1 kernel"
    assert row["low"] < row["median"] < row["high"]
    assert row["median"] == pytest.approx(0.05, rel=0.1)  # of rewards 0.5 and 0.6


def test_vega_lite_accepts_the_figures():
    vl_convert = pytest.importorskip("vl_convert")
    results = [
        result(
            n,
            0.5 + n % 3 / 100,
            seconds=9.0,
            timings=TIMINGS | {WORKER: float(n % 2)},
            architecture=network(3 + 2 * (n % 3)).to_dict(),
        )
        for n in range(12)
    ]
    batch = proposals([[n] for n in range(12)])
    (section,) = content.sections([run_of([batch, *results])], None)
    names = {chart.name: chart for chart in section.charts}
    ours = {"time", "workers", "decisions", "importance", "effects"}
    assert ours <= names.keys()
    for name in ours:
        whole = {**names[name].specification, "width": 600}
        svg = vl_convert.vegalite_to_svg(json.loads(json.dumps(style.literal(whole))))
        assert svg.startswith("<svg") and ("compile" in svg or "stage 1 kernel" in svg)
