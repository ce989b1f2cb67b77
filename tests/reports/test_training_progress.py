"""Progress of a training on a terminal and without one."""

import io

import pytest
from rich.console import Console

from mnas.reports import training_progress
from mnas.reports.training_log import EpochRow
from mnas.reports.training_progress import TrainingProgress


class Clock:
    """Time that tests set."""

    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(training_progress, "time", clock)
    return clock


@pytest.fixture(autouse=True)
def level(caplog):
    caplog.set_level("INFO", "mnas")


def console():
    return Console(file=io.StringIO(), width=100)


def row(epoch, rate=None):
    return EpochRow(epoch, 4 * epoch, 1.5, 0.25, 0.1, rate, None)


def test_epochs_have_rate_and_time_left(clock, caplog):
    with TrainingProgress(console(), epochs=3, steps=4, batch_size=10) as progress:
        for step in range(1, 5):
            clock.now = 50 + 2 * (step - 1)  # the first step compiles, for 50 s
            progress.on_step(step)
        progress.on_epoch(row(1, 5.0))
    # 2 s a step, 8 steps left
    assert caplog.messages == ["epoch   1/3  loss 1.5000  accuracy 0.2500  5 images/s  0:16 left"]


def test_long_epochs_log_a_line_a_minute(clock, caplog):
    with TrainingProgress(console(), epochs=1, steps=1000, batch_size=10) as progress:
        for step in range(1, 91):
            clock.now = step
            progress.on_step(step)
    assert caplog.messages == ["epoch   1/1  step 60/1000  10 images/s  15:40 left"]


def test_resumed_training_counts_the_steps_before(clock, caplog):
    with TrainingProgress(console(), epochs=2, steps=4, batch_size=10, done=5) as progress:
        for step in (2, 3, 4):
            clock.now += 1
            progress.on_step(step)
        progress.on_epoch(row(2))
    assert caplog.messages == ["epoch   2/2  loss 1.5000  accuracy 0.2500  0:00 left"]
