"""Progress of further measurements in the log."""

import io
import itertools
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.progress import Progress

from mnas.loop.records import RemeasuredRecord, RemeasureRecord
from mnas.loop.rounds import Rounds
from mnas.reports import remeasuring_progress
from mnas.reports.remeasuring_progress import RemeasuringProgress

ROUND = RemeasureRecord(selection="measured", top=2, seeds=2, results=9, trials=(4, 2))
KEYS = [(4, 0), (2, 0), (4, 1), (2, 1)]


@pytest.fixture(autouse=True)
def level(caplog):
    caplog.set_level("DEBUG", "mnas")


def measured(trial, number, error=None):
    accuracy = None if error else 0.5
    return RemeasuredRecord(
        trial=trial, number=number, seed=1, reward=0.5, accuracy=accuracy, error=error, seconds=2.0
    )


def follow(records, before=()):
    """Show the records of a round that already has those before."""
    rounds = Rounds(before)
    bar = Progress(console=Console(file=io.StringIO()), disable=True)
    progress = RemeasuringProgress(bar, rounds)
    for record in records:
        rounds.add(record)
        progress(record)
    (task,) = bar.tasks
    return task


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "INFO"]


def test_beginning_and_end_are_logged_and_each_measurement_in_detail(caplog):
    records = [measured(*key) for key in KEYS[:3]]
    task = follow([ROUND, *records, measured(2, 1, error="lost")])
    assert (task.completed, task.total) == (4, 4)
    assert lines(caplog) == [
        "measuring the best 2 networks again: 4 evaluations",
        "measured again 4/4",
    ]
    details = [record.getMessage() for record in caplog.records if record.levelname == "DEBUG"]
    assert details[0] == "trial 4 measured again: accuracy 0.5000, 2.0 s"
    assert details[3] == "trial 2 measured again: failed: lost, 2.0 s"


def test_a_resumed_round_counts_what_it_has(caplog):
    task = follow([measured(*KEYS[3])], [ROUND, *(measured(*key) for key in KEYS[:3])])
    assert (task.completed, task.total) == (4, 4)
    assert lines(caplog) == ["measured again 4/4"]


def test_a_long_round_is_logged_within(caplog, monkeypatch):
    clock = itertools.count(step=70)
    reading = SimpleNamespace(monotonic=lambda: next(clock))
    monkeypatch.setattr(remeasuring_progress, "time", reading)
    follow([ROUND, *(measured(*key) for key in KEYS)])
    found = [line.split("  ")[0] for line in lines(caplog)[1:]]
    assert found == [f"measured again {done}/4" for done in (1, 2, 3, 4)]
