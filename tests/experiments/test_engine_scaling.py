"""What the driver of a search costs: real searches of nothing, and workers in virtual time."""

import json

import pytest
from mnas.experiments.performance import engine_scaling, worker_scaling
from mnas.experiments.performance.engine_scaling import (
    MEDIAN_MADDS,
    Sleep,
    duration,
    overhead,
    simulated,
)
from mnas.experiments.performance.roofline import Limits


def test_overhead_of_each_mark():
    rows = overhead("inline", "random", (16, 48))
    assert [row.trials for row in rows] == [16, 48]
    assert all(row.wall_ms > 0 and row.rss_mib > 0 for row in rows)
    assert all(row.of_10_s == pytest.approx(row.wall_ms / 100) for row in rows)


def test_children_of_equal_length_keep_workers_busy(monkeypatch):
    monkeypatch.setattr(engine_scaling, "duration", lambda config, madds, seed: config.seconds)
    used = simulated(4, 8, 0, Sleep(60.0, 0.0), engine_ms=0.0)
    assert used.trials == 4 * 8
    assert used.utilization == pytest.approx(1, abs=0.02)


def test_more_and_shorter_children_a_worker_wait_less():
    child = Sleep(60.0, 0.0)
    used = [simulated(4, batch, 0, child, engine_ms=0.0) for batch in (4, 8, 32)]
    assert [row.trials for row in used] == [16, 32, 128]
    assert used[0].utilization < used[1].utilization < used[2].utilization
    assert used[2].utilization == pytest.approx(1, abs=0.05)


def test_children_of_unequal_length_wait_at_the_barrier():
    child = Sleep(60.0, 0.5)
    small, large = (simulated(8, batch, 0, child, engine_ms=0.0).utilization for batch in (8, 64))
    assert small < large < 1


def test_a_batch_of_one_child_lasts_as_long_as_its_child():
    # One worker: nothing to wait for, so it is busy but for what the driver takes.
    assert simulated(1, 1, 0, Sleep(60.0, 0.5), engine_ms=0.0).utilization > 0.98


def test_durations_follow_mult_adds_and_seed():
    child, madds = Sleep(2.0, 0.3), int(MEDIAN_MADDS)
    assert duration(child, madds, 1) == duration(child, madds, 1) != duration(child, madds, 2)
    assert duration(child, 2 * madds, 1) == pytest.approx(2 * duration(child, madds, 1))
    assert duration(Sleep(2.0, 0.0), madds, 1) == 2.0


def test_json(capsys):
    flags = ["--engines", "--sleepers", "--workers", "2", "--json"]
    assert engine_scaling.main(flags) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["overhead"] == []
    assert [row["batch"] for row in found["utilization"]] == [2, 4, 8, 16, 2, 2]


def test_ratios_are_to_one_pinned_worker_in_the_same_round(monkeypatch):
    rounds = iter([1.0, 1.0, 1.0, 1.0, 10.0, 18.0, 17.0, 11.0, 20.0, 38.0, 36.0, 19.0])
    monkeypatch.setattr(worker_scaling, "allowed_cores", lambda: [0, 1])
    monkeypatch.setattr(worker_scaling, "apart", lambda *_: (next(rounds), 3.0, 0.1))
    said: list[str] = []
    rows = worker_scaling.rates(worker_scaling.Arguments(rounds=2), said.append)
    assert [(row.workers, row.threads, row.pinned) for row in rows] == [
        (1, 1, True),
        (2, 1, True),
        (2, 1, False),
        (1, 2, True),
    ]
    assert [row.ratio for row in rows] == pytest.approx([1, 1.85, 1.75, 1.025])
    assert (rows[1].least, rows[1].most) == pytest.approx((1.8, 1.9))
    assert rows[1].children_per_hour == 28 and len(said) == 8


def test_what_the_machine_allows_is_the_sum_over_cores(monkeypatch):
    asked = []

    def at_once(processes, seconds):
        asked.append(processes)
        found = Limits(10.0 - processes, dict.fromkeys((1, 16, 64), 5.0 - processes), {})
        return [found] * processes

    monkeypatch.setattr(worker_scaling, "allowed_cores", lambda: [0, 1])
    monkeypatch.setattr(worker_scaling, "limits_at_once", at_once)
    ratios = [ceiling.ratio for ceiling in worker_scaling.ceilings()]
    assert asked == [1, 2]
    assert ratios == pytest.approx([2 * 8 / 9, *3 * [2 * 3 / 4]])


def test_numbers_that_measure_nothing_are_refused():
    with pytest.raises(ValueError, match=r"children = 0; accepted: at least 1"):
        worker_scaling.Arguments(children=0)
