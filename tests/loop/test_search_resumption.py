"""A search is the same in any order of results and after resuming from any point."""

import numpy as np
import pytest

from mnas.loop.journal import read
from mnas.loop.records import ResultRecord
from tests.loop.searches import (
    ALSO_A,
    BATCH,
    TRIALS,
    A,
    B,
    C,
    accuracy,
    ask_all,
    assert_same,
    evaluate,
    facts,
    finish,
    hashing,
    scripted,
    updates_of,
)


@pytest.fixture
def whole(start, tmp_path):
    """Return an uninterrupted search with duplicates, failures and a short last batch."""
    path = tmp_path / "whole.jsonl"
    search = finish(start(hashing(), path=path, trials=TRIALS, batch=BATCH, failed_batches=0))
    results = search.results.values()
    assert 3 < sum(result.duplicate_of is not None for result in results) < TRIALS - 3
    assert sum(result.evaluation.error is not None for result in results) > 2
    assert search.best is not None and len(results) == TRIALS
    return search, path


def test_order_of_results_does_not_change_the_search(start, tmp_path, whole):
    expected, path = whole
    orders = set()
    for seed in range(8):
        other = tmp_path / f"{seed}.jsonl"
        search = start(hashing(), path=other, trials=TRIALS, batch=BATCH, failed_batches=0)
        assert_same(finish(search, np.random.default_rng(seed)), expected)
        assert facts(other) == facts(path)
        orders.add(tuple(r.trial for r in read(other) if isinstance(r, ResultRecord)))
    assert len(orders) > 4


def test_search_resumed_after_any_line_equals_the_uninterrupted_one(start, tmp_path, whole):
    expected, path = whole
    lines = path.read_bytes().splitlines(keepends=True)
    reference, cut = facts(path), tmp_path / "cut.jsonl"
    for count in range(len(lines) + 1):
        next_line = lines[count] if count < len(lines) else b'{"kind": "update", '
        for torn in (b"", next_line[: len(next_line) // 2], next_line[:-1]):
            cut.write_bytes(b"".join(lines[:count]) + torn)
            search = start(hashing(), path=cut, trials=TRIALS, batch=BATCH, failed_batches=0)
            assert_same(finish(search, np.random.default_rng(count)), expected)
            assert facts(cut) == reference
            # Earlier lines are unchanged.
            assert cut.read_bytes().startswith(b"".join(lines[:count]))


def test_search_resumed_after_every_result_equals_the_uninterrupted_one(start, tmp_path, whole):
    expected, path = whole
    again = tmp_path / "again.jsonl"
    rng = np.random.default_rng(0)
    for _ in range(3 * TRIALS):
        search = start(hashing(), path=again, trials=TRIALS, batch=BATCH, failed_batches=0)
        waiting = ask_all(search)
        if search.done:
            break
        trial = waiting[rng.integers(len(waiting))]
        search.tell(trial, evaluate(trial))
    assert_same(search, expected)
    assert facts(again) == facts(path)


def test_resumed_search_hands_out_trials_in_flight_again(start):
    search = start(scripted([A, B, A, C]), trials=4, batch=4)
    trials = ask_all(search)
    search.tell(trials[1], accuracy(0.5))
    resumed = start(scripted([A, B, A, C]), trials=4, batch=4)
    again = ask_all(resumed)
    assert [(t.number, t.seed, t.hash) for t in again] == [
        (t.number, t.seed, t.hash) for t in (trials[0], trials[2])
    ]
    assert [trial.number for trial in trials] == [0, 1, 3]


def test_opening_a_finished_journal_does_not_change_it(start, whole):
    expected, path = whole
    before = path.read_bytes()
    search = start(hashing(), path=path, trials=TRIALS, batch=BATCH, failed_batches=0)
    assert search.done and search.ask() is None
    assert_same(search, expected)
    assert path.read_bytes() == before


def test_finished_search_continues_with_more_trials(start, whole):
    _, path = whole
    search = start(hashing(), path=path, trials=TRIALS + 2, batch=BATCH, failed_batches=0)
    finish(search)
    assert sorted(search.results) == list(range(TRIALS + 2))


def test_proposals_are_made_canonical_before_recording(start):
    search = start(scripted([ALSO_A]), trials=1, batch=1)
    search.tell(search.ask(), accuracy(0.5))
    assert updates_of(search)[0][0].decisions.tolist() == [A]
    resumed = start(scripted([ALSO_A]), trials=1, batch=1)
    assert updates_of(resumed)[0][0].decisions.tolist() == [A]
    assert resumed.results[0].trial.decisions.tolist() == A
