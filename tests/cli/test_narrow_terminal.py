"""Tables on narrow terminals: columns are left out, and numbers stay whole."""

import pytest

from mnas.__main__ import main
from mnas.cli.arguments import fitting_columns

ROWS = [["1", "385,814,000", "0.75"], ["22", "-", "0.5"]]
HEADS = ["n", "mult-adds", "top-1"]


def test_columns_are_left_out_in_their_order_until_the_others_fit():
    least = [(2,), (1,)]
    # 2 + 2 + 11 + 2 + 5 characters
    assert fitting_columns(HEADS, ROWS, least, 22) == [0, 1, 2]
    assert fitting_columns(HEADS, ROWS, least, 21) == [0, 1]
    assert fitting_columns(HEADS, ROWS, least, 14) == [0]
    assert fitting_columns(HEADS, ROWS, [(1, 2)], 21) == [0]
    assert fitting_columns(HEADS, [], [], 1) == [0, 1, 2]


def shown(capsys, monkeypatch, width, *words):
    monkeypatch.setenv("COLUMNS", f"{width}")
    assert main(list(words)) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [40, 60])
@pytest.mark.parametrize(
    ("words", "columns"),
    [
        (["trials", "RUN"], ["trial", "reward", "predicted", "mult-adds"]),
        (["front", "RUN"], ["trial", "predicted", "mult-adds", "reward"]),
        (["rescore", "RUN"], ["rank", "reward", "accuracy", "mult-adds"]),
        (["cost", "efficientnet-b0"], ["part", "params", "mult-adds"]),
        (["compare", "mnasnet-a1", "efficientnet-b0"], ["mnasnet-a1"]),
    ],
    ids=lambda value: value[0],
)
def test_no_number_is_folded(finished, width, words, columns, capsys, monkeypatch):
    words = [str(finished) if word == "RUN" else word for word in words]
    wide = shown(capsys, monkeypatch, 300, *words)
    narrow = shown(capsys, monkeypatch, width, *words)
    note = "in a wider terminal, also "
    assert note not in wide and (width == 60 or note in narrow)
    numbers = {word for word in narrow.split() if word[0].isdigit()}
    assert numbers and numbers <= set(wide.split())
    heads = next(line for line in narrow.splitlines() if columns[0] in line).split()
    assert set(columns) <= set(heads)


def test_named_columns_are_all_shown(finished, capsys, monkeypatch):
    words = ["trials", str(finished), "--columns", "trial", "mult-adds", "params", "reward"]
    narrow = shown(capsys, monkeypatch, 45, *words, "accuracy")
    assert "in a wider terminal" not in narrow and len(narrow.splitlines()[0].split()) == 5


def test_experiments_are_listed_below_each_other_on_a_narrow_terminal(capsys, monkeypatch):
    lines = shown(capsys, monkeypatch, 40, "list").splitlines()
    assert max(map(len, lines)) <= 40 and "b0-imagenet-seeds" in lines
    place = lines.index("b0-imagenet")
    text = " ".join(line.strip() for line in lines[place + 1 : place + 5])
    assert lines[place + 1].startswith("  ") and "reward above B0's on both fits" in text
