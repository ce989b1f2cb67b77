"""Trackers: what they are called with, a resumed search, and failures of theirs."""

import json
import threading
import time
from pathlib import Path

import pytest

from mnas.__main__ import main
from mnas.errors import UsageError
from mnas.experiment import tracking
from mnas.loop.records import ProposalsRecord, ResultRecord
from tests.cli.commands import assert_one_line, quick
from tests.registered import Entry, register

SESSIONS = []


class Recorder:
    """Tracker that keeps what it is called with."""

    def __init__(self, search):
        self.search, self.records, self.steps, self.done = search, [], [], None
        self.id, self.address = search.id or f"id-{len(SESSIONS)}", "nowhere"
        self.thread = threading.current_thread()
        SESSIONS.append(self)

    def __call__(self, record):
        self.records.append(record)
        self.steps.append(self.search.metrics.step(record))

    def close(self, done):
        self.done = done


@pytest.fixture
def sessions(monkeypatch):
    SESSIONS.clear()
    register(monkeypatch, "tracker", "recorder", Recorder)
    return SESSIONS


def trials(session):
    return [record.trial for record in session.records if isinstance(record, ResultRecord)]


def file_of(run):
    return json.loads((run / "tracked-recorder.json").read_text())


def test_a_tracker_gets_every_record_and_the_settings(sessions, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["search", *quick(run), "--track", "recorder"]) == 0
    (session,) = sessions
    assert sorted(trials(session)) == list(range(12)) and session.done
    assert isinstance(session.records[0], ProposalsRecord)
    search = session.search
    assert (search.experiment, search.directory, search.id) == ("b0-imagenet", run, None)
    assert search.settings["search.trials"] == 12
    assert file_of(run) == {"id": "id-0", "sent": 3 + 12 + 3}
    assert session.thread is not threading.main_thread()
    assert "recorder: nowhere\n" in capsys.readouterr().err


def test_a_resumed_search_goes_on_in_the_same_tracked_run(sessions, tmp_path):
    run = tmp_path / "run"
    assert main(["search", *quick(run), "--track", "recorder"]) == 0
    assert main(["resume", str(run), "--search.trials", "16"]) == 0
    first, second = sessions
    assert (second.id, second.search.id) == ("id-0", "id-0")
    assert sorted(trials(second)) == [12, 13, 14, 15]
    last = second.steps[-1]
    assert last.number == 16
    assert last.values["search/best_reward"] >= first.steps[-1].values["search/best_reward"]


def test_a_search_that_is_done_begins_no_tracked_run_again(sessions, tmp_path):
    run = tmp_path / "run"
    assert main(["search", *quick(run), "--track", "recorder"]) == 0
    assert main(["resume", str(run)]) == 0
    assert len(sessions) == 1


def test_a_search_that_had_no_tracker_gives_its_first_one_all_records(sessions, tmp_path):
    run = tmp_path / "run"
    assert main(["search", *quick(run)]) == 0
    assert main(["resume", str(run), "--track", "recorder"]) == 0
    (session,) = sessions
    assert sorted(trials(session)) == list(range(12))
    assert session.steps[-1].number == 12


def test_an_interrupted_search_is_not_done(sessions, tmp_path, monkeypatch):
    observe = tracking.Tracking.__call__

    def interrupt(self, record):
        observe(self, record)
        if isinstance(record, ResultRecord):
            raise KeyboardInterrupt

    monkeypatch.setattr(tracking.Tracking, "__call__", interrupt)
    assert main(["search", *quick(tmp_path / "run"), "--track", "recorder"]) == 130
    assert len(trials(sessions[0])) == 1 and sessions[0].done is False


