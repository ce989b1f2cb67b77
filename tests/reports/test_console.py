"""What the lines of a running search count."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
from mnas.controllers.random_search import RandomSearch
from mnas.search_spaces.efficientnet import EfficientNetSpace

from mnas.evaluation import Evaluation, failure
from mnas.loop.config import SearchConfig
from mnas.loop.journal import FORMAT, Journal
from mnas.loop.search import Search
from mnas.reports.console import SearchProgress
from mnas.reward import RewardConfig

OUTCOMES = [
    failure("lost"),
    Evaluation(0.3, epochs=1, history=((1, 0.3),), stopped=True),
    Evaluation(0.5),
    failure("lost"),
    Evaluation(0.6),
    Evaluation(0.2, epochs=1, history=((1, 0.2),), stopped=True),
]


def shown(path: Path, capsys: pytest.CaptureFixture, results: int) -> list[str]:
    """The lines of a search of batches of two, until it has so many results."""
    with Journal(path) as journal:
        if not journal.records:
            journal.append({"kind": "experiment", "format": FORMAT})
        space, progress = EfficientNetSpace(resolution=32).build(), SearchProgress()
        config = SearchConfig(trials=6, batch=2, failed_batches=0)
        controller = RandomSearch().build(space)
        search = Search(space, controller, RewardConfig(), config, journal, (progress,))
        progress.follow(search)
        while len(search.results) < results:
            trial = search.ask()
            search.tell(trial, OUTCOMES[trial.number])
    return capsys.readouterr().err.splitlines()


def test_failed_and_stopped_children_are_counted_once_over_the_search(tmp_path, capsys):
    lines = shown(tmp_path / "journal.jsonl", capsys, results=6)
    counts = [line[line.index("  failed") : line.rindex("  ")] for line in lines]
    assert counts == ["  failed 1  stopped 1", "  failed 2  stopped 1", "  failed 2  stopped 2"]
    assert [line.split("trials")[1].split()[0] for line in lines] == ["2/6", "4/6", "6/6"]


def test_a_resumed_search_counts_those_before_it(tmp_path, capsys):
    path = tmp_path / "journal.jsonl"
    shown(path, capsys, results=3)
    first, second = shown(path, capsys, results=6)
    assert "trials    4/6" in first and "  failed 2  stopped 1  " in first
    assert "trials    6/6" in second and "  failed 2  stopped 2  " in second


def test_nothing_is_said_of_what_did_not_happen(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(globals(), "OUTCOMES", [Evaluation(0.5)] * 6)
    lines = shown(tmp_path / "journal.jsonl", capsys, results=6)
    assert not any("failed" in line or "stopped" in line for line in lines)


def test_a_long_batch_is_heard_of_before_its_end(tmp_path, capsys, monkeypatch):
    clock = itertools.count(step=70)  # seconds from one look at it to the next
    monkeypatch.setattr("mnas.reports.console.time", SimpleNamespace(monotonic=lambda: next(clock)))
    lines = shown(tmp_path / "journal.jsonl", capsys, results=6)
    batches = [line for line in lines if line.startswith("batch")]
    between = [line for line in lines if line.lstrip().startswith("trials")]
    assert len(batches) == 3 and len(lines) == len(batches) + len(between)
    # Whose last result comes with the batch's own line.
    assert [line.split()[1] for line in between] == ["1/6", "3/6", "5/6"]
    assert all("mean reward" in line for line in batches)
    assert not any("mean reward" in line for line in between)
    assert all(line.endswith(" left") for line in lines)
