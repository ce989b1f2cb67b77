"""Journals of another search, or with records that don't fit, are rejected by line."""

import dataclasses

import pytest

from mnas.errors import UsageError
from mnas.loop.journal import Journal, read
from mnas.loop.records import ExperimentRecord
from mnas.reward import RewardConfig
from tests.loop.searches import A, B, C, D, accuracy, ask_all, scripted

SETTINGS = {"trials": 4, "batch": 2}
HEAD, PROPOSALS, FIRST, SECOND, UPDATE, PROPOSALS_1, DUPLICATE, THIRD, UPDATE_1 = range(9)


@pytest.fixture
def records(start):
    """Return the records of two batches; a duplicate of the first is answered at once."""
    search = start(scripted([A, B], [C, A]), **SETTINGS)
    while not search.done:
        for trial in ask_all(search):
            search.tell(trial, accuracy(0.5))
    records = read(search.journal.path)
    assert [record.kind for record in records] == [
        "experiment", "proposals", "result", "result", "update",
        "proposals", "result", "result", "update",
    ]  # fmt: skip
    return records


@pytest.fixture
def rejected(start, tmp_path):
    """Return a function that checks that a search on these records is rejected at a line."""

    def check(records, line, text, **changes):
        path = tmp_path / "other.jsonl"
        path.unlink(missing_ok=True)
        with Journal(path, records[0]) as journal:
            for record in records[1:]:
                journal.append(record)
        before = path.read_bytes()
        with pytest.raises(UsageError, match=rf"^{path}, line {line}: .*{text}") as caught:
            start(scripted([A, B], [C, A]), path=path, **(SETTINGS | changes))
        assert "\n" not in str(caught.value)
        assert path.read_bytes() == before

    return check


def without(records, *indices):
    return [record for index, record in enumerate(records) if index not in indices]


def replaced(records, index, **changes):
    return [
        dataclasses.replace(record, **changes) if at == index else record
        for at, record in enumerate(records)
    ]


def test_records_as_written_are_accepted(start, records):
    search = start(scripted([A, B], [C, A]), **SETTINGS)
    assert search.done and len(search.results) == 4


@pytest.mark.parametrize(
    ("order", "line", "text"),
    [
        ([HEAD, FIRST], 2, "result of trial 0 out of turn"),
        ([HEAD, UPDATE], 2, "update of batch 0 out of turn; accepted here: the result of trial 0"),
        ([HEAD, PROPOSALS, FIRST, UPDATE], 4, "accepted here: the result of trial 1"),
        ([HEAD, PROPOSALS, PROPOSALS], 3, "proposals of batch 0 out of turn"),
        ([HEAD, PROPOSALS, FIRST, SECOND, PROPOSALS_1], 5, "accepted here: the update of batch 0"),
        ([HEAD, PROPOSALS, FIRST, FIRST], 4, "result of trial 0 out of turn"),
        ([HEAD, PROPOSALS, FIRST, THIRD], 4, "result of trial 2 out of turn"),
        ([HEAD, PROPOSALS, FIRST, SECOND, UPDATE, UPDATE], 6, "batch = 0, and 1 in this search"),
        ([HEAD, PROPOSALS_1], 2, "proposals of batch 1: batch = 1, and 0 in this search"),
        ([HEAD, PROPOSALS, HEAD], 3, "record of kind experiment out of turn"),
    ],
)
def test_records_out_of_turn_are_rejected(rejected, records, order, line, text):
    rejected([records[index] for index in order], line, text)


def test_results_of_a_batch_may_have_any_order(start, records, tmp_path):
    order = [HEAD, PROPOSALS, SECOND, FIRST, UPDATE, PROPOSALS_1, THIRD, DUPLICATE, UPDATE_1]
    with Journal(tmp_path / "other.jsonl", records[0]) as journal:
        for index in order[1:]:
            journal.append(records[index])
    assert start(scripted([A, B], [C, A]), path=tmp_path / "other.jsonl", **SETTINGS).done


