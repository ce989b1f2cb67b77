"""`mnas report`: pages of runs, and what cannot be read or written."""

import os
import subprocess
import sys

import pytest

from mnas.__main__ import main
from tests.cli.commands import assert_one_line

LONG = ";".join(f"r1_k3_s11_e3_i{32 + n}_o{33 + n}_se0.25" for n in range(13))


def test_the_page_is_written_into_the_first_run(run, capsys):
    (run / "report.html").unlink(missing_ok=True)
    assert main(["report", str(run), str(run)]) == 0
    assert capsys.readouterr() == ("", f"written: {run / 'report.html'}\n")
    assert (run / "report.html").read_text(encoding="utf-8").count("<svg") == 7


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "none"])
def test_a_backend_in_the_shells_settings_does_not_apply(backend, finished, tmp_path):
    out = tmp_path / "report.html"
    program = [sys.executable, "-m", "mnas", "report", str(finished), "--out", str(out)]
    subprocess.run(program, env={**os.environ, "MPLBACKEND": backend}, check=True)
    assert "<svg" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        (".", ". can't be written: Is a directory"),
        ("none/report.html", "none/report.html can't be written: No such file or directory"),
        ("/dev/full", "/dev/full can't be written: No space left on device"),
    ],
)
def test_a_page_that_cannot_be_written_is_one_line(
    out, reason, finished, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(finished), "--out", out]) == 2
    assert_one_line(capsys, reason)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["nowhere", LONG])
def test_what_is_no_run_is_one_line(name, capsys):
    assert main(["report", name]) == 2
    assert_one_line(capsys, "mnas report: ")
