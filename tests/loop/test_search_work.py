"""Work per result and per batch does not grow with the search."""

import sys
from functools import partial

import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.controllers.random_search import RandomSearch
from mnas.evaluation import Evaluation
from mnas.loop.config import SearchConfig
from mnas.loop.early_stopping import StoppingConfig
from mnas.loop.journal import Journal
from mnas.loop.search import Search
from mnas.reports.console import SearchProgress
from mnas.reward import RewardConfig
from mnas.space import OneOf, Space


def lines_run(function) -> int:
    """Return the number of lines of `mnas` that a call runs, a measure of work without a clock."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        if "/mnas/" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


def space_of_alike_networks() -> Space:
    """Return a space whose networks run the same lines: hardly a stage occurs twice in a search."""

    def stage():
        return partial(Block, kernel=OneOf(3, 5, 7), stride=1, filters=OneOf(*range(8, 80_000, 8)))

    stages = tuple(stage() for _ in range(4))
    return Space("alike", partial(Architecture, resolution=32, blocks=stages))


def lines_for_each_tell(tmp_path, trials: int, batch: int) -> list[int]:
    """Return the lines run by each `tell` of a search's last batch; the last one updates."""
    config = SearchConfig(trials=trials, batch=batch)
    space = space_of_alike_networks()
    path = tmp_path / f"{trials}-{batch}.jsonl"
    progress = SearchProgress()
    with Journal(path) as journal:
        controller = RandomSearch().build(space)
        search = Search(space, controller, RewardConfig(), config, journal, (progress,))
        progress.follow(search)
        while len(search.results) < trials - batch:
            search.tell(search.ask(), Evaluation(0.5))
        handed = list(iter(search.ask, None))
        counts = [lines_run(partial(search.tell, trial, Evaluation(0.5))) for trial in handed]
    return counts


def test_work_per_result_grows_with_neither_search_nor_batch(tmp_path, monkeypatch):
    monkeypatch.setattr("mnas.loop.journal.os.fsync", lambda file: None)
    # Later than the first two batches, whose updates also check for failures.
    few = lines_for_each_tell(tmp_path, trials=40, batch=10)
    late = lines_for_each_tell(tmp_path, trials=210, batch=10)
    many = lines_for_each_tell(tmp_path, trials=200, batch=200)
    # A loop over two hundred results or trials would show.
    typical = np.median(few[:-1])
    assert np.median(late[:-1]) == pytest.approx(typical, rel=0.1)
    assert np.median(many[:-1]) == pytest.approx(typical, rel=0.1)
    # An update depends on its own batch only.
    assert late[-1] == pytest.approx(few[-1], rel=0.1)


def lines_for_a_batch(tmp_path, batches: int) -> int:
    """Return the lines run by the `ask` that proposes a batch of one, with early stopping."""
    stopping = StoppingConfig(0.01, min_curves=1)
    # A seed of its own: stages of an earlier search's networks are kept.
    config = SearchConfig(batches + 1, batch=1, seed=batches, stopping=stopping)
    path = tmp_path / f"{batches}.jsonl"
    evaluation = Evaluation(0.5, epochs=3, history=((1, 0.3), (2, 0.4), (3, 0.5)))
    with Journal(path) as journal:
        space = space_of_alike_networks()
        search = Search(space, RandomSearch().build(space), RewardConfig(), config, journal)
        while len(search.results) < batches:
            if (trial := search.ask()) is not None:
                search.tell(trial, evaluation)
        return lines_run(search.ask)


def test_work_per_batch_does_not_grow_with_early_stopping(tmp_path, monkeypatch):
    monkeypatch.setattr("mnas.loop.journal.os.fsync", lambda file: None)
    few, late = (lines_for_a_batch(tmp_path, batches) for batches in (5, 205))
    assert late == pytest.approx(few, rel=0.1)
