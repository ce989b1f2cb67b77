"""`mnas report` of a study: its page, and those of its runs to which it leads."""

import json
import os
import re
import shutil
import urllib.parse

import pytest

from mnas.__main__ import main
from mnas.experiment.study import drive
from tests.cli.commands import assert_one_line
from tests.registered import register
from tests.studies import SMALL

HEAD = {"name": "small", "seeds": 2, "trials": 8, "trackers": []}


@pytest.fixture(scope="module")
def driven(tmp_path_factory):
    """Return the directory of a study whose searches are finished and that has no page."""
    directory = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        register(patch, "experiment", "small", SMALL)
        drive(SMALL, directory, workers=1)
        (directory / "study.json").write_text(json.dumps(HEAD))
        yield directory


@pytest.fixture
def study(driven, tmp_path):
    """Return a copy of it."""
    return shutil.copytree(driven, tmp_path / "study")


def linked(page):
    """Return the files to which the table of searches leads."""
    found = re.findall(r'<a href="([^"]*)">seed \d</a>', page.read_text(encoding="utf-8"))
    return [page.parent / urllib.parse.unquote(address) for address in found]


def test_every_link_of_a_studys_page_opens_a_page(study, capsys):
    assert main(["report", str(study)]) == 0
    assert f"written: {study / 'report.html'}\n" in capsys.readouterr().err
    pages = linked(study / "report.html")
    names = ["exact/seed-0", "exact/seed-1", "noisy/seed-0", "noisy/seed-1"]
    assert pages == [study / name / "report.html" for name in names]
    assert all('<article class="run"' in page.read_text(encoding="utf-8") for page in pages)
    assert (study / "table.csv").is_file() and (study / "runs.csv").is_file()


def test_pages_of_runs_are_written_again_only_where_the_journal_is_newer(study):
    run, other = study / "exact" / "seed-0", study / "exact" / "seed-1"
    for directory in (run, other):
        (directory / "report.html").write_text("own")
    later = (run / "report.html").stat().st_mtime + 5
    os.utime(run / "journal.jsonl", (later, later))
    assert main(["report", str(study)]) == 0
    assert (other / "report.html").read_text() == "own"
    assert (run / "report.html").read_text(encoding="utf-8") != "own"


def test_a_study_in_progress_has_a_page_of_what_is_finished(study, capsys):
    (study / "study.json").write_text(json.dumps({**HEAD, "seeds": 3}))
    shutil.copytree(study / "exact" / "seed-1", study / "exact" / "seed-2")
    journal = study / "exact" / "seed-2" / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-3]))
    out = study.parent / "page" / "p.html"
    out.parent.mkdir()
    assert main(["report", str(study), "--out", str(out)]) == 0
    assert "of 4 of 6 searches" in capsys.readouterr().err
    assert len(linked(out)) == 4 and all(page.is_file() for page in linked(out))
    assert "4 of 6 searches are finished" in out.read_text(encoding="utf-8")


def test_a_study_without_a_finished_search_has_no_page(driven, tmp_path, capsys):
    shutil.copy(driven / "study.json", tmp_path)
    assert main(["report", str(tmp_path)]) == 2
    assert_one_line(capsys, "no search of the study is finished", f"mnas resume {tmp_path}")
    assert [path.name for path in tmp_path.iterdir()] == ["study.json"]


def test_a_study_is_shown_alone(driven, capsys):
    run = str(driven / "exact" / "seed-0")
    assert main(["report", run, str(driven)]) == 2
    assert_one_line(capsys, f"{driven} is a study; accepted: it alone, or runs")


def test_figures_and_tables_of_a_study_are_files_of_their_own(study):
    pytest.importorskip("vl_convert")
    figures = study.parent / "figures"
    assert main(["report", str(study), "--figures", str(figures)]) == 0
    names = {path.name for path in figures.iterdir()}
    charts = {f"{name}.{kind}" for name in ("final", "networks") for kind in ("svg", "png")}
    tables = {f"{name}.{kind}" for name in ("variants", "searches") for kind in ("csv", "tex")}
    assert charts | tables <= names
    lines = (figures / "searches.csv").read_text().splitlines()
    assert lines[0].startswith("variant,run,trials") and lines[1].startswith("exact,seed 0,8,")
