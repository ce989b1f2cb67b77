"""`mnas search STUDY` and `mnas resume` of a study."""

import dataclasses
import json

import pytest

from mnas.__main__ import main
from mnas.evaluation import Evaluation
from mnas.evaluators.surrogate import SurrogateConfig
from tests.registered import EXPERIMENTS, STUDIES, register
from tests.studies import RANDOM, SMALL


@pytest.fixture
def small(monkeypatch):
    register(monkeypatch, "experiment", "small", SMALL)


def test_study_runs_and_resumes(small, tmp_path, capsys):
    out = tmp_path / "s"
    flags = ["--workers", "1", "--trials", "6", "--out", str(out)]
    assert main(["search", "small", *flags]) == 0
    shown = capsys.readouterr().err
    assert "exact" in shown and "done: noisy, seed 1" in shown
    assert {"study.json", "runs.csv", "table.csv", "report.html"} <= {p.name for p in out.iterdir()}
    head = json.loads((out / "study.json").read_text())
    assert (head["trials"], head["trackers"]) == (6, [])
    assert len(list(out.glob("*/seed-*/report.html"))) == 4
    table = (out / "table.csv").read_text()
    assert main(["resume", str(out), "--workers", "1"]) == 0
    assert (out / "table.csv").read_text() == table


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--seeds", "0"], "seeds = 0; accepted: a whole number of at least 1"),
        (["--sedes", "2"], "--seeds"),
        (["--trials", "many"], "many"),
    ],
)
def test_invalid_flag_is_named_in_one_line(small, flags, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["search", "small", *flags]) == 2
    out, err = capsys.readouterr()
    assert expected in err and err.count("\n") == 1 and out == ""
    assert list(tmp_path.iterdir()) == []


def test_study_that_cannot_be_resumed_is_rejected(small, tmp_path, capsys):
    (tmp_path / "study.json").write_text('{"name": "smal", "seeds": 1, "trials": 2}')
    assert main(["resume", str(tmp_path)]) == 2
    assert "unknown experiment 'smal'; did you mean small?" in capsys.readouterr().err
    (tmp_path / "study.json").write_text('{"name": "small", "seeds": 1, "trials": 2}')
    assert main(["resume", str(tmp_path), "--seeds", "3"]) == 2
    assert "accepted: --workers and --track" in capsys.readouterr().err
    assert main(["search", "small", "--out", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_search_that_only_fails_gives_the_cause(small, monkeypatch, tmp_path, capsys):
    class Broken(SurrogateConfig):
        def build(self):
            return lambda architecture, seed, report=None: Evaluation(error="out of paper")

    broken = dataclasses.replace(RANDOM, evaluator=Broken())
    study = dataclasses.replace(SMALL, variants={"broken": broken}, judge=None)
    register(monkeypatch, "experiment", "small", study)
    assert main(["search", "small", "--workers", "1", "--out", str(tmp_path / "s")]) == 1
    assert "out of paper" in capsys.readouterr().err


def test_list_names_experiments_and_studies(capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert all(name.split("-")[0] in shown for name in EXPERIMENTS | STUDIES)


def test_a_quota_of_processor_time_sets_the_default_number_of_workers(small, monkeypatch, capsys):
    monkeypatch.setattr("mnas.runtime.control_group.cpu_quota", lambda: 1.5)
    with pytest.raises(SystemExit):
        main(["search", "small", "--help"])
    assert "Searches run in parallel. (default: 1)" in capsys.readouterr().out
