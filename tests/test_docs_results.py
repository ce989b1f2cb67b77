"""Pages of results: each measured table has its origin, and a CSV of the same numbers.

Their commands, which measure for minutes or hours, are parsed.
"""

import csv
import importlib.util
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.documents import blocks, known_flags, named_flags, require_flags, stop_after_parsing

RESULTS = Path(__file__).parents[1] / "docs" / "results"
PAGES = sorted(RESULTS.glob("*.md"))
CSVS = sorted((RESULTS / "data").glob("*.csv"))
# How tables begin that hold no measurements: an index, assumptions, settings, messages.
OTHER_TABLES = (
    "| page | content |",
    "| quantity | 2 cores, EPYC |",
    "| job | computed | measured |",
    "| fault | recorded |",
    "| name | evaluator |",
)
# CSV · commit · machine · n, below a table.
ORIGIN = re.compile(
    r"\[([a-z0-9-]+\.csv)\]\(data/\1\) · (added in|measured at) [0-9a-f]{7}\b[^·]* · [^·]+ · n\b.+"
)
NUMBER = re.compile(r"(?:(?<![\w.)\]])[-−+])?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+|\d+|\.\d+)")
LINK = re.compile(r"\]\([^)]+\)")


class Table(NamedTuple):
    """Table of a page: the line of its header, the rows' lines, the paragraph below it."""

    header: str
    rows: list[str]
    below: str

    @property
    def csv(self) -> list[list[str]]:
        """Return the rows of its CSV, the header first."""
        return read(RESULTS / "data" / ORIGIN.fullmatch(self.below)[1])


def tables(text: str) -> Iterator[Table]:
    """Yield the measured tables of a page."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    paragraphs = re.split(r"\n\s*\n", prose)
    for paragraph, below in zip(paragraphs, [*paragraphs[1:], ""], strict=True):
        if paragraph.startswith("|") and not paragraph.startswith(OTHER_TABLES):
            header, _, *rows = paragraph.strip().splitlines()
            yield Table(header, rows, " ".join(below.split()))


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def numbers(text: str) -> list[Decimal]:
    """Return the numbers of a text, in order."""
    found = NUMBER.findall(LINK.sub("]", text))
    return [Decimal(number.replace(",", "").replace("−", "-")) for number in found]


def differences(rows: list[str], content: list[list[str]]) -> list[str]:
    """Return the rows of a table whose numbers are not those of the CSV's row, rounded."""
    different = []
    for row, cells in zip(rows, content, strict=True):
        shown, exact = numbers(row), numbers(" | ".join(cells))
        equal = len(shown) == len(exact) and all(
            abs(a - b) <= Decimal(5).scaleb(a.as_tuple().exponent - 1)
            for a, b in zip(shown, exact, strict=True)
        )
        if not equal:
            different.append(f"{row}: {cells}")
    return different


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_measured_tables_state_their_csv_commit_machine_and_n(page):
    for table in tables(page.read_text()):
        assert ORIGIN.fullmatch(table.below), table


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_numbers_of_a_csv_are_those_of_its_table(page):
    for table in tables(page.read_text()):
        assert differences(table.rows, table.csv[1:]) == []


def test_every_csv_belongs_to_one_table():
    found = [ORIGIN.fullmatch(t.below)[1] for page in PAGES for t in tables(page.read_text())]
    assert len(found) > 40
    assert sorted(found) == sorted(path.name for path in (RESULTS / "data").iterdir())


@pytest.mark.parametrize("path", CSVS, ids=lambda path: path.stem)
def test_a_csv_is_rectangular_and_names_its_columns(path):
    header, *rows = read(path)
    assert rows and len(set(header)) == len(header)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in header)
    for row in rows:
        assert len(row) == len(header) and any(row)
        assert all(cell == cell.strip() for cell in row)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_with_tables_name_the_commands_that_repeat_them(page):
    text = page.read_text()
    command = re.search(r"(mnas|python -m|pytest|python search\.py) \S+|No command repeats", text)
    assert command or not list(tables(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_in_blocks_parse(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stop_after_parsing(monkeypatch)
    text = page.read_text().replace("\\\n", " ")
    for command in (c for code in blocks(text) for c in code.commands):
        if command.startswith("mnas "):
            require_flags(command.split(" > ")[0])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_flags_and_modules_exist(page):
    assert sorted(named_flags(page) - known_flags() - {"--hypothesis-profile"}) == []
    for module in re.findall(r"python -m ([\w.]+)", page.read_text()):
        assert importlib.util.find_spec(module), module


def test_tables_without_measurements_exist():
    text = "\n".join(page.read_text() for page in PAGES)
    assert all(text.count(f"\n{start}") == 1 for start in OTHER_TABLES)


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        ("| a | 0.5 (0.4 to 0.7) |", ["a", "0.5", "0.4", "0.6"]),
        ("| a | 1,200 | 3 |", ["a", "1200", ""]),
        ("| a | 1,200 | 3 |", ["a", "3", "1200"]),
        ("| a | −0.5 |", ["a", "0.5"]),
        ("| `b0` | .62 |", ["b1", "0.62"]),
        ("| a | 0.62 |", ["a", "0.6"]),
    ],
)
def test_another_number_is_noticed(row, cells):
    assert differences([row], [cells])


def test_formats_and_digits_of_numbers_may_differ():
    row = "| `a-1`, 1×1 | −.5 ± 0.25 [1,200, 2] | [3%](x4.md) | - |"
    assert not differences([row], [["a-1, 1×1", "-0.5", "0.2513", "1200", "2.0", "3", ""]])
