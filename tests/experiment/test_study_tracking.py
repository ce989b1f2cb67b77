"""Studies whose searches are logged to trackers, in this process and in others."""

import json

import pytest

from mnas.__main__ import main
from mnas.cli.study_files import write_page
from mnas.experiment.study import Study, drive
from tests.registered import register
from tests.studies import RANDOM, SMALL

SESSIONS = []
# Of each search: two batches of proposals and updates, eight results.
RECORDS = 2 + 8 + 2
WANDB = """
import json, pathlib, types

Settings = types.SimpleNamespace


def init(**settings):
    return Run(settings)


class Run:
    id, offline, dir = "r1", True, "files"

    def __init__(self, settings):
        self.settings, self.summary, self.steps = settings, {}, 0

    def define_metric(self, name, step_metric):
        pass

    def log(self, values):
        self.steps += 1

    def finish(self, exit_code):
        seen = {name: self.settings[name] for name in ("group", "job_type", "name")}
        seen |= {"steps": self.steps, "exit_code": exit_code}
        pathlib.Path(self.settings["dir"], "seen.json").write_text(json.dumps(seen))
"""


class Recorder:
    """Tracker that keeps what it is called with."""

    fails = False

    def __init__(self, search):
        self.search, self.records, self.done = search, [], None
        self.id, self.address = search.id or f"id-{search.name}", "nowhere"
        SESSIONS.append(self)

    def __call__(self, record):
        if self.fails and self.search.name == "exact/seed-1" and len(self.records) == 5:
            raise ConnectionError
        self.records.append(record)

    def close(self, done):
        self.done = done


@pytest.fixture
def sessions(monkeypatch):
    SESSIONS.clear()
    register(monkeypatch, "tracker", "recorder", Recorder)
    register(monkeypatch, "experiment", "small", SMALL)
    return SESSIONS


def test_every_search_of_a_study_is_a_tracked_run(sessions, tmp_path):
    study = tmp_path / "study"
    flags = ["--workers", "1", "--out", str(study), "--track", "recorder"]
    assert main(["search", "small", *flags]) == 0
    names = ["exact/seed-0", "noisy/seed-0", "exact/seed-1", "noisy/seed-1"]
    assert [session.search.name for session in sessions] == names
    assert {session.search.study for session in sessions} == {"small"}
    assert {session.search.experiment for session in sessions} == {"b0-imagenet"}
    assert all(len(session.records) == RECORDS and session.done for session in sessions)
    assert json.loads((study / "study.json").read_text())["trackers"] == ["recorder"]
    assert main(["resume", str(study), "--workers", "1"]) == 0
    assert len(sessions) == 4


def test_a_tracker_that_is_added_later_gets_all_records(sessions, tmp_path):
    drive(SMALL, tmp_path, workers=1)
    head = {"name": "small", "seeds": 2, "trials": 8, "trackers": []}
    (tmp_path / "study.json").write_text(json.dumps(head))
    assert main(["resume", str(tmp_path), "--workers", "1", "--track", "recorder"]) == 0
    assert [len(session.records) for session in sessions] == 4 * [RECORDS]
    assert json.loads((tmp_path / "study.json").read_text())["trackers"] == ["recorder"]


def test_a_tracker_that_failed_gets_what_it_lacks(sessions, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "fails", True)
        drive(SMALL, tmp_path, workers=1, trackers=("recorder",))
    del sessions[:]
    drive(SMALL, tmp_path, workers=1)
    (session,) = sessions
    assert session.id == session.search.id == "id-exact/seed-1"
    assert len(session.records) == RECORDS - 5


@pytest.mark.parametrize(
    ("trackers", "message"),
    [
        (3, "trackers = 3; accepted: names of trackers"),
        (["recorder", 3], "accepted: names of trackers"),
    ],
)
def test_a_damaged_list_of_trackers_is_named(sessions, tmp_path, capsys, trackers, message):
    head = {"name": "small", "seeds": 2, "trials": 8, "trackers": trackers}
    (tmp_path / "study.json").write_text(json.dumps(head))
    assert main(["resume", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_an_unknown_tracker_ends_the_command_at_once(sessions, tmp_path, capsys):
    out = tmp_path / "study"
    assert main(["search", "small", "--out", str(out), "--track", "recordr"]) == 2
    assert "unknown tracker 'recordr'; did you mean recorder?" in capsys.readouterr().err
    assert not out.exists()


def test_a_tracker_that_is_gone_is_one_warning(sessions, tmp_path, capsys):
    drive(SMALL, tmp_path, workers=1)
    head = {"name": "small", "seeds": 2, "trials": 8, "trackers": ["lost"]}
    (tmp_path / "study.json").write_text(json.dumps(head))
    assert main(["-q", "resume", str(tmp_path), "--workers", "1"]) == 0
    assert capsys.readouterr().err.count("unknown tracker 'lost'") == 1


def test_searches_in_worker_processes_are_tracked_and_finished(tmp_path, monkeypatch):
    library = tmp_path / "library"
    library.mkdir()
    (library / "wandb.py").write_text(WANDB)
    monkeypatch.syspath_prepend(library)  # workers have the path of this process
    study = Study("small", {"exact": RANDOM}, seeds=1, marks=(8,))
    drive(study, tmp_path, workers=2, trackers=("wandb",), finish=write_page)
    run = tmp_path / "exact" / "seed-0"
    seen = json.loads((run / "seen.json").read_text())
    named = {"group": "small", "job_type": "b0-imagenet", "name": "exact/seed-0"}
    assert seen == {**named, "steps": 8 + 2, "exit_code": 0}
    assert '<article class="run"' in (run / "report.html").read_text(encoding="utf-8")
