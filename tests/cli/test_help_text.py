"""Help of verbs: basic flags apart, in 80 columns."""

import dataclasses
import re
import shutil
import subprocess
import sys
from typing import ClassVar

import pytest

from mnas.cli.arguments import Spec, parse

BASH = shutil.which("bash") or "/bin/bash"


@dataclasses.dataclass(frozen=True)
class Inner:
    """Inner settings of a kind."""

    size: int = 3
    """Size."""
    rate: float = 0.5
    """A rate that is described by more words than fit into a single line of eighty columns."""


@dataclasses.dataclass(frozen=True)
class Outer:
    """Do something with a description that is far longer than the eighty columns of a terminal.

    Example: mnas something
    """

    BASIC: ClassVar[tuple[str, ...]] = ("--name", "--inner.rate")

    spec: Spec
    inner: Inner = Inner()
    name: str = ""
    """Name."""
    quick: bool = False
    """Quick."""


def shown(capsys, *words, kind=Outer):
    with pytest.raises(SystemExit) as stop:
        parse(kind, "mnas x", words)
    assert not stop.value.code
    return capsys.readouterr().out


def test_help_shows_basic_flags_and_how_to_see_the_others(capsys):
    text = shown(capsys, "--help")
    assert shown(capsys, "-h") == text
    assert "SPEC" in text and "--name STR" in text and "single line of" in text
    assert "-h, --help" in text and "--quick" not in text and "--inner.size" not in text
    assert text.splitlines()[-1] == "2 further settings: mnas x --help-all"
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("╭") == text.count("╰") == 3


@dataclasses.dataclass(frozen=True)
class Long:
    """Do something."""

    long_name: str = ""
    """First words,
    (and others) of a
    help."""
    n: int = 0
    """A number."""


@pytest.mark.parametrize("columns", ["80", "130"])  # below the flag, and beside it
def test_help_is_folded_where_the_line_is_full(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    text = shown(capsys, "--help", kind=Long)
    lines = [line.strip("│ ") for line in text.splitlines()]
    assert any("First words, (and others) of a help." in line for line in lines)
    assert any(line.endswith("A number. (default: 0)") for line in lines)
    assert len({len(line) for line in text.splitlines() if line.startswith(("│", "╭"))}) == 1


@pytest.mark.parametrize("columns", ["20", "40"])
def test_help_is_complete_on_a_narrow_terminal(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    letters = "".join(re.findall(r"\w", shown(capsys, "--help", kind=Long)))
    assert "Firstwordsandothersofahelp" in letters and "Anumber" in letters


def test_help_all_shows_all_flags(capsys):
    text = shown(capsys, "--help-all")
    assert all(flag in text for flag in ("--name", "--quick", "--inner.size", "--inner.rate"))
    assert "further settings" not in text and max(map(len, text.splitlines())) <= 80


def test_help_of_a_verb_without_basic_flags_shows_all(capsys):
    text = shown(capsys, "--help", kind=Inner)
    assert "--size" in text and "--rate" in text and "further settings" not in text


def test_boxes_are_plain_where_the_stream_is_not_utf_8():
    program = "import sys; from mnas.cli.front import main; main(['--help'])"
    command = [sys.executable, "-X", "utf8=0", "-c", program]
    done = subprocess.run(
        command,
        capture_output=True,
        check=False,
        env={"PYTHONIOENCODING": "ascii:replace", "PATH": "/usr/bin:/bin"},
    )
    assert b"+- options ---" in done.stdout and b"| --json" in done.stdout
