"""Images per second by feed: all feeds are measured, and train to the same weights."""

import pytest

from mnas.experiments.performance import feeding
from mnas.experiments.performance.feeding import Arguments


def test_every_feed_is_measured_and_gives_equal_weights():
    logged: list[str] = []
    arguments = Arguments(images=256, resolution=8, rounds=1, readers=0)
    rows = feeding.measure(arguments, logged.append)
    assert [row.feed for row in rows] == ["on the device", "streamed by threads"]
    assert len(logged) == 2
    assert all(row.alone > row.training > 0 and row.equal_weights for row in rows)
    assert rows[0].ratio == 1


def test_ratios_are_to_images_on_the_device_in_the_same_round(monkeypatch):
    rates = iter([1.0, 10.0, 5.0, 20.0, 15.0])  # the first compiles
    weights = {"stem": {}}
    monkeypatch.setattr(feeding, "feed_rate", lambda *_: 100.0)
    monkeypatch.setattr(feeding, "training_rate", lambda *_: (next(rates), weights))
    arguments = Arguments(images=64, resolution=8, rounds=2, readers=0)
    _, row = feeding.measure(arguments, lambda line: None)
    assert (row.training, row.ratio) == (10, pytest.approx(0.625))
    assert (row.lowest, row.highest) == (0.5, 0.75)
