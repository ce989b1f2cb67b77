"""Overhead of the driver, by complete searches without training."""

import json

import pytest

from mnas.experiments.performance import engine_scaling


def test_reports_the_overhead_at_each_mark():
    rows = engine_scaling.overhead("inline", "random", (16, 48))
    assert [row.trials for row in rows] == [16, 48]
    assert all(row.wall_ms > 0 and row.rss_mib > 0 for row in rows)
    assert all(row.percent_of_10_s_child == pytest.approx(row.wall_ms / 100) for row in rows)


def test_prints_one_json_object(capsys):
    flags = ["--engines", "--sleepers", "--workers", "2", "--json"]
    assert engine_scaling.main(flags) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["overhead"] == []
    assert [row["batch"] for row in printed["utilization"]] == [2, 4, 8, 16, 2, 2]
