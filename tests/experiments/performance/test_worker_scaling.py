"""Scaling over cores: ratios within rounds, and the limit of the machine."""

import pytest

from mnas.experiments.performance import worker_scaling
from mnas.experiments.performance.limits import Limits
from mnas.experiments.performance.worker_scaling import Arguments, Round


def test_ratios_are_to_one_pinned_worker_in_the_same_round(monkeypatch):
    hourly = iter([1.0, 1.0, 1.0, 1.0, 10.0, 18.0, 17.0, 11.0, 20.0, 38.0, 36.0, 19.0])
    monkeypatch.setattr(worker_scaling, "allowed_cores", lambda: [0, 1])
    monkeypatch.setattr(worker_scaling, "in_new_process", lambda *_: Round(next(hourly), 3.0, 0.1))
    logged: list[str] = []
    rows = worker_scaling.rates(Arguments(rounds=2), logged.append)
    assert [(row.workers, row.threads, row.pinned) for row in rows] == [
        (1, 1, True),
        (2, 1, True),
        (2, 1, False),
        (1, 2, True),
    ]
    assert [row.ratio for row in rows] == pytest.approx([1, 1.85, 1.75, 1.025])
    assert (rows[1].lowest, rows[1].highest) == pytest.approx((1.8, 1.9))
    assert rows[1].children_per_hour == 28 and len(logged) == 8


def test_the_limit_of_the_machine_sums_over_cores(monkeypatch):
    processes_asked = []

    def limits_at_once(processes, seconds):
        processes_asked.append(processes)
        limits = Limits(10.0 - processes, dict.fromkeys((1, 16, 64), 5.0 - processes), {})
        return [limits] * processes

    monkeypatch.setattr(worker_scaling, "allowed_cores", lambda: [0, 1])
    monkeypatch.setattr(worker_scaling, "limits_at_once", limits_at_once)
    ratios = [ceiling.ratio for ceiling in worker_scaling.ceilings()]
    assert processes_asked == [1, 2]
    assert ratios == pytest.approx([2 * 8 / 9, *3 * [2 * 3 / 4]])


def test_rejects_numbers_that_measure_nothing():
    with pytest.raises(ValueError, match="children = 0; accepted: a whole number of at least 1"):
        Arguments(children=0)
