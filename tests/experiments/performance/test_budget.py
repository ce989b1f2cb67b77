"""The budget: hours by hand, units, a machine and a job of one's own."""

import json
from pathlib import Path

import pytest

from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.errors import UsageError
from mnas.experiments.performance import budget
from mnas.experiments.performance.budget import Job, Machine, duration, hours

ROOT = Path(__file__).parents[3]


def test_hours_of_a_search_by_hand():
    # 3 · 1,000 images and 600 / 3 for validation: 3,200 passes of 10⁷ / 2·10⁹ s + 1 ms = 6 ms are
    # 19.2 s a network; 100 of them on 4 workers that train half of the time 960 s; and 40 s.
    machine = Machine("m", 4, 2.0, latency_us=1000, busy=0.5, compile_minutes=2 / 3)
    assert hours(Job("j", 100, 1_000, 3, 1e7, 600), machine) == pytest.approx(1000 / 3600)


def test_hours_of_fewer_trainings_than_workers_by_hand():
    # 10 · 1,000 images of 5 ms are 50 s a network; three, one after the other, at double speed.
    machine = Machine("m", 4, 2.0, busy=0.5, together=2.0, compile_minutes=60)
    assert hours(Job("j", 3, 1_000, 10, 1e7, search=False), machine) == pytest.approx(75 / 3600)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(0.016, "under 1 min"), (0.051, "3.1 min"), (1.49, "89 min"), (1.6, "1.6 h")],
        *[(71.4, "71 h"), (72, "3 days"), (8736, "360 days"), (8766 * 1234, "1,200 years")],
    ],
)
def test_durations_have_a_readable_unit(value, text):
    assert duration(value) == text


def test_table_of_the_page_is_that_of_the_command(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert budget.main([]) == 0
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    page = (ROOT / "docs" / "results" / "budget.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").replace("|", " ").split() for line in page.splitlines() if "|" in line]
    assert len(printed) == len(budget.JOBS) + 1
    for line in printed[1:]:
        assert line in rows, " ".join(line)


def test_a_machine_and_a_job_of_ones_own(capsys):
    flags = ["--images-per-second", "2k", "--workers", "8", "--latency-us", "100", "--samples"]
    flags += ["80", "--images", "1000", "--epochs", "2", "--madds", "0.1M", "--json"]
    assert budget.main(flags) == 0
    result = json.loads(capsys.readouterr().out)
    madds = network_cost(PUBLISHED["efficientnet-b0"]).mult_adds
    (machine,), (row,) = result["machines"], result["jobs"]
    assert machine["gmadds"] == pytest.approx(madds / 400e-6 / 1e9)  # 500 µs less 100
    # 80 · 2,000 images / 8 of 100 µs and 0.1M / (385.8M / 400 µs) = 0.104 µs
    assert row["hours"] == pytest.approx([20_000 * 100.104e-6 / 3600], rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "workers = 0"),
        ({"images_per_second": -1.0}, "images_per_second = -1.0"),
        ({"busy": 1.5}, "busy = 1.5"),
        ({"together": 2.0}, "together = 2.0; accepted: a number above 0 and at most 1"),
        ({"madds": float("nan")}, "madds = nan"),
        ({"samples": 0}, "samples = 0"),
    ],
)
def test_settings_out_of_range_are_rejected(settings, message):
    with pytest.raises(UsageError, match=rf"^budget: {message}"):
        budget.Arguments(**settings)


def test_a_latency_beyond_the_time_of_an_image_is_rejected():
    with pytest.raises(UsageError, match="latency_us = 500 is longer than the 400 microseconds"):
        budget.Arguments(images_per_second=2500, latency_us=500).machines()
