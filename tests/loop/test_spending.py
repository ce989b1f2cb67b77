"""Processor time of evaluations with that of what they share."""

import pytest

from mnas.evaluation import CPU_SECONDS, SHARED_CPU_SECONDS
from mnas.loop.spending import Spending, spending


def test_what_is_shared_counts_once_for_all_evaluations():
    timings = [{CPU_SECONDS: seconds, SHARED_CPU_SECONDS: 30.0} for seconds in (1.0, 2.0, 6.0)]
    found = spending([*timings, {}])  # the last one copies an earlier evaluation
    assert found == Spending(3, 9.0, 30.0)
    assert found.per_child == 13.0


def test_without_anything_shared_it_is_the_mean():
    assert spending([{CPU_SECONDS: 1.0}, {CPU_SECONDS: 2.0}]).per_child == 1.5


@pytest.mark.parametrize("timings", [[], [{}], [{"train_seconds": 1.0}]])
def test_where_nothing_was_measured_it_is_unknown(timings):
    assert spending(timings) is None
