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


def progress_lines(path: Path, caplog: pytest.LogCaptureFixture, results: int) -> list[str]:
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
    lines = list(caplog.messages)
    caplog.clear()
    return lines


def numbers(lines: list[str]) -> list[str]:
    """Return the counts of trials at the beginning of lines."""
    return [line.split()[0] for line in lines]


@pytest.fixture(autouse=True)
def level(caplog):
    caplog.set_level("INFO", "mnas")


@pytest.fixture
def slow(monkeypatch):
    """A clock of which every reading is 70 seconds after the one before."""
    clock = itertools.count(step=70)
    reading = SimpleNamespace(monotonic=lambda: next(clock))
    monkeypatch.setattr("mnas.reports.console.time", reading)
    monkeypatch.setattr("mnas.reports.time_left.time", reading)


def test_counts_failed_and_stopped_children_over_the_whole_search(tmp_path, caplog):
    lines = progress_lines(tmp_path / "journal.jsonl", caplog, results=6)
    counts = [line[line.index("  failed") :] for line in lines]
    assert counts == ["  failed 1  stopped 1", "  failed 2  stopped 1", "  failed 2  stopped 2"]
    assert numbers(lines) == ["2/6", "4/6", "6/6"]


def test_resumed_search_counts_earlier_results(tmp_path, caplog):
    path = tmp_path / "journal.jsonl"
    progress_lines(path, caplog, results=3)
    first, second = progress_lines(path, caplog, results=6)
    assert numbers([first, second]) == ["4/6", "6/6"]
    assert "  failed 2  stopped 1" in first and "  failed 2  stopped 2" in second


def test_omits_counts_of_zero(tmp_path, caplog, monkeypatch):
    monkeypatch.setitem(globals(), "OUTCOMES", [Evaluation(0.5)] * 6)
    lines = progress_lines(tmp_path / "journal.jsonl", caplog, results=6)
    assert len(lines) == 3
    assert not any("failed" in line or "stopped" in line for line in lines)


def test_logs_progress_within_a_long_batch(tmp_path, caplog, slow):
    lines = progress_lines(tmp_path / "journal.jsonl", caplog, results=6)
    # The last result of a batch is in the batch's own line.
    assert numbers(lines) == ["1/6", "2/6", "3/6", "4/6", "5/6", "6/6"]
    assert ["mean" in line for line in lines] == [False, True] * 3


@pytest.mark.parametrize("results", range(6))
def test_logs_the_first_result_after_resuming_within_a_long_batch(tmp_path, caplog, slow, results):
    path = tmp_path / "journal.jsonl"
    progress_lines(path, caplog, results)
    assert numbers(progress_lines(path, caplog, results + 1)) == [f"{results + 1}/6"]


def test_preparation_logs_its_first_and_last_steps_and_one_a_minute(caplog, monkeypatch):
    clock = itertools.count(0, 25)  # seconds
    monkeypatch.setattr("mnas.reports.console.time", SimpleNamespace(monotonic=lambda: next(clock)))
    progress = SearchProgress()
    for step in range(8):
        progress.prepare(step, 7, f"loss {step}")
    lines = caplog.messages
    assert lines[0] == "loss 0, step 0/7"
    assert lines[-1] == "loss 7, step 7/7"
    assert len(lines) == 4


def test_preparation_may_have_several_parts(caplog):
    with SearchProgress() as progress:
        for line, total in (("bank", 3), ("scores", 2)):
            for step in range(1, total + 1):
                progress.prepare(step, total, line)
    assert [line for line in caplog.messages if line.endswith(("3/3", "2/2"))] == [
        "bank, step 3/3",
        "scores, step 2/2",
    ]


def searched(path: Path, trials: int, batch: int, **settings: str) -> None:
    """Run a search of networks whose accuracies are given by their numbers."""
    with Journal(path) as journal:
        space, progress = EfficientNetSpace(resolution=224).build(), SearchProgress(**settings)
        config = SearchConfig(trials=trials, batch=batch)
        controller = RandomSearch().build(space)
        search = Search(space, controller, RewardConfig(), config, journal, (progress,))
        progress.follow(search)
        while (trial := search.ask()) is not None:
            search.tell(trial, Evaluation(0.5 + trial.number / 10000))


def test_time_left_is_shown_once_it_is_known_and_lines_fit_80_columns(tmp_path, caplog, slow):
    searched(tmp_path / "journal.jsonl", trials=1000, batch=100, accuracy="predicted")
    lines = [line for line in caplog.messages if "mean" in line]
    assert len(lines) == 10 and max(map(len, caplog.messages)) <= 80
    assert all(": predicted 0." in line and "M mult-adds" in line for line in lines)
    assert " left" not in caplog.messages[0]
    assert [line.endswith(" left") for line in lines] == [True] * 9 + [False]


def test_records_have_the_figures_of_their_lines(tmp_path, caplog):
    caplog.set_level("DEBUG", "mnas")
    searched(tmp_path / "journal.jsonl", trials=4, batch=2)
    fields = [record.fields for record in caplog.records if hasattr(record, "fields")]
    events = [each["event"] for each in fields]
    assert events == ["trial", "trial", "batch", "trial", "trial", "batch"]
    batch = fields[2]
    assert (batch["batch"], batch["trials"], batch["total"], batch["failed"]) == (0, 2, 4, 0)
    assert batch["best"]["accuracy"] in (0.5, 0.5001) and batch["seconds_left"] is None
    assert {fields[0]["trial"], fields[1]["trial"]} == {0, 1} and fields[0]["accuracy"] < 0.51
    debug = [record.getMessage() for record in caplog.records if record.levelname == "DEBUG"]
    assert all(line.startswith("trial ") and "mult-adds" in line for line in debug)
