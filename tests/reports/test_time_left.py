"""Estimates of the time left: near the truth from the first that is shown."""

import itertools

import pytest
from rich.console import Console
from rich.progress import Progress

from mnas.reports.time_left import TimeLeft, TimeLeftColumn


def ratios(moments, total):
    """Return the estimates that are known, over the true time left, as parts end at `moments`."""
    left = TimeLeft(total)
    found = []
    for done, moment in enumerate(moments, start=1):
        left.note(done, moment)
        if done < total - 1 and (seconds := left.seconds()) is not None:
            found.append(seconds / (moments[-1] - moment))
    return found


def moments_of(seconds):
    return list(itertools.accumulate(seconds))


@pytest.mark.parametrize(
    "seconds",
    [
        [20.0] + [0.1] * 100,  # the first part compiles
        [20.0, 10.0] + [0.1] * 100,
        [5.0, 3.0, 2.0] + [1.0] * 40,
        [1.0] * 50,
        [100.0, 0.001] * 10,  # two workers end their parts together
        [1.0 + 0.05 * n for n in range(100)],
    ],
    ids=str,
)
def test_estimates_that_are_shown_are_within_a_factor_of_four(seconds):
    found = ratios(moments_of(seconds), len(seconds))
    assert len(found) > len(seconds) / 4
    assert min(found) > 0.25 and max(found) < 4


def test_nothing_is_known_from_three_parts():
    left = TimeLeft(10)
    assert left.text() == "" and left.rate is None
    for done, moment in ((1, 30.0), (2, 31.0), (3, 32.0), (4, 33.0)):
        assert left.seconds() is None and left.text() == "" and left.rate is None
        left.note(done, moment)
    assert left.seconds() == 6 and left.text() == "0:06 left" and left.rate == 1


def test_a_sudden_change_makes_it_unknown():
    left = TimeLeft(100)
    for done in range(1, 7):
        left.note(done, float(done))
    assert left.seconds() == 94
    left.note(7, 500.0)
    assert left.seconds() is None


def test_parts_done_before_do_not_count_as_fast():
    left = TimeLeft(1000, done=990)
    for done in range(991, 995):
        left.note(done, 10.0 * done)
    assert left.seconds() == 60


def test_hours_are_shown_as_hours():
    left = TimeLeft(100)
    for done in range(1, 5):
        left.note(done, done * 75.0)
    assert left.text() == "2.0 h left"
    left.note(5, 5 * 75.0)
    assert left.text() == "2.0 h left"
    slow = TimeLeft(1000)
    for done in range(1, 5):
        slow.note(done, done * 360.0)
    assert slow.text() == "100 h left"


def test_the_end_leaves_no_time():
    left = TimeLeft(1)
    left.note(1, 5.0)
    assert left.text() == "0:00 left"


def test_column_of_a_bar_shows_the_time_left(monkeypatch):
    clock = itertools.count(step=2)
    monkeypatch.setattr("mnas.reports.time_left.time.monotonic", lambda: float(next(clock)))
    with Progress(disable=True, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=10)
        column, shown = TimeLeftColumn(), []
        for done in range(6):
            bar.update(task, completed=done)
            shown.append(column.render(bar.tasks[0]).plain)
    assert shown == ["", "", "", "", "0:12 left", "0:10 left"]
