"""`mnas report`: pages of runs, and what cannot be read or written."""

import subprocess
import sys
import textwrap

import pytest

from mnas.__main__ import main
from tests.cli.commands import assert_one_line

LONG = ";".join(f"r1_k3_s11_e3_i{32 + n}_o{33 + n}_se0.25" for n in range(13))


def test_the_page_is_written_into_the_first_run(run, capsys):
    (run / "report.html").unlink(missing_ok=True)
    assert main(["report", str(run), str(run)]) == 0
    assert capsys.readouterr() == ("", f"written: {run / 'report.html'}\n")
    page = (run / "report.html").read_text(encoding="utf-8")
    assert page.count('<article class="run"') == 2


def test_a_page_needs_no_matplotlib(finished, tmp_path):
    out = tmp_path / "report.html"
    program = f"""
        import sys; sys.modules["matplotlib"] = None
        from mnas.__main__ import main
        sys.exit(main(["report", {str(finished)!r}, "--out", {str(out)!r}]))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)
    assert '<article class="run"' in out.read_text(encoding="utf-8")


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
