"""Other people's text on a terminal: printed as it is, never markup."""

import re
from pathlib import Path

import pytest
from rich.progress import Progress, TextColumn
from rich.table import Table

from mnas.reports.terminal import plain_console

ROOT = Path(__file__).parents[2]
TEXTS = ["exp[lr=0.1]", "[/b]", "[red]x[/red]", ":x: :warning:", "a[b", "[link=http://x]y[/link]"]


@pytest.mark.parametrize("text", TEXTS)
def test_text_is_printed_as_it_is(text, capsys):
    console = plain_console()
    console.print(f"in {text}", soft_wrap=True)
    table = Table("name", title=text)
    table.add_row(text)
    console.print(table)
    printed = capsys.readouterr().out
    assert f"in {text}\n" in printed and printed.count(text) == 3


def test_progress_bars_print_it_as_it_is(capsys):
    with Progress(TextColumn("{task.description}", markup=False), console=plain_console()) as bar:
        bar.add_task("[/b] exp[lr=0.1]")
    assert "[/b] exp[lr=0.1]" in capsys.readouterr().out


def test_every_console_is_a_plain_one():
    made = {}
    for package in ("mnas", "controllers", "search_spaces", "experiments"):
        for path in (ROOT / package).rglob("*.py"):
            calls = re.findall(r"(?<!\w)Console\([^)]*\)|rich\.print\(", path.read_text("utf-8"))
            if calls:
                made[str(path.relative_to(ROOT))] = calls
    # The benchmark's progress is below the reports.
    assert set(made) == {"mnas/reports/terminal.py", "mnas/benchmark/progress.py"}
    assert all("markup=False, emoji=False" in call for calls in made.values() for call in calls)
