"""Rounds of further measurements, as a journal records them."""

import pytest

from mnas.errors import UsageError
from mnas.loop.records import RemeasuredRecord, RemeasureRecord
from mnas.loop.rounds import Rounds


def begun(*trials, seeds=2, **changes):
    fields = {"selection": "measured", "top": len(trials), "results": 9, "seeds": seeds}
    return RemeasureRecord(trials=trials, **(fields | changes))


def measured(trial, number, accuracy=0.5):
    return RemeasuredRecord(trial=trial, number=number, seed=1, reward=accuracy, accuracy=accuracy)


def keys(records):
    return [(record.trial, record.number) for record in records]


def test_every_network_is_measured_once_before_any_a_second_time():
    rounds = Rounds([begun(4, 2)])
    assert rounds.missing() == [(4, 0), (2, 0), (4, 1), (2, 1)]
    rounds.add(measured(2, 0))
    assert rounds.missing() == [(4, 0), (4, 1), (2, 1)]


def test_measurements_count_once_their_round_is_complete():
    records = [begun(4, 2), measured(4, 1), measured(2, 0), measured(4, 0)]
    rounds = Rounds(records)
    assert rounds.counted() == []
    rounds.add(measured(2, 1))
    assert rounds.missing() == []
    assert keys(rounds.counted()) == [(2, 0), (2, 1), (4, 0), (4, 1)]


def test_a_new_round_measures_only_what_is_missing_and_keeps_the_old_ones():
    complete = [begun(4, 2, seeds=1), measured(2, 0), measured(4, 0)]
    rounds = Rounds([*complete, begun(2, 7)])
    assert rounds.missing() == [(7, 0), (2, 1), (7, 1)]
    assert keys(rounds.counted()) == [(2, 0), (4, 0)]


def test_a_superseded_round_does_not_count_but_its_measurements_need_not_be_repeated():
    rounds = Rounds([begun(4, 2), measured(4, 0), begun(4, 3, seeds=1)])
    assert rounds.missing() == [(3, 0)] and rounds.counted() == []
    rounds.add(measured(3, 0))
    assert keys(rounds.counted()) == [(3, 0), (4, 0)]


def test_other_records_are_ignored_and_no_round_is_no_measurement():
    assert Rounds([]).missing() == [] and Rounds([object()]).counted() == []


@pytest.mark.parametrize(
    "records",
    [
        [measured(4, 0)],
        [begun(4, 2), measured(3, 0)],
        [begun(4, 2), measured(4, 2)],
        [begun(4, 2), measured(4, -1)],
        [begun(4, 2), measured(4, 0), measured(4, 0)],
        [begun(4, 2), begun(3), measured(4, 0)],
    ],
    ids=["no-round", "trial", "number", "negative", "twice", "superseded"],
)
def test_measurements_that_no_round_waits_for_are_rejected(records):
    with pytest.raises(UsageError, match="out of turn"):
        Rounds(records)


def test_rounds_of_any_size_take_no_time():
    rounds = Rounds([begun(4, 2, seeds=10**15), measured(4, 10**14)])
    assert rounds.counted() == []
