"""Workers in virtual time."""

import pytest

from mnas.experiments.performance.harness import MEDIAN_MADDS, Sleep
from mnas.experiments.performance.simulation import simulate


def minute(mult_adds, seed):
    return 60.0


def test_children_of_equal_length_keep_workers_busy():
    result = simulate(4, 8, 0, minute, engine_ms=0.0)
    assert result.trials == 4 * 8
    assert result.utilization == pytest.approx(1, abs=0.02)


def test_larger_batches_raise_utilization():
    child = Sleep(60.0, 0.0)
    results = [simulate(4, batch, 0, child.duration, engine_ms=0.0) for batch in (4, 8, 32)]
    assert [result.trials for result in results] == [16, 32, 128]
    assert results[0].utilization < results[1].utilization < results[2].utilization
    assert results[2].utilization == pytest.approx(1, abs=0.05)


def test_children_of_unequal_length_wait_at_the_barrier():
    child = Sleep(60.0, 0.5)
    small, large = (
        simulate(8, batch, 0, child.duration, engine_ms=0.0).utilization for batch in (8, 64)
    )
    assert small < large < 1


def test_a_single_worker_never_waits_for_another():
    child = Sleep(60.0, 0.5)
    assert simulate(1, 1, 0, child.duration, engine_ms=0.0).utilization > 0.98


def test_durations_follow_mult_adds_and_seed():
    child, mult_adds = Sleep(2.0, 0.3), int(MEDIAN_MADDS)
    assert child.duration(mult_adds, 1) == child.duration(mult_adds, 1)
    assert child.duration(mult_adds, 1) != child.duration(mult_adds, 2)
    assert child.duration(2 * mult_adds, 1) == pytest.approx(2 * child.duration(mult_adds, 1))
    assert Sleep(2.0, 0.0).duration(mult_adds, 1) == 2.0
