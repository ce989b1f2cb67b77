"""Progress lines of a running search."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest

from mnas.controllers.random_search import RandomSearch
from mnas.evaluation import Evaluation, failure
from mnas.loop.config import SearchConfig
from mnas.loop.journal import Journal
from mnas.loop.search import Search
from mnas.reports.console import SearchProgress
from mnas.reward import RewardConfig
from mnas.search_spaces.efficientnet import EfficientNetSpace

OUTCOMES = [
    failure("lost"),
    Evaluation(0.3, epochs=1, history=((1, 0.3),), stopped=True),
    Evaluation(0.5),
    failure("lost"),
    Evaluation(0.6),
    Evaluation(0.2, epochs=1, history=((1, 0.2),), stopped=True),
]


def progress_lines(path: Path, capsys: pytest.CaptureFixture, results: int) -> list[str]:
    """Return the lines of a search with batches of two, until it has `results` results."""
    with Journal(path) as journal:
        space, progress = EfficientNetSpace(resolution=32).build(), SearchProgress()
        config = SearchConfig(trials=6, batch=2, failed_batches=0)
        controller = RandomSearch().build(space)
        search = Search(space, controller, RewardConfig(), config, journal, (progress,))
        progress.follow(search)
        while len(search.results) < results:
            trial = search.ask()
            search.tell(trial, OUTCOMES[trial.number])
    return capsys.readouterr().err.splitlines()


def test_counts_failed_and_stopped_children_over_the_whole_search(tmp_path, capsys):
    lines = progress_lines(tmp_path / "journal.jsonl", capsys, results=6)
    counts = [line[line.index("  failed") : line.rindex("  ")] for line in lines]
    assert counts == ["  failed 1  stopped 1", "  failed 2  stopped 1", "  failed 2  stopped 2"]
    assert [line.split("trials")[1].split()[0] for line in lines] == ["2/6", "4/6", "6/6"]


def test_resumed_search_counts_earlier_results(tmp_path, capsys):
    path = tmp_path / "journal.jsonl"
    progress_lines(path, capsys, results=3)
    first, second = progress_lines(path, capsys, results=6)
    assert "trials    4/6" in first and "  failed 2  stopped 1  " in first
    assert "trials    6/6" in second and "  failed 2  stopped 2  " in second


def test_omits_counts_of_zero(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(globals(), "OUTCOMES", [Evaluation(0.5)] * 6)
    lines = progress_lines(tmp_path / "journal.jsonl", capsys, results=6)
    assert not any("failed" in line or "stopped" in line for line in lines)


def test_logs_progress_within_a_long_batch(tmp_path, capsys, monkeypatch):
    clock = itertools.count(step=70)  # Seconds between calls.
    monkeypatch.setattr("mnas.reports.console.time", SimpleNamespace(monotonic=lambda: next(clock)))
    lines = progress_lines(tmp_path / "journal.jsonl", capsys, results=6)
    batches = [line for line in lines if line.startswith("batch")]
    between = [line for line in lines if line.lstrip().startswith("trials")]
    assert len(batches) == 3 and len(lines) == len(batches) + len(between)
    # The last result of a batch is in the batch's own line.
    assert [line.split()[1] for line in between] == ["1/6", "3/6", "5/6"]
    assert all("mean reward" in line for line in batches)
    assert not any("mean reward" in line for line in between)
    assert all(line.endswith(" left") for line in lines)


@pytest.mark.parametrize("results", range(6))
def test_logs_the_first_result_after_resuming_within_a_long_batch(
    tmp_path, capsys, monkeypatch, results
):
    path = tmp_path / "journal.jsonl"
    progress_lines(path, capsys, results)
    clock = itertools.count(step=70)  # Seconds between calls.
    monkeypatch.setattr("mnas.reports.console.time", SimpleNamespace(monotonic=lambda: next(clock)))
    lines = progress_lines(path, capsys, results + 1)
    counts = [line.split("trials")[1].split()[0] for line in lines]
    assert counts == [f"{results + 1}/6"] and lines[0].endswith(" left")


def test_preparation_logs_its_first_and_last_steps_and_one_a_minute(capsys, monkeypatch):
    clock = itertools.count(0, 25)  # seconds
    monkeypatch.setattr("mnas.reports.console.time.monotonic", lambda: next(clock))
    progress = SearchProgress()
    for step in range(8):
        progress.prepare(step, 7, f"loss {step}")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "loss 0, step 0/7"
    assert lines[-1] == "loss 7, step 7/7"
    assert len(lines) == 4
