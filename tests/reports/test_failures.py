"""Failed children of a run, grouped by cause."""

from mnas.reports.failures import GROUPS, LONGEST, failure_groups, failure_rows, shortened
from tests.runs import result


def failed(trial: int, cause: str):
    return result(trial, 0.0, accuracy=None, error=cause)


def test_causes_that_differ_in_numbers_only_count_as_one():
    results = [
        failed(3, "no space"),
        failed(5, "out of memory allocating 1024 bytes at 0x7fe1"),
        result(6, 0.4),
        failed(7, "out of memory allocating 9 bytes at 0x8ab0"),
    ]
    assert failure_groups(results) == [
        ("out of memory allocating 1024 bytes at 0x7fe1", [5, 7]),
        ("no space", [3]),
    ]


def test_a_row_has_count_first_trials_and_first_network():
    rows = failure_rows([result(1), *(failed(trial, "NaN") for trial in range(2, 12))])
    assert rows == [("NaN", "10", "2, 3, 4, 5, 6 …", "r1_k5_s22_e1_i4_o8")]
    assert failure_rows([result(0)]) == []


def test_long_causes_are_shortened_and_rare_ones_counted_together():
    words = [chr(97 + n // 26) + chr(97 + n % 26) for n in range(GROUPS + 30)]
    rows = failure_rows([failed(n, f"cause {word} " + "x" * 10**6) for n, word in enumerate(words)])
    assert len(rows) == GROUPS
    assert rows[-1] == ("31 other causes", "31", "19, 20, 21, 22, 23 …", "")
    assert all(len(cause) <= LONGEST for cause, *_ in rows)


def test_shortened_keeps_both_ends():
    text = shortened("begin \n" + "x" * 1000 + " end")
    assert len(text) <= LONGEST and text.startswith("begin x") and text.endswith("x end")
    assert shortened("a\n  b") == "a b"