def test_a_search_that_never_begins_is_not_tracked(sessions, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("mnas.experiment.run.drive_engine", interrupt)
    assert main(["search", *quick(tmp_path / "run"), "--track", "recorder"]) == 130
    assert sessions == [] and not list((tmp_path / "run").glob("tracked-*"))


@pytest.mark.parametrize(
    ("where", "file"),
    [
        ("__init__", {"id": None, "sent": 0}),
        ("__call__", {"id": "id-0", "sent": 0}),
        ("close", {"id": "id-0", "sent": 18}),
    ],
)
def test_a_failing_tracker_is_one_warning(sessions, tmp_path, monkeypatch, capsys, where, file):
    def fail(*_):
        raise ConnectionError("no\nroute " + "x" * 1000)

    monkeypatch.setattr(Recorder, where, fail)
    run = tmp_path / "run"
    assert main(["-q", "search", *quick(run), "--track", "recorder"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mnas search: recorder: ConnectionError: no route xxx")
    assert line.endswith("; the search goes on without it, mnas resume sends what it lacks")
    assert len(line) < 440
    assert len((run / "journal.jsonl").read_text().splitlines()) == 1 + 3 + 12 + 3
    assert file_of(run) == file


def test_a_tracker_that_failed_gets_what_it_lacks_when_the_search_is_resumed(
    sessions, tmp_path, monkeypatch
):
    observe = Recorder.__call__

    def fail(self, record):
        if len(self.records) == 7:
            raise ConnectionError
        observe(self, record)

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "__call__", fail)
        assert main(["search", *quick(run), "--track", "recorder"]) == 0
    assert main(["resume", str(run)]) == 0
    first, second = sessions
    assert (second.search.id, second.done) == ("id-0", True)
    assert len(first.records) == 7 and len(second.records) == 11
    assert sorted(trials(first) + trials(second)) == list(range(12))
    assert second.steps[-1].number == 12 and file_of(run)["sent"] == 18


def test_the_number_of_records_is_kept_while_the_search_runs(sessions, tmp_path, monkeypatch):
    kept, observe = [], Recorder.__call__

    def noted(self, record):
        kept.append(file_of(self.search.directory)["sent"])
        observe(self, record)

    monkeypatch.setattr(Recorder, "__call__", noted)
    monkeypatch.setattr(tracking, "SAVE_SECONDS", 0.0)
    assert main(["search", *quick(tmp_path / "run"), "--track", "recorder"]) == 0
    assert kept == list(range(18))


def test_the_end_does_not_wait_for_a_tracker_that_hangs(sessions, tmp_path, monkeypatch, capsys):
    released = threading.Event()
    monkeypatch.setattr(Recorder, "close", lambda *_: released.wait())
    monkeypatch.setattr(tracking, "CLOSE_SECONDS", 0.05)
    assert main(["-q", "search", *quick(tmp_path / "run"), "--track", "recorder"]) == 0
    released.set()
    line = "recorder has not answered for 0 s; mnas resume sends what it lacks"
    assert line in capsys.readouterr().err


def test_the_end_waits_as_long_as_a_tracker_takes_records(sessions, tmp_path, monkeypatch, capsys):
    observe = Recorder.__call__

    def slow(self, record):
        time.sleep(0.03)
        observe(self, record)

    monkeypatch.setattr(Recorder, "__call__", slow)
    monkeypatch.setattr(tracking, "CLOSE_SECONDS", 0.2)  # All records take half a second.
    assert main(["-q", "search", *quick(tmp_path / "run"), "--track", "recorder"]) == 0
    assert capsys.readouterr().err == ""
    assert len(trials(sessions[0])) == 12 and sessions[0].done


class Missing(Entry):
    """Entry point whose library is not installed."""

    def load(self):
        raise ModuleNotFoundError("No module named 'service'", name="service")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("service", "track = service needs the package service; accepted: after pip install"),
        ("recordr", "unknown tracker 'recordr'; did you mean recorder?"),
    ],
)
def test_a_tracker_that_is_not_there_ends_the_command_at_once(
    sessions, tmp_path, monkeypatch, capsys, name, message
):
    monkeypatch.setitem(tracking.registry.entries("tracker"), "service", Missing(None))
    assert main(["search", *quick(tmp_path / "run"), "--track", name]) == 2
    assert_one_line(capsys, message)
    assert not list(tmp_path.iterdir())


def test_a_resumed_search_goes_on_without_a_tracker_that_is_gone(
    sessions, tmp_path, monkeypatch, capsys
):
    run = tmp_path / "run"
    assert main(["search", *quick(run), "--track", "recorder"]) == 0
    capsys.readouterr()
    monkeypatch.setitem(tracking.registry.entries("tracker"), "recorder", Missing(None))
    assert main(["-q", "resume", str(run), "--search.trials", "16"]) == 0
    assert_one_line(capsys, "recorder needs the package service", "goes on without it")


DAMAGED = (
    *("", "[]", "null", "{}", '{"id": 3, "sent": 1}', '{"id": "", "sent": 1}', '{"id": "a'),
    *('{"id": "a"}', '{"id": "a", "sent": -1}', '{"id": "a", "sent": true}'),
    '{"id": null, "sent": 3}',
)


def test_a_damaged_file_of_a_tracked_run_is_named(sessions, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["search", *quick(run), "--track", "recorder"]) == 0
    for content in DAMAGED:
        capsys.readouterr()
        (run / "tracked-recorder.json").write_text(content)
        assert main(["resume", str(run), "--search.trials", "16"]) == 2
        assert_one_line(capsys, "tracked-recorder.json")
    assert len(sessions) == 1


def test_unknown_names_are_usage_errors(sessions):
    with pytest.raises(UsageError, match="unknown tracker"):
        tracking.load_tracker("nothing")


def test_a_run_in_the_working_directory_is_tracked_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "exact" / "seed-0").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "exact" / "seed-0")
    metrics = tracking.Metrics()
    alone = tracking.TrackedSearch("digits", Path("."), {}, None, metrics)
    of_study = tracking.TrackedSearch("digits", Path("."), {}, None, metrics, "a study")
    assert (alone.name, of_study.name) == ("seed-0", "exact/seed-0")
