"""Standard streams that are closed, full, broken, or can't print a character."""

import subprocess
import sys
from pathlib import Path

import pytest

from mnas.cli.streams import OutputError, usable_streams

ROOT = Path(__file__).parents[2]
PROGRAM = """
import pathlib, sys
from mnas.cli.command import run_command

def command():
    for _ in range(3):
        print("progress \\u03c6 \\u00d7", file=sys.stderr, flush=True)
    with open("journal", "w") as journal:
        journal.write("kept")
        print("result " * 5000)
        print("more progress", file=sys.stderr)

sys.exit(run_command("mnas", command))
"""


def run_in_shell(redirections: str, directory: Path, **environment: str):
    """Run the program with redirections of the shell; return the process and its journal."""
    done = subprocess.run(
        ["/bin/bash", "-c", f'"{sys.executable}" -c "$PROGRAM" {redirections}'],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PROGRAM": PROGRAM, **environment},
        cwd=directory,
        capture_output=True,
        check=False,
    )
    journal = directory / "journal"
    return done, journal.read_text() if journal.exists() else ""


@pytest.mark.parametrize(
    ("redirections", "printed"),
    [(">&-", False), ("2>&-", True), ("1>&- 2>&-", False), ("<&- 1>&- 2>&-", False), ("<&-", True)],
)
def test_closed_streams_drop_their_output(redirections, printed, tmp_path):
    done, journal = run_in_shell(redirections, tmp_path)
    assert (done.returncode, journal) == (0, "kept")
    assert (b"result" in done.stdout) is printed
    assert b"progress" not in done.stdout and b"Traceback" not in done.stderr


@pytest.mark.parametrize("redirections", ["2>/dev/full", "2> >(exec 0<&-; sleep 0.01)"])
def test_progress_that_cannot_be_written_does_not_end_a_run(redirections, tmp_path):
    done, journal = run_in_shell(redirections, tmp_path)
    assert (done.returncode, journal) == (0, "kept")
    assert b"result" in done.stdout


def test_a_full_standard_output_is_one_line_and_files_are_kept(tmp_path):
    done, journal = run_in_shell(">/dev/full", tmp_path)
    assert (done.returncode, journal) == (2, "kept")
    *progress, last = done.stderr.decode().splitlines()
    assert last == "mnas: standard output can't be written: No space left on device"
    assert len(progress) == 3


def test_characters_that_the_locale_cannot_print_are_replaced(tmp_path):
    ascii_locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done, journal = run_in_shell("", tmp_path, **ascii_locale)
    assert (done.returncode, journal) == (0, "kept")
    assert done.stderr.startswith(b"progress ? ?\n")


def test_output_fails_once(tmp_path, monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with usable_streams():
            print("something")
            with pytest.raises(OutputError, match="No space left"):
                sys.stdout.flush()
            print("something else", flush=True)