@pytest.mark.parametrize(
    ("index", "changes", "text"),
    [
        (PROPOSALS, {"first_trial": 2}, "first_trial = 2, and 0"),
        (PROPOSALS, {"decisions": ()}, "number = 0, and 2"),
        (PROPOSALS, {"decisions": ((0, 0, 0),) * 3, "log_probs": (0.0,) * 3}, "number = 3, and 2"),
        (PROPOSALS, {"log_probs": (0.0,)}, "log_probs = 1, and 2"),
        (PROPOSALS, {"decisions": ((0, 0, 0), (9, 0, 0))}, "kernel = choice 9; accepted: 0 to 2"),
        (PROPOSALS, {"decisions": ((0, 0, 0), (-1, 0, 0))}, "kernel = choice -1"),
        (PROPOSALS, {"decisions": ((0, 0), (0, 0))}, r"decisions of shape \(2, 2\)"),
        (PROPOSALS, {"decisions": ((0, 0, 0), (0, 0))}, "proposals of batch 0"),
        (PROPOSALS, {"decisions": ((0, 0, 0), (2**70, 0, 0))}, "proposals of batch 0"),
        (PROPOSALS, {"decisions": ((0, 0, 0), (0, 0, 1))}, r"decisions = .*\(0, 0, 1\)"),
        (FIRST, {"hash": "0a"}, "result of trial 0 of space tiny: hash = '0a'"),
        (FIRST, {"seed": 1}, "seed = 1, and "),
        (FIRST, {"params": 1}, "params = 1, and "),
        (FIRST, {"mult_adds": 1}, "mult_adds = 1, and "),
        (FIRST, {"duplicate_of": 1}, "duplicate_of = 1, and None"),
        (FIRST, {"reward": 0.9}, r"reward = 0.9, and 0.5"),
        (FIRST, {"accuracy": None}, "error = None, and 'accuracy is not a number"),
        (FIRST, {"accuracy": 93.1}, "error = None, and 'evaluation: accuracy = 93.1"),
        (DUPLICATE, {"duplicate_of": None}, "duplicate_of = None, and 0"),
        (UPDATE, {"mean_reward": 0.75}, "mean_reward = 0.75, and 0.5"),
        (UPDATE, {"batch": 1}, "batch = 1, and 0"),
    ],
)
def test_records_that_this_search_would_not_write_are_rejected(
    rejected, records, index, changes, text
):
    rejected(replaced(records, index, **changes), index + 1, text)


def test_journals_of_other_settings_are_rejected(rejected, records):
    rejected(records, 3, "seed = ", seed=1)
    rejected(records, 3, "reward = 0.5, and ", reward=RewardConfig(target_madds=1e4))
    rejected(records, 2, "number = 2, and 1", batch=1)


def test_head_that_follows_no_head_is_rejected(rejected, records):
    rejected([*records, ExperimentRecord()], 10, "record of kind experiment out of turn")


def test_duplicate_before_its_first_result_is_rejected(rejected, start, tmp_path):
    path = tmp_path / "duplicate.jsonl"
    search = start(scripted([A, A]), path=path, trials=2, batch=2)
    search.tell(search.ask(), accuracy(0.5))
    head, proposals, first, duplicate, update = read(path)
    order = [head, proposals, duplicate, first, update]
    rejected(order, 3, "result of trial 1 out of turn; accepted here: the result of trial 0")


def test_observers_are_called_after_the_search_has_the_fact(start):
    known, trials, searches = [], [], []

    def observe(record):
        search = searches[-1]
        if record.kind == "proposals":
            trials.append(search.ask())
            known.append(trials[-1] is not None)
        elif record.kind == "result":
            known.append(record.trial in search.results and search.best is not None)
        elif record.kind == "update":
            known.append(search.batches_done == record.batch + 1)

    searches.append(start(scripted([A, B], [C, D]), observers=(observe,), trials=4, batch=2))
    while not searches[-1].done:
        trials += ask_all(searches[-1])
        while trials:
            searches[-1].tell(trials.pop(), accuracy(0.5))
    assert known == [True] * 8
