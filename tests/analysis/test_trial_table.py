"""Conditions on columns of trials, and their order."""

import pytest

from mnas.analysis.trial_table import arranged, column, condition
from mnas.cli.flags import number
from mnas.errors import UsageError
from mnas.experiment.trials import COLUMNS


def row(trial, **values):
    return {**dict.fromkeys(COLUMNS), "trial": trial, "status": "complete", **values}


ROWS = [
    row(0, reward=0.5, accuracy=0.4, mult_adds=5_000_000),
    row(1, reward=0.0, mult_adds=7_000_000, status="failed", error="Out of Memory: 5 GB"),
    row(2, reward=0.7, accuracy=0.6, mult_adds=6_000_000),
    row(3, reward=0.5, accuracy=0.4, mult_adds=5_000_000, status="duplicate", duplicate_of=0),
]


def trials(*texts, **settings):
    conditions = [condition(text, number) for text in texts]
    return [each["trial"] for each in arranged(ROWS, conditions, **settings)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("mult_adds<=6M", [0, 2, 3]), ("mult-adds < 6e6", [0, 3]), ("mult_adds>6M", [1])),
        *(("reward>=0.5", [0, 2, 3]), ("accuracy=0.4", [0, 3]), ("trial!=2", [0, 1, 3])),
        *(("status=failed", [1]), ("status != complete", [1, 3]), ("error~memory", [1])),
        *(("error=", [0, 2, 3]), ("error!=", [1]), ("duplicate_of=", [0, 1, 2])),
        *(("duplicate_of>=0", [3]), ("accuracy<1", [0, 2, 3]), ("mult_adds~5000", [0, 3])),
    ],
)
def test_conditions_keep_the_rows_that_meet_them(text, expected):
    assert trials(text) == expected


def test_all_conditions_hold():
    assert trials("mult_adds<=6M", "reward<0.6", "status=complete") == [0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mult_ads<=6M", "unknown column 'mult_ads'; did you mean mult_adds"),
        ("mult_adds", "is no condition; accepted: COLUMN"),
        ("mult_adds<=6Mio", "'6Mio' is no number; accepted: such as"),
        ("status<failed", "accepted: = != ~ with status"),
        ("<=5", "is no condition"),
        ("error<", "accepted: = != ~ with error"),
    ],
)
def test_other_text_is_a_usage_error(text, message):
    with pytest.raises(UsageError, match=message):
        condition(text, number)


def test_rows_are_sorted_the_best_first_and_those_without_a_value_last():
    assert trials(sort="reward") == [2, 0, 3, 1]
    assert trials(sort="reward", reverse=True) == [1, 0, 3, 2]
    assert trials(sort="accuracy") == [2, 0, 3, 1]
    assert trials(sort="accuracy", reverse=True) == [0, 3, 2, 1]
    assert trials(sort="mult_adds", top=2) == [0, 3]
    assert column("mult-adds") == "mult_adds"
    with pytest.raises(UsageError, match="unknown column"):
        column("x")
