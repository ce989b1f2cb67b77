"""Table of networks that were measured again."""

from mnas.loop.records import RemeasuredRecord
from mnas.loop.selection import Ranked, Remeasured
from mnas.reports.remeasured_table import HEADS, table
from tests.runs import result


def measured(trial, *accuracies):
    return tuple(
        RemeasuredRecord(trial=trial, number=n, seed=n, reward=value, accuracy=value)
        for n, value in enumerate(accuracies)
    )


def test_rows_are_of_networks_with_further_measurements():
    ranked = [
        Ranked(result(4, 0.75), 0.5, None, Remeasured(measured(4, 0.4, 0.5, 0.6))),
        Ranked(result(2, 0.875), 0.25, None, Remeasured(measured(2, 0.25), failed=2)),
        Ranked(result(7, 0.625), 0.625, None, Remeasured((), failed=3)),
        Ranked(result(3, 0.5), 0.5),
    ]
    heads, rows = table(ranked)
    assert heads == list(HEADS)
    assert rows == [
        ["1", "4", "0.7500", "0.5000 ± 0.2484", "3", "0", "0.5000"],
        ["2", "2", "0.8750", "0.2500", "1", "2", "0.2500"],
        ["3", "7", "0.6250", "-", "0", "3", "0.6250"],
    ]
    assert table(ranked[3:])[1] == []


def test_accuracy_by_the_model_has_a_column():
    again = Remeasured(measured(4, 0.5))
    heads, rows = table([Ranked(result(4), 0.5, 0.375, again), Ranked(result(2), 0.5, None, again)])
    assert heads[3] == "by the model" and [row[3] for row in rows] == ["0.3750", "-"]
    assert all(len(row) == len(heads) for row in rows)
