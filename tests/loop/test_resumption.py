"""Whatever the order of results and wherever it was cut, it is the same search."""

import numpy as np
import pytest

from mnas.loop.journal import read
from tests.loop.searches import (
    ALSO_A,
    BATCH,
    TRIALS,
    A,
    B,
    C,
    accuracy,
    ask_all,
    evaluate,
    facts,
    finish,
    hashing,
    same,
    scripted,
    told,
)


@pytest.fixture
def whole(start, tmp_path):
    """An uninterrupted search that has repeats, failures and a short last batch."""
    path = tmp_path / "whole.jsonl"
    search = finish(start(hashing(), path=path, trials=TRIALS, batch=BATCH, failed_batches=0))
    results = search.results.values()
    assert 3 < sum(result.duplicate_of is not None for result in results) < TRIALS - 3
    assert sum(result.evaluation.error is not None for result in results) > 2
    assert search.best is not None and len(results) == TRIALS
    return search, path


def test_the_order_of_results_does_not_matter(start, tmp_path, whole):
    expected, path = whole
    orders = set()
    for seed in range(8):
        other = tmp_path / f"{seed}.jsonl"
        search = start(hashing(), path=other, trials=TRIALS, batch=BATCH, failed_batches=0)
        same(finish(search, np.random.default_rng(seed)), expected)
        assert facts(other) == facts(path)
        orders.add(tuple(r["trial"] for r in read(other) if r["kind"] == "result"))
    assert len(orders) > 4


def test_a_search_resumed_anywhere_ends_as_if_never_interrupted(start, tmp_path, whole):
    expected, path = whole
    lines = path.read_bytes().splitlines(keepends=True)
    reference, cut = facts(path), tmp_path / "cut.jsonl"
    for count in range(len(lines) + 1):
        next_line = lines[count] if count < len(lines) else b'{"kind": "update", '
        for torn in (b"", next_line[: len(next_line) // 2], next_line[:-1]):
            cut.write_bytes(b"".join(lines[:count]) + torn)
            search = start(hashing(), path=cut, trials=TRIALS, batch=BATCH, failed_batches=0)
            same(finish(search, np.random.default_rng(count)), expected)
            assert facts(cut) == reference
            # What stood in the journal still stands there, as it was.
            assert cut.read_bytes().startswith(b"".join(lines[:count]))


def test_resumed_again_and_again_after_one_result_each(start, tmp_path, whole):
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
    same(search, expected)
    assert facts(again) == facts(path)


def test_trials_in_flight_are_handed_out_again(start):
    search = start(scripted([A, B, A, C]), trials=4, batch=4)
    trials = ask_all(search)
    search.tell(trials[1], accuracy(0.5))
    resumed = start(scripted([A, B, A, C]), trials=4, batch=4)
    again = ask_all(resumed)
    assert [(t.number, t.seed, t.hash) for t in again] == [
        (t.number, t.seed, t.hash) for t in (trials[0], trials[2])
    ]
    assert [trial.number for trial in trials] == [0, 1, 3]


def test_a_finished_journal_gains_nothing_by_being_opened(start, whole):
    expected, path = whole
    before = path.read_bytes()
    search = start(hashing(), path=path, trials=TRIALS, batch=BATCH, failed_batches=0)
    assert search.done and search.ask() is None
    same(search, expected)
    assert path.read_bytes() == before


def test_a_finished_search_can_be_prolonged(start, whole):
    _, path = whole
    search = start(hashing(), path=path, trials=TRIALS + 2, batch=BATCH, failed_batches=0)
    finish(search)
    assert sorted(search.results) == list(range(TRIALS + 2))


def test_non_canonical_proposals_count_as_their_canonical_ones(start):
    search = start(scripted([ALSO_A]), trials=1, batch=1)
    search.tell(search.ask(), accuracy(0.5))
    assert told(search)[0][0].decisions.tolist() == [A]
    resumed = start(scripted([ALSO_A]), trials=1, batch=1)
    assert told(resumed)[0][0].decisions.tolist() == [A]
    assert resumed.results[0].trial.decisions.tolist() == A
